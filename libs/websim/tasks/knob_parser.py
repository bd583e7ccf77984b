"""The knobs of a task file: what the JSON Schema cannot say about one."""

import math
from typing import Any

from websim.tasks.document import KnobSpec, KnobTarget, ObjectKind, PushTimes
from websim.tasks.errors import TaskError
from websim.tasks.strict_yaml import YamlFile

SELECTED_BY: dict[KnobTarget, ObjectKind | None] = {
    "gravity": None,
    "mass": "body",
    "friction": "geom",
    "damping": "joint",
    "actuator_strength": "actuator",
    "push": "body",
    "terrain": "geom",
}
"""The kind of objects that a target is selected by."""

LEAST = {"mass": 1e-3, "friction": 1e-5, "terrain": 1e-3}
"""Smallest value of a target, 0 for the others: the engine takes no mass and no friction of 0."""
MOST_SCALE = 100.0
MOST = 1e6
"""Largest value of a knob that scales, and of one that sets."""

_SELECTIONS: tuple[ObjectKind, ...] = ("body", "geom", "joint", "actuator")
_PUSH_KEYS = ("period_s", "duration_s", "along")


def parse_knob(read: YamlFile, name: str, data: dict[str, Any]) -> KnobSpec:
    """Read one knob of a task file that the schema found well-formed.

    Raises:
        TaskError: One line: what is wrong, where, and what to do.
    """
    where = read.where("knobs", name)
    target: KnobTarget = data["target"]
    kind = data.get("kind", "set" if target == "push" else "scale")
    _check_keys(data, target, kind, where)
    selected = SELECTED_BY[target]
    objects = data.get(selected) if selected else None
    hard = data.get("hard", data["range"])
    spec = KnobSpec(
        name=name,
        target=target,
        kind=kind,
        objects_kind=selected if objects is not None else None,
        objects=tuple(objects) if isinstance(objects, list) else objects,
        range=_pair(data["range"]),
        hard=_pair(hard) if isinstance(hard, list) else float(hard),
        nominal=float(data["nominal"]) if "nominal" in data else None,
        push=PushTimes(**{key: data[key] for key in _PUSH_KEYS if key in data}),
        unit=data.get("unit", ""),
        description=" ".join(data.get("description", "").split()),
        where=where,
    )
    _check_numbers(spec)
    return spec


def _check_keys(data: dict[str, Any], target: KnobTarget, kind: str, where: str) -> None:
    wanted = SELECTED_BY[target]
    if stray := [key for key in _SELECTIONS if key in data and key != wanted]:
        by = f"selected by {wanted}" if wanted else "of the whole model"
        raise TaskError(f"{target} is {by}, not by {stray[0]}", where=where)
    if target != "push" and (stray_keys := [key for key in _PUSH_KEYS if key in data]):
        raise TaskError(f"{stray_keys[0]!r} belongs to a push", where=where)
    if target == "push" and kind != "set":
        raise TaskError("a push is a force in N; there is none to scale", where=where)
    if target in ("actuator_strength", "terrain") and kind != "scale":
        raise TaskError(f"{target} can only be scaled", where=where, remedy="leave out kind")


def _check_numbers(spec: KnobSpec) -> None:
    low, high = spec.range
    least, most = LEAST.get(spec.target, 0.0), MOST_SCALE if spec.kind == "scale" else MOST
    hard = spec.hard if isinstance(spec.hard, tuple) else (spec.hard, spec.hard)
    numbers = [low, high, *hard] if spec.nominal is None else [low, high, *hard, spec.nominal]
    if not all(math.isfinite(number) for number in numbers):
        raise TaskError("a knob's numbers are finite", where=spec.where)
    if not least <= low <= high <= most:
        raise TaskError(
            f"the range is [{low:g}, {high:g}]; low and high are from {least:g} to {most:g}, "
            "in this order",
            where=spec.where,
        )
    if not low <= hard[0] <= hard[1] <= high:
        raise TaskError(f"hard is not within the range [{low:g}, {high:g}]", where=spec.where)
    if spec.push.duration_s >= spec.push.period_s:
        raise TaskError("a push lasts less than its period", where=spec.where)


def _pair(data: list[Any]) -> tuple[float, float]:
    low, high = data
    return float(low), float(high)
