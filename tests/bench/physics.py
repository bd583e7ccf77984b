"""MuJoCo alone: one mujoco.batch.Batch on all cores, nothing timed but Batch.step.

The most that these cores can do of a task's physics. Actions are random and episodes end and begin
as they do in the task, so that the bodies are in the same states; both happen outside the timing.
"""

import time
from typing import Any

import mujoco
import mujoco.batch
import numpy as np
from numpy.typing import NDArray
from subject import Count, random_actions

from websim_sim_worker.engine import time_engine
from websim_sim_worker.fields import Field
from websim_sim_worker.table import FieldTable
from websim_sim_worker.tasks import CompiledTask


class MujocoAlone:
    """`num_envs` simulations of a task's model stepped as one batch.

    Args:
        task: what to simulate.
        num_envs: simulations of the batch.
        cores: its threads.
        seed: of actions and resets.
        timers: with the engine's profiling timers, as its Python package runs it; workers do
            without.
    """

    def __init__(
        self, task: CompiledTask, num_envs: int, cores: int, seed: int, *, timers: bool = True
    ) -> None:
        self.key = "mujoco" if timers else "mujoco_untimed"
        self.label = "MuJoCo alone" if timers else "MuJoCo, timers off"
        self.num_envs = num_envs
        self._timers = timers
        self._task = task
        self._cores = cores
        self._seed = seed
        self._t = 0

    def open(self) -> None:
        """Build the batch and start all episodes."""
        task, info = self._task, self._task.info
        self._batch = mujoco.batch.Batch(task.model, self.num_envs, nthread=self._cores)
        self._qpos, self._qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._ctrl = self._batch.bind("ctrl")
        self._actions = random_actions(
            np.array(info.action_low), np.array(info.action_high), self.num_envs, self._seed
        )
        # Only what the end of an episode depends on is bound: binding more makes a step copy more.
        self._fields = FieldTable(
            _read_by_termination(task),
            num_rows=self.num_envs,
            dt_s=info.dt_s,
            locate=self._locate,
            compute=lambda array: None,
        )
        self._refreshes = self._fields.plan(task.terminated.fields if task.terminated else ())
        self._length = np.zeros(self.num_envs, np.int64)
        self._begin(np.arange(self.num_envs, dtype=np.int32))

    def block(self, seconds: float) -> Count:
        """Step until Batch.step has taken `seconds`."""
        wall_s = cpu_s = 0.0
        steps = 0
        time_engine(on=self._timers)
        while wall_s < seconds:
            self._t += 1
            action = self._actions[self._t % len(self._actions)]
            np.copyto(self._ctrl, action)
            cpu_before, before = time.process_time(), time.perf_counter()
            self._batch.step(nstep=self._task.frame_skip)
            wall_s += time.perf_counter() - before
            cpu_s += time.process_time() - cpu_before
            steps += self.num_envs
            self._restart_ended(action)
        time_engine(on=True)
        return Count(steps, wall_s, steps, cpu_s)

    def memory_bytes(self) -> int | None:
        """Return None: it lives in the bench's own process."""
        return None

    def close(self) -> None:
        """Drop the batch."""
        del self._batch, self._fields, self._refreshes, self._qpos, self._qvel, self._ctrl

    def _restart_ended(self, action: NDArray[np.float32]) -> None:
        self._length += 1
        ended = self._length >= self._task.info.max_episode_steps
        if self._task.terminated is not None:
            for refresh in self._refreshes:
                refresh()
            ended |= self._task.terminated(self._fields.values, action)
        if ended.any():
            self._begin(np.flatnonzero(ended).astype(np.int32))

    def _begin(self, rows: NDArray[np.int32]) -> None:
        reset = self._task.reset
        qpos, qvel = reset.draw(self._seed, 0, self._t, self.num_envs)
        self._batch.reset(rows, keyframe=reset.keyframe, stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._qpos[rows], self._qvel[rows] = qpos[rows], qvel[rows]
        self._batch.forward(rows)
        self._length[rows] = 0

    def _locate(self, array: str) -> tuple[NDArray[Any], int]:
        return self._batch.bind(array).reshape(self.num_envs, -1), 0


def _read_by_termination(task: CompiledTask) -> dict[str, Field]:
    """Return the fields that the task's termination reads, and those that they are made of."""
    found: dict[str, Field] = {}
    pending = list(task.terminated.fields) if task.terminated else []
    while pending:
        name = pending.pop()
        if name in task.fields and name not in found:
            found[name] = task.fields[name]
            pending += task.fields[name].reads
    return found
