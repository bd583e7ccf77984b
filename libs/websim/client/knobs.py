"""What people write for ranges of knobs, made into what travels."""

from collections.abc import Mapping, Sequence

from websim.client.errors import FleetError
from websim.tasks.knobs import refuse_ranges
from websim.wire.messages import KnobInfo

Knobs = Mapping[str, float | tuple[float, float]]
"""Knob -> (low, high), or one number for both."""


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
