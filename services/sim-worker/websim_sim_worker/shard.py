"""A shard: consecutive environments of one task, stepped together as one `mujoco.batch.Batch`.

Called by the worker's runtime, one command after the other. Everything but the engine's own work is
a handful of numpy calls over the whole shard: no loop over environments. All state is in
`snapshot`; nothing depends on time, thread count or process.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import mujoco.batch
import numpy as np
import numpy.typing as npt

from websim.tasks import TaskError
from websim.tasks.knobs import Ranges
from websim.wire.codec import MAX_MESSAGE_BYTES
from websim.wire.messages import FIGURE_FIELD
from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.episodes import Episodes
from websim_sim_worker.knob_state import KnobState
from websim_sim_worker.live import LiveArrays
from websim_sim_worker.physics import Physics
from websim_sim_worker.plans import StepPlan, StepPlans
from websim_sim_worker.results import Bools, EnvState, Floats, Ids, ShardStep
from websim_sim_worker.table import Observer
from websim_sim_worker.watching import ShardView

__all__ = ["EnvState", "Shard", "ShardStep"]

MAX_T = 1 << 53
"""Bound of the commands that a snapshot may say its shard has done: they count the randomness."""


class Shard:
    """`num_envs` environments of `task`; until the first reset they rest in its initial state.

    `view` shows it to people.

    Args:
        task: The compiled task.
        seed: Keys the shard's randomness, with `first_env_id`.
        first_env_id: Id of the first environment within its session.
        num_envs: Number of environments n.
        nthread: Threads of the engine; results do not depend on it.
        obs_dtype: "float32" or "float64".
    """

    def __init__(
        self,
        task: CompiledTask,
        *,
        seed: int,
        first_env_id: int,
        num_envs: int,
        nthread: int = 1,
        obs_dtype: str = "float32",
    ) -> None:
        self.task = task
        self.num_envs = num_envs
        self.obs_dim = task.info.obs_dim
        self.action_dim = task.info.action_dim
        self._seed = seed
        self._first_env_id = first_env_id
        self._t = 0
        self._live = LiveArrays(task, num_envs, nthread)
        self._batch = self._live.batch
        self._ctrl = self._batch.bind("ctrl")
        self._qpos = self._batch.bind("qpos")
        self._qvel = self._batch.bind("qvel")
        self._physics = Physics(self._batch, task.frame_skip)
        self._knobs = KnobState(task.knobs, self._batch, first_env_id)
        self._table = self._live.table()
        self._obs = np.zeros((num_envs, self.obs_dim), obs_dtype)
        self._next_obs = np.zeros_like(self._obs)
        self._obs_f8 = np.zeros(self._obs.shape)
        self._previous_obs_f8 = np.zeros(self._obs.shape)
        self._previous_action = np.zeros((num_envs, self.action_dim))
        for name, values in (
            ("obs", self._obs_f8),
            ("previous_obs", self._previous_obs_f8),
            ("previous_action", self._previous_action),
            ("time_s", self._batch.bind("time")),
        ):
            self._table.add(name, values)
        self._observer = Observer(task.observation, self._table)
        self._episodes = Episodes(task, num_envs)
        self._reward = np.zeros(num_envs)
        self._terminated = np.zeros(num_envs, bool)
        self._no_rows = np.zeros(0, np.int32)
        self.view = ShardView(task, self._live, self._episodes)
        self._table.add(FIGURE_FIELD, *self.view.figure_field())
        room_bytes = MAX_MESSAGE_BYTES - self.answer_bytes
        self._plans = StepPlans(task, self._table, self._observer.reads, room_bytes)
        # Binds what every step needs, so that the first step finds it computed.
        self._plans.plan(())
        self._after_reset = self._table.plan(self._observer.reads, after_reset=True)
        # Writing the state is a reset: a simulation is its state, and forward() derives the rest.
        keyframe = task.reset.keyframe
        self._batch.reset(keyframe=keyframe, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._initial_state = self._batch.state[0].copy()
        everyone = np.arange(num_envs, dtype=np.int32)
        self._begin(everyone, self._qpos.copy(), self._qvel.copy())

    @property
    def diverged_total(self) -> int:
        """Invalid transitions so far (see ShardStep.invalid)."""
        return self._physics.diverged_total

    @property
    def snapshot_bytes(self) -> int:
        """Size of its largest snapshot: one with knobs."""
        return sum(array.nbytes for array in (self.snapshot() | self._knobs.arrays()).values())

    @property
    def answer_bytes(self) -> int:
        """Size of its largest answer without fields: to a step in which every episode ends."""
        # Twice obs; reward, three flags, the row, return, length, fitness and success.
        return 2 * self._obs.nbytes + self.num_envs * (8 + 3 + 4 + 4 * 8)

    @property
    def last_failure(self) -> str:
        """What the engine said when it last failed, or ""."""
        return self._physics.last_failure

    def reset(self, seed: int | None = None, mask: Bools | None = None) -> npt.NDArray[Any]:
        """Begin new episodes, in all environments or where `mask` (n,) says.

        Args:
            seed: Re-keys the shard's randomness and restarts its counter.
            mask: (n,) bool.

        Returns:
            Observations (n, obs_dim) of all environments, valid until the step after the next.
        """
        if seed is not None:
            self._seed, self._t = seed, 0
        self._t += 1
        rows = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        if len(rows):
            self._begin_drawn(rows.astype(np.int32))
        return self._obs

    def step(self, action: npt.NDArray[np.float32], fields: Sequence[str] = ()) -> ShardStep:
        """Act in every environment; those whose episode ends are reset within the step.

        Args:
            action: (n, action_dim) float32, used as it is.
            fields: Names of fields to return.

        Raises:
            TaskError: A name is not a field of the task, or the action has another shape. Nothing
                has happened then.
        """
        if action.shape != self._ctrl.shape:
            raise TaskError(f"the action has shape {action.shape}, not {self._ctrl.shape}")
        plan = self._plans.plan(tuple(fields))
        self._t += 1
        np.copyto(self._ctrl, action)
        self._knobs.push(self._episodes.length, self._seed, self._t)
        has_invalid = self._physics.advance()
        self.view.stepped()
        task, values = self.task, self._table.values
        # Diverged environments may hold anything; their results are discarded below.
        with np.errstate(all="ignore"):
            for refresh in plan.refreshes:
                refresh()
            previous, self._obs, self._next_obs = self._obs, self._next_obs, self._obs
            self._observer.write(self._obs)
            if plan.wants_obs:
                np.copyto(self._obs_f8, self._obs)
            if plan.wants_previous_obs:
                np.copyto(self._previous_obs_f8, previous)
            np.copyto(self._reward, task.reward(values, action))
            if task.terminated is not None:
                np.copyto(self._terminated, task.terminated(values, action))
            invalid = None
            if has_invalid or not np.isfinite(self._reward).all():
                self._physics.settle(self._reward, self._terminated)
                invalid = self._physics.invalid
            self._episodes.advance(values, action, self._reward, invalid)
            self.view.explain(values, action, self._reward)
        for _, source, copy in plan.requested:
            np.copyto(copy, source)
        np.copyto(self._previous_action, action)
        return self._finish(plan, invalid)

    def skip(self, fields: Sequence[str] = ()) -> ShardStep:
        """End all episodes as invalid instead of stepping, and begin new ones.

        For a step that ends every process that tries it.

        Args:
            fields: Names of fields to return; they are those of the step before.

        Raises:
            TaskError: A name is not a field of the task. Nothing has happened then.
        """
        plan = self._plans.plan(tuple(fields))
        self._t += 1
        self._obs, self._next_obs = self._next_obs, self._obs
        np.copyto(self._obs, self._next_obs)
        self._physics.skip()
        self._physics.settle(self._reward, self._terminated)
        np.add(self._episodes.length, 1, out=self._episodes.length)
        for _, source, copy in plan.requested:
            np.copyto(copy, source)
        return self._finish(plan, self._physics.invalid)

    def _finish(self, plan: StepPlan, invalid: Bools | None) -> ShardStep:
        """Judge which episodes ended, report and restart them."""
        episodes = self._episodes
        truncated = episodes.truncated(invalid)
        ended = self._no_rows
        final_obs = self._obs[:0]
        if (done := np.logical_or(self._terminated, truncated)).any():
            ended = np.flatnonzero(done).astype(np.int32)
            final_obs = self._obs[ended]
            if invalid is not None:
                np.nan_to_num(final_obs, copy=False)
        report = episodes.report(ended)
        if len(ended):
            self.view.ended(ended, self._terminated, report.success, self._physics.invalid)
            self._begin_drawn(ended)
        return ShardStep(
            obs=self._obs,
            reward=self._reward,
            terminated=self._terminated,
            truncated=truncated,
            invalid=self._physics.invalid,
            ended=ended,
            final_obs=final_obs,
            episode_return=report.episode_return,
            episode_length=report.length,
            episode_fitness=report.fitness,
            episode_success=report.success,
            fields={name: copy for name, _, copy in plan.requested},
        )

    def request_reset(self, env_index: int) -> None:
        """Truncate and reset one environment at the next step, for all to see."""
        self._episodes.pending[self._row(env_index)] = True

    def set_state(self, env_index: int, qpos: Floats, qvel: Floats) -> npt.NDArray[Any]:
        """Put one environment somewhere; its episode counters restart.

        Args:
            env_index: Row of the environment.
            qpos: (nq,) float64.
            qvel: (nv,) float64.

        Returns:
            Its observation there, (obs_dim,).

        Raises:
            TaskError: A shape is wrong or a number is not finite.
        """
        row = self._row(env_index)
        for name, given, own in (("qpos", qpos, self._qpos), ("qvel", qvel, self._qvel)):
            if given.shape != own.shape[1:]:
                raise TaskError(
                    f"{name} has shape {given.shape}; {self.task.info.id} needs {own.shape[1:]}"
                )
            if not np.isfinite(given).all():
                raise TaskError(f"{name} holds a number that is not finite")
        self._begin(np.array([row], np.int32), qpos[None], qvel[None])
        obs: npt.NDArray[Any] = self._obs[row]
        return obs

    def set_knobs(self, ranges: Ranges) -> npt.NDArray[Any]:
        """Draw knobs from these ranges from each environment's next episode on.

        Args:
            ranges: Knob -> (low, high). Those not named keep theirs.

        Returns:
            Observations (n, obs_dim), as they were.

        Raises:
            TaskError: There is no such knob, or a range is not within its limits. Nothing has
                happened then.
        """
        self._knobs.turn(ranges)
        return self._obs

    def env_state(self, env_index: int) -> EnvState:
        """Describe one environment; changes nothing."""
        row = self._row(env_index)
        fields = self._live.fields_of(row, self._table)
        fields["obs"] = self._obs[row].astype(np.float64)
        fields |= self._knobs.named(row)
        return EnvState(
            time_s=float(self._batch.bind("time")[row]),
            qpos=self._qpos[row].copy(),
            qvel=self._qvel[row].copy(),
            fields=fields,
            episode_return=float(self._episodes.episode_return[row]),
            episode_length=int(self._episodes.length[row]),
        )

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """The shard's whole state as plain arrays, all copies."""
        arrays = {
            "state": self._batch.state.copy(),
            "obs": self._obs.copy(),
            "previous_action": self._previous_action.copy(),
            "counters": np.array([_as_int64(self._seed), self._t, self.diverged_total]),
        }
        arrays |= self._episodes.snapshot() | self._knobs.snapshot()
        for name, keeper in self._table.rates.items():
            arrays[f"rate_before:{name}"] = keeper.before.copy()
            arrays[f"rate:{name}"] = keeper.value.copy()
        return arrays

    def restore(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Continue from a snapshot of a shard of the same task, size and dtype, bit for bit.

        Returns:
            Observations (n, obs_dim), as `reset` does.

        Raises:
            TaskError: The snapshot is of another task, size or dtype, or no shard's.
        """
        self._knobs.check(snapshot)
        own = self.snapshot()
        for name, array in own.items():
            if self._knobs.is_mine(name):
                continue
            given = snapshot.get(name)
            if given is None or given.shape != array.shape or given.dtype != array.dtype:
                raise TaskError(f"the snapshot's {name!r} does not fit a shard of this task")
        seed, t, diverged_total = map(int, snapshot["counters"])
        if not 0 <= t < MAX_T:
            raise TaskError(f"the snapshot's shard has done {t} commands")
        self._batch.state[...] = snapshot["state"]
        self.view.restored()
        self._obs[...] = snapshot["obs"]
        self._previous_action[...] = snapshot["previous_action"]
        self._seed, self._t, self._physics.diverged_total = seed, t, diverged_total
        self._episodes.restore(snapshot)
        self._knobs.restore(snapshot)
        for name, keeper in self._table.rates.items():
            keeper.before[...] = snapshot[f"rate_before:{name}"]
            keeper.value[...] = snapshot[f"rate:{name}"]
        return self._obs

    def _begin_drawn(self, rows: Ids) -> None:
        draw = self.task.reset.draw
        qpos, qvel = draw(self._seed, self._first_env_id, self._t, self.num_envs)
        self._begin(rows, qpos[rows], qvel[rows])

    def _begin(self, rows: Ids, qpos: Floats, qvel: Floats) -> None:
        """Start episodes in `rows` at the given states, one row each."""
        batch = self._batch
        self._knobs.begin(rows, self._seed, self._t)
        batch.state[rows] = self._initial_state
        self._qpos[rows] = qpos
        self._qvel[rows] = qvel
        # A state in which the engine fails fails again at the next step, where it is reported.
        with contextlib.suppress(mujoco.batch.SimulationError):
            batch.forward(rows)
        self._previous_action[rows] = 0.0
        self._episodes.begin(rows)
        with np.errstate(all="ignore"):
            self._table.begin(rows, self._after_reset)
            self._observer.write_rows(self._obs, rows)

    def _row(self, env_index: int) -> int:
        if not 0 <= env_index < self.num_envs:
            raise TaskError(f"there is no environment {env_index} in a shard of {self.num_envs}")
        return env_index


def _as_int64(seed: int) -> int:
    """The seed's low 64 bits as the signed number that an int64 array can hold."""
    low = seed % 2**64
    return low - 2**64 if low >= 2**63 else low
