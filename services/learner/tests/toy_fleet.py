"""A deterministic toy task on an in-process stand-in of the fleet's client, in plain numpy."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from websim.client import EnvironmentState, FleetError, FleetRefused, FleetTimeout, ShardResult
from websim.client.knobs import as_ranges
from websim.wire.messages import FIGURE_FIELD, FieldInfo, FigureInfo, KnobInfo, ShardSpan, TaskInfo

TOY = TaskInfo(
    id="Toy-v0",
    description="keep a point near the origin",
    obs_dim=3,
    action_low=(-2.0,),
    action_high=(2.0,),
    dt_s=0.1,
    max_episode_steps=40,
    obs_names=("x", "v", "one"),
    action_names=("force",),
    fields=(FieldInfo("x", 0, "m"), FieldInfo("velocity", 2, "m/s")),
    fitness_unit="m",
    content_sha256="0" * 64,
    knobs=(KnobInfo(name="force", nominal=1.0, low=0.0, high=2.0, hard_low=0.5, hard_high=1.0),),
    figure=FigureInfo(
        plane="xz",
        k=2,
        bones=((0, 1),),
        bone_radii_m=(0.05,),
        scale_m=0.001,
        view_m=(-1.0, 0.0, 1.0, 1.0),
        ground_z_m=0.0,
    ),
)


TOY_STATE = ("x", "v", "returns", "lengths", "force", "force_range", "counters")


class ToyShard:
    """A row of points: v += 0.1 force a, x += 0.1 v; reward 1 - x^2; |x| > 1 terminates."""

    distance = 0.0

    def __init__(
        self, seed: int, span: ShardSpan, broken: Callable[[int, int], bool] | None
    ) -> None:
        self.seed, self.span, self.broken = seed, span, broken
        self.commands = self.steps = 0
        n = span.num_envs
        self.x, self.v = np.zeros(n), np.zeros(n)
        self.returns, self.lengths = np.zeros(n), np.zeros(n, np.int64)
        self.force, self.force_range = np.ones(n), np.ones(2)

    def obs(self) -> np.ndarray:
        seen = np.ones((self.span.num_envs, 3), np.float32)
        seen[:, 0], seen[:, 1] = self.x, self.v
        return seen

    def reset(self, mask: np.ndarray) -> None:
        key = np.array([self.seed, self.span.first_env_id], np.uint64)
        counter = np.array([0, 0, self.commands, 0], np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key, counter=counter))
        start = draw.uniform(-0.3, 0.3, (self.span.num_envs, 2))
        self.x[mask], self.v[mask] = start[mask].T
        self.force[mask] = draw.uniform(*self.force_range, self.span.num_envs)[mask]
        self.returns[mask], self.lengths[mask] = 0.0, 0

    def snapshot(self) -> dict[str, np.ndarray]:
        counters = np.array([self.seed, self.commands, self.steps])
        state = (self.x, self.v, self.returns, self.lengths, self.force, self.force_range)
        arrays = (*state, counters)
        return {name: a.copy() for name, a in zip(TOY_STATE, arrays, strict=True)}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        arrays = [snapshot[name].copy() for name in TOY_STATE]
        self.x, self.v, self.returns, self.lengths, self.force, self.force_range, counters = arrays
        self.seed, self.commands, self.steps = counters.tolist()

    def step(self, shard: int, action: np.ndarray, fields: Sequence[str]) -> ShardResult:
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 2.0
        self.v = self.v + 0.1 * action[:, 0] * self.force
        self.x = self.x + 0.1 * self.v
        reward = 1.0 - np.square(self.x)
        self.returns, self.lengths = self.returns + reward, self.lengths + 1
        invalid = np.zeros(len(self.x), np.bool_)
        if self.broken is not None:
            first = self.span.first_env_id
            invalid[:] = [self.broken(self.steps, first + i) for i in range(len(self.x))]
            reward[invalid] = np.nan
        self.steps += 1
        terminated = (np.abs(self.x) > 1.0) & ~invalid
        truncated = (self.lengths >= TOY.max_episode_steps) & ~terminated | invalid
        ended = np.flatnonzero(terminated | truncated).astype(np.int32)
        known = {"x": self.x.copy()}
        if "velocity" in fields:
            known["velocity"] = np.stack([self.v, self.v], axis=1)
        # A stick that stands where the point is, and leans as it moves.
        top = np.rint(100 * self.v)
        high, none = np.full_like(top, 500), np.zeros_like(top)
        known[FIGURE_FIELD] = np.stack([self.x, none, none, top, high], axis=1)
        final_obs = self.obs()[ended]
        returns, lengths = self.returns[ended].copy(), self.lengths[ended].copy()
        fitness = -np.abs(self.x[ended]) - self.distance
        if len(ended):
            self.reset(terminated | truncated)
        return ShardResult(
            shard=shard,
            t=self.commands,
            kind="step",
            obs=self.obs(),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            invalid=invalid,
            ended=ended,
            final_obs=final_obs,
            episode_return=returns,
            episode_length=lengths,
            episode_fitness=fitness,
            episode_success=np.full(len(ended), np.nan),
            fields={name: known[name] for name in fields},
        )


class ToyPairShard(ToyShard):
    """The same points, seen through one more number, pushed by the first of two forces."""

    def obs(self) -> np.ndarray:
        return np.concatenate([super().obs(), super().obs()[:, :1]], axis=1)


class ToyFarShard(ToyShard):
    """The same points, which count as farther away than they are."""

    distance = 9.0


HEAVY = msgspec.structs.replace(TOY, id="Heavy-v0", content_sha256="1" * 64)
"""Another task for the same robot."""

FAR = msgspec.structs.replace(TOY, id="Far-v0")
"""A task in which the same policy is worth less."""

PACES = msgspec.structs.replace(TOY, id="Paces-v0", fitness_unit="paces")
"""A task that is measured otherwise."""

KNOBLESS = msgspec.structs.replace(TOY, id="Knobless-v0", knobs=())
"""A third one, whose physics cannot be turned."""

PAIR = msgspec.structs.replace(
    TOY,
    id="Pair-v0",
    obs_dim=4,
    action_low=(-2.0, -2.0),
    action_high=(2.0, 2.0),
    obs_names=(*TOY.obs_names, "again"),
    action_names=("force", "idle"),
    fields=(FieldInfo("x", 0, "m"),),
)
"""A task of another shape."""

TASKS = {task.id: task for task in (TOY, HEAVY, FAR, PACES, KNOBLESS, PAIR)}


class ToyClient:
    """Implements `websim_learner.fleet.FleetClient`; answers in the order of `shuffle`."""

    def __init__(
        self,
        num_envs: int = 24,
        seed: int = 0,
        *,
        shard_envs: int = 7,
        shuffle: int | None = None,
        task: str = TOY.id,
        delay_s: float = 0.0,
        broken: Callable[[int, int], bool] | None = None,
        skipped: Callable[[int, int], bool] | None = None,
    ) -> None:
        if task not in TASKS:
            raise FleetRefused("unknown_task", f"there is no task {task}", "choose Toy-v0")
        self.task = TASKS[task]
        self._skipped = skipped
        self._delay_s = delay_s
        starts = range(0, num_envs, shard_envs)
        self.shards = tuple(ShardSpan(s, min(shard_envs, num_envs - s)) for s in starts)
        self.sockets = ()
        self.waiting = ""
        self.silent = False
        self.lost = False
        self.closed = False
        shard = {"Pair-v0": ToyPairShard, "Far-v0": ToyFarShard}.get(task, ToyShard)
        self._rows = [shard(seed, span, broken) for span in self.shards]
        self._outstanding: list[tuple[int, Callable[[], ShardResult]]] = []
        self._order = None if shuffle is None else np.random.default_rng(shuffle)

    def send_reset(
        self, shard: int, seed: int | None = None, mask: np.ndarray | None = None
    ) -> None:
        rows = self._rows[shard]
        mask = np.ones(rows.span.num_envs, np.bool_) if mask is None else mask.copy()

        def answer() -> ShardResult:
            if seed is not None:
                rows.seed, rows.commands = seed, 0
            rows.reset(mask)
            return self._was_reset(shard)

        self._send(shard, answer)

    def snapshot(self, shard: int, timeout_s: float = 60.0) -> dict[str, np.ndarray]:
        assert all(shard != other for other, _ in self._outstanding), "shard is busy"
        self._check_presence()
        return self._rows[shard].snapshot()

    def send_restore(self, shard: int, snapshot: Mapping[str, np.ndarray]) -> None:
        kept = {name: array.copy() for name, array in snapshot.items()}

        def answer() -> ShardResult:
            self._rows[shard].restore(kept)
            return self._was_reset(shard)

        self._send(shard, answer)

    def send_knobs(self, shard: int, knobs: Mapping[str, float | tuple[float, float]]) -> None:
        ranges = as_ranges(self.task.knobs, knobs)

        def answer() -> ShardResult:
            rows = self._rows[shard]
            rows.force_range = np.array(ranges.get("force", rows.force_range))
            return replace(self._was_reset(shard), kind="knobs")

        self._send(shard, answer)

    def _was_reset(self, shard: int) -> ShardResult:
        rows = self._rows[shard]
        none, flags = np.zeros(0), np.zeros(rows.span.num_envs, np.bool_)
        index = np.zeros(0, np.int32)
        return ShardResult(
            shard=shard,
            t=rows.commands,
            kind="reset",
            obs=rows.obs(),
            reward=np.zeros(rows.span.num_envs),
            terminated=flags,
            truncated=flags,
            invalid=flags,
            ended=index,
            final_obs=np.zeros((0, self.task.obs_dim), np.float32),
            episode_return=none,
            episode_length=index.astype(np.int64),
            episode_fitness=none,
            episode_success=none,
            fields={},
        )

    def send(self, shard: int, action: np.ndarray, fields: Sequence[str] = ()) -> None:
        action = action.copy()

        def answer() -> ShardResult:
            result = self._rows[shard].step(shard, action, fields)
            if self._skipped is None:
                return result
            return replace(result, skipped=self._skipped(result.t, shard))

        self._send(shard, answer)

    def recv(self, timeout_s: float = 60.0) -> ShardResult:
        self._check_presence()
        if not self._outstanding:
            raise FleetError("recv without anything outstanding")
        if self._delay_s > 0.0:
            time.sleep(self._delay_s)
        place = 0 if self._order is None else int(self._order.integers(len(self._outstanding)))
        shard, answer = self._outstanding.pop(place)
        self._rows[shard].commands += 1
        self.waiting = ""
        return answer()

    def _check_presence(self) -> None:
        if self.silent:
            raise FleetTimeout("no environment answered in time")
        if self.lost:
            raise FleetRefused("shard_lost", "environments 0 to 6 are lost")

    def get_state(self, env_id: int) -> EnvironmentState:
        shard, i = next(
            (rows, env_id - rows.span.first_env_id)
            for rows in self._rows
            if 0 <= env_id - rows.span.first_env_id < rows.span.num_envs
        )
        qpos, qvel = shard.x[i : i + 1].copy(), shard.v[i : i + 1].copy()
        return EnvironmentState(env_id, math.nan, qpos, qvel, {}, 0.0, 0)

    def close(self) -> None:
        self.closed = True

    def _send(self, shard: int, answer: Callable[[], ShardResult]) -> None:
        assert all(shard != other for other, _ in self._outstanding), "shard is busy"
        self._outstanding.append((shard, answer))
