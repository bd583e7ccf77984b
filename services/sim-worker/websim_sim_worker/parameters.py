"""Merge a client's overrides into a task's parameters, refusing what does not fit."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from websim.tasks import TaskDocument, TaskError
from websim.tasks.document import Value
from websim.tasks.names import OVERRIDABLE

_BOUNDS = {"frame_skip": (1, 1000), "max_episode_steps": (1, 1_000_000)}
"""Bounds of the document's own numbers, as in the schema."""
_EXACT = (-(2**53), 2**53)
"""Bounds of other whole numbers: beyond them a float64 no longer tells neighbours apart."""


@dataclass(frozen=True)
class Settings:
    """A task's parameters after overrides; `horizon` is max_episode_steps."""

    parameters: dict[str, Value]
    frame_skip: int
    horizon: int


def merge_overrides(document: TaskDocument, overrides: Mapping[str, object]) -> Settings:
    """Return the task's settings with `overrides` applied.

    Raises:
        TaskError: An override has no such parameter, or is of another type or length.
    """
    defaults: dict[str, Value] = {
        "frame_skip": document.frame_skip,
        "max_episode_steps": document.max_episode_steps,
    }
    defaults |= {parameter.name: parameter.value for parameter in document.parameters}
    values = dict(defaults)
    for name, value in overrides.items():
        if name not in defaults:
            close = difflib.get_close_matches(name, defaults, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(defaults)}"
            raise TaskError(f"{document.id} has no parameter {name!r}", remedy=remedy)
        values[name] = _converted(name, value, defaults[name])
    frame_skip, horizon = (values.pop(name) for name in OVERRIDABLE)
    return Settings(values, int(frame_skip), int(horizon))  # type: ignore[arg-type]


def _converted(name: str, value: object, default: Value) -> Value:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    where = f"parameter {name}"
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise TaskError(f"{value!r} is not true or false", where=where)
    if isinstance(default, str):
        if isinstance(value, str | int) and not isinstance(value, bool):
            return value
        raise TaskError(f"{value!r} is not a name", where=where)
    if isinstance(default, tuple):
        if not isinstance(value, list | tuple) or len(value) != len(default):
            raise TaskError(f"{value!r} is not a list of {len(default)} numbers", where=where)
        return tuple(_number(item, where) for item in value)
    if isinstance(default, int):
        if isinstance(value, bool) or not isinstance(value, int):
            raise TaskError(f"{value!r} is not a whole number", where=where)
        low, high = _BOUNDS.get(name, _EXACT)
        if not low <= value <= high:
            raise TaskError(f"{value} is not from {low} to {high}", where=where)
        return value
    return _number(value, where)


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise TaskError(f"{value!r} is not a number", where=where)
    return float(value)
