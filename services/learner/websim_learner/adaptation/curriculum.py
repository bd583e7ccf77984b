"""How hard the environment is: when it becomes harder or easier, and how far a policy can follow.

Pure functions of evaluations. A policy is measured at harder environments before it trains in
them (as RAPP of DrEureka does), and goes no further than it keeps a share of what is asked.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from websim.client.knobs import Knobs, as_ranges
from websim.service.errors import UserError
from websim.tasks.knobs import ranges_at
from websim.wire.messages import KnobInfo, TaskInfo

Ranges = Mapping[str, tuple[float, float]]

STEP = 0.1
"""Of difficulty: levels that are measured lie so far apart."""

KEEP_SHARE = 0.8
"""Of what is asked, that a policy keeps where the environment may become as hard."""

LOWER_SHARE = 0.5
"""Of what is asked: below it the environment becomes easier."""

IN_A_ROW = 2
"""Evaluations that agree, before anything changes."""

PAUSE = 4
"""Evaluations between two attempts to leave the nominal environment."""

TASK_SHARE = 0.25
"""Of the envs, that another task gets."""

MAX_NEXT_TASKS = 3
"""So that the run's own task keeps its share beside them."""

MIXES = (0.25, 0.5, 0.75, 1.0)
"""How far towards the ranges that are proposed a policy is measured."""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that a policy was measured in, or is to be."""

    difficulty: float | None
    """None: not one of the task's difficulties."""
    ranges: dict[str, tuple[float, float]]
    task: str = ""
    """Another task than the run's own; empty: its own."""
    value: float | None = None
    """What the policy reached there: mean fitness, or share of successes; None: not measured."""


def floor(asked: float, share: float) -> float:
    """Return a share of what is asked; of a negative number, as much below it."""
    return asked - (1.0 - share) * abs(asked)


def ranges_asked(
    task: TaskInfo, knobs: Knobs, difficulty: float | None
) -> dict[str, tuple[float, float]]:
    """Return the ranges that a person asks for.

    Args:
        task: what the envs simulate.
        knobs: ranges of some knobs.
        difficulty: all knobs instead; None: these.

    Raises:
        UserError: the task has no knobs, not these, or a range is wider than it allows.
    """
    if not task.knobs:
        raise UserError(f"{task.id} has no knobs", "Its task file may name some.")
    wanted = knobs if difficulty is None else ranges_at(task.knobs, difficulty)
    return as_ranges(task.knobs, wanted)


def harder(knobs: Sequence[KnobInfo], difficulty: float) -> list[Level]:
    """Return the levels beyond a difficulty, the easiest first; none beyond 1."""
    count = math.ceil(round((1.0 - difficulty) / STEP, 6))
    levels = [min(1.0, round(difficulty + STEP * k, 6)) for k in range(1, count + 1)]
    return [Level(difficulty=each, ranges=ranges_at(knobs, each)) for each in levels]


def towards(knobs: Sequence[KnobInfo], current: Ranges, wanted: Ranges) -> list[Level]:
    """Return levels between the present ranges and those that are wanted, the nearest first."""
    now = {knob.name: current.get(knob.name, (knob.nominal, knob.nominal)) for knob in knobs}
    return [
        Level(
            difficulty=None,
            ranges={
                name: tuple(a + share * (b - a) for a, b in zip(now[name], ends, strict=True))  # type: ignore[misc]
                for name, ends in wanted.items()
            },
        )
        for share in MIXES
    ]


def followed(values: Sequence[float], asked: float) -> int:
    """Return how many levels, the easiest first, a policy can follow: all up to the first it fails.

    Args:
        values: what it reached at each.
        asked: what is asked.
    """
    for index, value in enumerate(values):
        if not value >= floor(asked, KEEP_SHARE):
            return index
    return len(values)


def advice(values: Sequence[float], asked: float) -> Literal["harder", "easier"] | None:
    """Return what the last values say, reached in the environment as it is since it changed."""
    recent = values[-IN_A_ROW:]
    if len(recent) < IN_A_ROW:
        return None
    if all(value >= asked for value in recent):
        return "harder"
    if all(value < floor(asked, LOWER_SHARE) for value in recent):
        return "easier"
    return None
