"""What a run is for: a description in words and the fitness it is judged by, fixed together."""

from collections.abc import Sequence
from typing import Literal

import msgspec

GoalKind = Literal["task", "program", "none"]
"""Judged by the task's own fitness, by a program, or by no number: a person judges."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A goal and its measure. Neither changes once it is set; another goal is a new one."""

    n: int = 0
    """Number within the run; 0 is what the run started with."""
    description: str = ""
    """In words; empty for the task's own purpose."""
    kind: GoalKind = "task"
    program: str | None = None
    """A fitness program, evaluated each step, for kind "program"."""
    accumulate: Literal["sum", "last", "max"] = "sum"
    """How an episode's fitness is made of its steps'."""
    per_horizon: bool = False
    """Divided by the nominal horizon: an early end then freezes it."""
    unit: str = ""
    fitness_description: str = ""
    """What the fitness measures, for people; for kind "none" why there is no number."""
    trouble: str = ""
    """Why there is no number although there was to be one, and what to do; for kind "none"."""
    target: float | None = None
    """Fitness at which the goal is reached; None: there is always a better one."""
    understood: tuple[str, ...] = ()
    """Words that the measure rests on."""
    not_understood: tuple[str, ...] = ()
    """Words that it leaves out."""
    failures: tuple[str, ...] = ()
    """Who else gave no answer, in sentences for people."""

    def without_measure(self, why: str) -> "Goal":
        """Return the same goal for a person to judge, as its measure gives no numbers."""
        return msgspec.structs.replace(
            self,
            kind="none",
            program=None,
            fitness_description="no number, as its measure cannot be used: a person judges",
            trouble=f"{why}; a person judges until the goal is set again with another measure",
            target=None,
        )

    @property
    def by_fitness(self) -> bool:
        """Whether fitness judges; else only a person does, and no number overrules their word."""
        return self.kind != "none"

    @property
    def in_words(self) -> str:
        """How it is measured and what that leaves out, for people."""
        left_out = caveat(self.not_understood, self.failures)
        measure = self.fitness_description
        return f"{measure.rstrip('.')}. {left_out}" if left_out else measure


def caveat(not_understood: Sequence[str], failures: Sequence[str]) -> str:
    """Return what an answer leaves out and who else gave none, for people; mostly nothing."""
    words = ", ".join(f'"{each}"' for each in not_understood)
    return " ".join([*([f"Not understood: {words}."] if words else []), *failures])
