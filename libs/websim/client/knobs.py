"""What people write for ranges of knobs, made into what travels."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from websim.client.errors import FleetError
from websim.service.errors import UserError
from websim.tasks.knobs import refuse_ranges
from websim.wire.messages import KnobInfo

Knobs = Mapping[str, float | tuple[float, float]]
"""Knob -> (low, high), or one number for both."""


def read_knobs(pairs: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Return the ranges that a command line has, each as NAME=LOW,HIGH or NAME=VALUE.

    Raises:
        UserError: one is written otherwise, or names a knob that another one has named.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            low, high = map(float, text.split(",") if "," in text else (text, text))
        except ValueError:
            low = high = math.nan
        if not (name and math.isfinite(low) and math.isfinite(high)):
            raise UserError(f"{pair} is no range of a knob", "Write NAME=LOW,HIGH or NAME=VALUE.")
        if low > high:
            raise UserError(f"{pair} has its low end above its high one", "Write NAME=LOW,HIGH.")
        if name in ranges:
            raise UserError(f"the knob {name} is named twice", "Name it once.")
        ranges[name] = (low, high)
    return ranges


def as_pairs(knobs: Knobs) -> list[str]:
    """Return ranges as `read_knobs` reads them: what is none is refused there."""
    return [
        f"{name}={','.join(map(str, value)) if isinstance(value, tuple | list) else value}"
        for name, value in knobs.items()
    ]


def refuse_both(named: Collection[str], difficulty: float | None) -> None:
    """Refuse knobs by name beside a difficulty, which turns all of them.

    Raises:
        UserError: both are asked for.
    """
    if named and difficulty is not None:
        raise UserError("knobs are turned by name or by --difficulty, not both at once")


def as_ranges(infos: Sequence[KnobInfo], knobs: Knobs) -> dict[str, tuple[float, float]]:
    """Return ranges as they travel.

    Raises:
        FleetError: the task has no such knob, or a range is wider than it allows.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for name, value in knobs.items():
        try:
            low, high = (value, value) if isinstance(value, int | float) else value
            ranges[name] = (float(low), float(high))
        except (TypeError, ValueError):
            raise FleetError(
                f"{value!r} is no range of the knob {name}", "Write a number or (low, high)."
            ) from None
    if (refusal := refuse_ranges(infos, ranges)) is not None:
        problem, remedy = refusal
        stop = "" if remedy.endswith("?") else "."
        raise FleetError(problem, f"{remedy[0].upper()}{remedy[1:]}{stop}")
    return ranges
