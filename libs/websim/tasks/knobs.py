"""Ranges of a task's knobs: those of a difficulty, and what is wrong with those somebody asks for.

Pure functions of a TaskInfo's knobs. Used by learners (curriculum), clients and sim workers.
"""

import difflib
from collections.abc import Mapping, Sequence

from websim.wire.messages import KnobInfo

Ranges = Mapping[str, tuple[float, float]]
"""For each knob [low, high], in its unit: what episodes draw from, uniformly."""


def ranges_at(knobs: Sequence[KnobInfo], difficulty: float) -> dict[str, tuple[float, float]]:
    """Return the ranges of all knobs at a difficulty: nominal at 0, the hard range at 1.

    Args:
        knobs: A task's.
        difficulty: From 0 to 1; the ends of each range move linearly with it.
    """
    if not 0.0 <= difficulty <= 1.0:
        raise ValueError(f"a difficulty of {difficulty} is not from 0 to 1")
    return {
        knob.name: (
            _between(knob.nominal, knob.hard_low, difficulty),
            _between(knob.nominal, knob.hard_high, difficulty),
        )
        for knob in knobs
    }


def refuse_ranges(knobs: Sequence[KnobInfo], ranges: Ranges) -> tuple[str, str] | None:
    """Return what is wrong with ranges that somebody asks for, and the remedy; None: nothing."""
    known = {knob.name: knob for knob in knobs}
    for name, (low, high) in ranges.items():
        knob = known.get(name)
        if knob is None:
            close = difflib.get_close_matches(name, known, n=1)
            has = f"it has {', '.join(known)}" if known else "it has none"
            return f"the task has no knob {name!r}", f"did you mean {close[0]!r}?" if close else has
        if not knob.low <= low <= high <= knob.high:
            return (
                f"[{low:g}, {high:g}] is no range of the knob {name}",
                f"choose low and high from {knob.low:g} to {knob.high:g} {knob.unit}".rstrip(),
            )
    return None


def _between(nominal: float, hard: float, difficulty: float) -> float:
    # Rounding must not lead beyond the hard end, which may be the widest allowed.
    value = nominal + difficulty * (hard - nominal)
    return min(max(value, min(nominal, hard)), max(nominal, hard)) if difficulty < 1.0 else hard
