"""A goal's measure: the fitness of episodes by the goal's own program, as a worker would count it.

The program is a text from outside, perhaps a language model's, so it runs in the sandbox. What an
episode's fitness is made of follows the worker's own rules to the bit: a task whose fitness is
written as a goal's program gets the very same numbers from both.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from websim.programs import ProgramError, ProgramSchema, compile_program
from websim.programs.sandbox import STRIKES, SandboxedProgram, SandboxError
from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.goal import Goal

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


class MeasureFailed(UserError):
    """The goal's program gives no numbers any more, so nothing can be judged by it."""


class GoalMeasure:
    """Measures episodes by a goal's program."""

    def __init__(self, goal: Goal, task: TaskInfo, num_envs: int = 1024) -> None:
        """Compile a goal's program and start its sandbox.

        Args:
            goal: of kind "program".
            task: whose fields the program may read.
            num_envs: envs to have room for in a call; more are made room for when they come.

        Raises:
            UserError: the program is refused, or cannot be run here; says why.
        """
        if goal.kind != "program" or goal.program is None:
            raise ValueError(f"a goal of kind {goal.kind!r} has no program to measure by")
        columns = {field.name: field.columns for field in task.fields}
        remedy = "Correct the goal's fitness program."
        try:
            schema = ProgramSchema(columns, task.action_dim)
            program = compile_program(goal.program, schema, "fitness")
            self._program = SandboxedProgram(program, num_rows=num_envs)
        except ProgramError as error:
            raise UserError(f"the goal's fitness program is refused: {error}", remedy) from None
        except SandboxError as error:
            raise UserError(f"the goal's fitness program cannot be run: {error}", remedy) from None
        self.goal = goal
        self.fields = program.fields
        """Fields of the task that it reads."""
        self.divisor = float(task.max_episode_steps) if goal.per_horizon else 1.0
        """What an episode's accumulated value is divided by: steps of a full episode, or 1."""

    def values(self, fields: Mapping[str, Float64], action: Float32) -> NDArray[np.floating]:
        """Return the program's value of one step of n envs. Shape: (n,).

        Args:
            fields: at least those it reads. Shape: (n,) or (n, columns).
            action: as the envs received it. Shape: (n, action_dim).

        Raises:
            MeasureFailed: the program failed, and again when it was asked again.
        """
        problem = ""
        # A deadline can be missed because the machine was busy, so a call is made again.
        for _ in range(STRIKES):
            try:
                values: NDArray[np.floating] = self._program(fields, action)
                return values
            except SandboxError as error:
                problem = str(error)
        raise MeasureFailed(
            f"the goal's fitness program failed: {problem}", "Set the goal again with another one."
        )

    def begin(self, num_envs: int) -> "FitnessTally":
        """Return the fitness of num_envs episodes that begin now."""
        return FitnessTally(self, num_envs)

    def close(self) -> None:
        """End the sandboxed child; it measures no more."""
        self._program.close()


class FitnessTally:
    """The fitness so far of n episodes, one of each env."""

    def __init__(self, measure: GoalMeasure, num_envs: int) -> None:
        self._measure = measure
        start = -np.inf if measure.goal.accumulate == "max" else 0.0
        self._values: Float64 = np.full(num_envs, start)

    def add(self, fields: Mapping[str, Float64], action: Float32, where: Bool) -> None:
        """Take in one step.

        Args:
            fields: where the action led. Shape: (n,) or (n, columns).
            action: as the envs received it. Shape: (n, action_dim).
            where: transitions that count; invalid ones pass time and earn nothing. Shape: (n,).
        """
        step = self._measure.values(fields, action)
        match self._measure.goal.accumulate:
            case "sum":
                np.add(self._values, step, out=self._values, where=where)
            case "max":
                np.maximum(self._values, step, out=self._values, where=where)
            case "last":
                np.copyto(self._values, step, where=where)

    def report(self) -> Float64:
        """Return the episodes' fitness; 0 for one without a valid step. Shape: (n,)."""
        fitness: Float64 = (
            np.where(np.isneginf(self._values), 0.0, self._values) / self._measure.divisor
        )
        return fitness
