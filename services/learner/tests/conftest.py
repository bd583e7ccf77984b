"""A deterministic toy task on an in-process stand-in of the fleet's client, in plain numpy."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from websim.client import EnvironmentState, FleetTimeout, ShardResult
from websim.wire.messages import FieldInfo, ShardSpan, TaskInfo

torch.set_num_threads(1)

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
)


class ToyShard:
    """A row of points: v += 0.1 a, x += 0.1 v; reward 1 - x^2; |x| > 1 terminates."""

    def __init__(self, seed: int, span: ShardSpan, broken: Callable[[int, int], bool]) -> None:
        self.seed, self.span, self.broken = seed, span, broken
        self.commands = self.steps = 0
        n = span.num_envs
        self.x, self.v = np.zeros(n), np.zeros(n)
        self.returns, self.lengths = np.zeros(n), np.zeros(n, np.int64)

    def obs(self) -> np.ndarray:
        return np.stack([self.x, self.v, np.ones_like(self.x)], axis=1).astype(np.float32)

    def reset(self, mask: np.ndarray) -> None:
        key = np.array([self.seed, self.span.first_env_id], np.uint64)
        counter = np.array([0, 0, self.commands, 0], np.uint64)
        draw = np.random.Generator(np.random.Philox(key=key, counter=counter))
        start = draw.uniform(-0.3, 0.3, (self.span.num_envs, 2))
        self.x[mask], self.v[mask] = start[mask].T
        self.returns[mask], self.lengths[mask] = 0.0, 0

    def step(self, shard: int, action: np.ndarray, fields: Sequence[str]) -> ShardResult:
        assert action.dtype == np.float32
        assert np.abs(action).max() <= 2.0
        self.v = self.v + 0.1 * action[:, 0]
        self.x = self.x + 0.1 * self.v
        reward = 1.0 - np.square(self.x)
        self.returns, self.lengths = self.returns + reward, self.lengths + 1
        first = self.span.first_env_id
        invalid = np.array([self.broken(self.steps, first + i) for i in range(len(self.x))])
        self.steps += 1
        reward = np.where(invalid, np.nan, reward)
        terminated = (np.abs(self.x) > 1.0) & ~invalid
        truncated = (self.lengths >= TOY.max_episode_steps) & ~terminated | invalid
        ended = np.flatnonzero(terminated | truncated).astype(np.int32)
        known = {"x": self.x.copy(), "velocity": np.stack([self.v, self.v], axis=1)}
        final_obs = self.obs()[ended]
        returns, lengths = self.returns[ended].copy(), self.lengths[ended].copy()
        fitness = -np.abs(self.x[ended])
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


class ToyClient:
    """Implements `websim_learner.fleet.FleetClient`; answers in the order of `shuffle`."""

    def __init__(
        self,
        num_envs: int = 24,
        seed: int = 0,
        *,
        shard_envs: int = 7,
        shuffle: int | None = None,
        broken: Callable[[int, int], bool] = lambda step, env_id: False,
    ) -> None:
        self.task = TOY
        starts = range(0, num_envs, shard_envs)
        self.shards = tuple(ShardSpan(s, min(shard_envs, num_envs - s)) for s in starts)
        self.waiting = ""
        self.silent = False
        self.closed = False
        self._rows = [ToyShard(seed, span, broken) for span in self.shards]
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
                final_obs=np.zeros((0, 3), np.float32),
                episode_return=none,
                episode_length=index.astype(np.int64),
                episode_fitness=none,
                episode_success=none,
                fields={},
            )

        self._send(shard, answer)

    def send(self, shard: int, action: np.ndarray, fields: Sequence[str] = ()) -> None:
        action = action.copy()
        self._send(shard, lambda: self._rows[shard].step(shard, action, fields))

    def recv(self, timeout_s: float = 60.0) -> ShardResult:
        if self.silent:
            raise FleetTimeout("no environment answered in time")
        place = 0 if self._order is None else int(self._order.integers(len(self._outstanding)))
        shard, answer = self._outstanding.pop(place)
        self._rows[shard].commands += 1
        return answer()

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


@pytest.fixture
def make_client() -> type[ToyClient]:
    """Return the factory of toy sessions."""
    return ToyClient


@pytest.fixture
def toy_task() -> TaskInfo:
    """Return the toy's task."""
    return TOY
