"""What rollouts are judged by: the task's own reward, or a program evaluated on fields.

The worker's own task reward always arrives; a program is evaluated here, on the fields that were
asked for with every step, so that changing the reward needs no word with the fleet and no rollout
ever mixes two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from websim.programs import Program, ProgramError, ProgramSchema, compile_program
from websim.programs.guard import GuardedReward, evaluate_guarded
from websim.programs.sandbox import STRIKES, SandboxedProgram, SandboxError
from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.points import ComponentTally
from websim_learner.models import ActionScale
from websim_learner.rollout import Rollout
from websim_learner.tallies import tally

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TASK_REWARD_ID = "task"

LOST_SHARE = 0.1
"""Of a rollout's transitions: where a reward has no number for as many, it is judged by zeros that
nobody has written. A rare singularity is far below."""


@dataclass(frozen=True)
class Judgement:
    """A rollout's rewards and what had to be done to make them usable."""

    reward: NDArray[np.float64]
    """Shape: (T, N)."""
    nonfinite_rows: int = 0
    """Transitions whose reward was not a finite number; it became 0."""
    clipped_rows: int = 0
    """Transitions whose reward was beyond the limit."""
    components: dict[str, ComponentTally] = field(default_factory=dict)
    """Of a program that names components, over the valid transitions."""
    lost_share: float = 0.0
    """Of all transitions: valid ones whose reward was no finite number. Where an env diverged no
    reward has numbers."""


class RewardFailed(Exception):
    """A program gives no rewards any more; the text says why."""


class Reward(Protocol):
    """Judges rollouts."""

    @property
    def id(self) -> str:
        """Names it for good: stored with every rollout."""

    @property
    def source(self) -> str | None:
        """The program's text; None for the task's own."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the task that it reads."""

    def judge(self, rollout: Rollout) -> Judgement:
        """Return the reward of every transition.

        Raises:
            RewardFailed: there is none to be had; judge by another reward.
        """

    def judge_step(
        self, fields: Mapping[str, Float64], action: Float32, task_reward: Float64
    ) -> GuardedReward:
        """Return the rewards, and their components, of one step of n envs.

        Args:
            fields: at least those it reads. Shape: (n,) or (n, columns).
            action: as the envs received it. Shape: (n, action_dim).
            task_reward: the task's own. Shape: (n,).

        Raises:
            RewardFailed: there is none to be had.
        """

    def close(self) -> None:
        """Give back what it holds; it judges no more."""


class TaskReward:
    """The task's own reward, as the worker computed it."""

    id = TASK_REWARD_ID
    source = None
    fields: tuple[str, ...] = ()

    def judge(self, rollout: Rollout) -> Judgement:
        """Return the reward of every transition."""
        return Judgement(rollout.task_reward)

    def judge_step(
        self, fields: Mapping[str, Float64], action: Float32, task_reward: Float64
    ) -> GuardedReward:
        """Return the rewards of one step."""
        return GuardedReward(task_reward)

    def close(self) -> None:
        """Do nothing."""


class ProgramReward:
    """A reward program, run in a confined child process: it may be a language model's text."""

    def __init__(self, program: Program, action_scale: ActionScale, num_envs: int) -> None:
        """Judge by a program.

        Args:
            program: the compiled reward.
            action_scale: gives the actions as the envs received them.
            num_envs: rows of a call.

        Raises:
            SandboxError: no confined child is to be had.
        """
        self._program = SandboxedProgram(program, num_rows=num_envs)
        self._action_scale = action_scale
        self.id = program.id
        self.source = program.source
        self.fields = program.fields

    def judge(self, rollout: Rollout) -> Judgement:
        """Return the reward of every transition."""
        reward = np.empty_like(rollout.task_reward)
        nonfinite = clipped = lost = 0
        parts: list[dict[str, Float64]] = []
        action = self._action_scale(rollout.action)
        for t in range(rollout.num_steps):
            fields = {name: values[t] for name, values in rollout.fields.items()}
            guarded = self.judge_step(fields, action[t], rollout.task_reward[t])
            reward[t] = guarded.total
            valid = ~rollout.invalid[t]
            parts.append({name: part[valid] for name, part in guarded.components.items()})
            nonfinite += guarded.nonfinite_rows
            lost += 0 if guarded.lost is None else int((guarded.lost & valid).sum())
            clipped += guarded.clipped_rows
        names = parts[0] if parts else {}
        components = {name: np.concatenate([part[name] for part in parts]) for name in names}
        share = lost / max(1, reward.size)
        return Judgement(reward, nonfinite, clipped, tally(components), share)

    def close(self) -> None:
        """End the child."""
        self._program.close()

    def judge_step(
        self, fields: Mapping[str, Float64], action: Float32, task_reward: Float64
    ) -> GuardedReward:
        """Return the rewards of one step."""
        # A deadline can be missed because the machine was busy, so a call is made again.
        problem = ""
        for _ in range(STRIKES):
            try:
                return evaluate_guarded(self._program, fields, action)
            except SandboxError as error:
                problem = str(error)
        raise RewardFailed(problem)


def fields_of(source: str | None, task: TaskInfo) -> tuple[str, ...]:
    """Return the fields of a task that a reward reads; none where its text is refused."""
    if source is None:
        return ()
    fields = {field.name: field.columns for field in task.fields}
    try:
        return compile_program(source, ProgramSchema(fields, task.action_dim)).fields
    except ProgramError:
        return ()


def make_reward(source: str | None, task: TaskInfo, num_envs: int) -> Reward:
    """Return the reward of a source text, or the task's own for None.

    Args:
        source: a reward program.
        task: whose fields it may read.
        num_envs: envs whose transitions it judges at once.

    Raises:
        UserError: the text is refused, or cannot be run here; says why.
    """
    if source is None:
        return TaskReward()
    fields = {field.name: field.columns for field in task.fields}
    scale = ActionScale.of(task.action_low, task.action_high)
    try:
        program = compile_program(source, ProgramSchema(fields, task.action_dim))
        return ProgramReward(program, scale, num_envs)
    except ProgramError as error:
        raise UserError(f"the reward program is refused: {error}") from None
    except SandboxError as error:
        raise UserError(f"the reward program cannot be run: {error}") from None
