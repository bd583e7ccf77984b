"""Check that every name in a task file refers to something, and that fields form no cycle."""

import difflib
import re
from collections.abc import Iterable

from websim.tasks.document import (
    AUTOMATIC_FIELDS,
    Clip,
    Difference,
    Elementwise,
    Expression,
    FieldSpec,
    Objects,
    Quantity,
    Rate,
    Reference,
    Scalar,
    Source,
    TaskDocument,
)
from websim.tasks.errors import TaskError

_STATE_NAME = re.compile(r"\bstate\s*\.\s*([A-Za-z_][A-Za-z0-9_]*)")

OVERRIDABLE = ("frame_skip", "max_episode_steps")
"""Keys of the file that make_vec(...) may override like parameters."""


def fields_read(quantity: Quantity) -> tuple[str, ...]:
    """Names of the fields that a quantity is made of."""
    match quantity:
        case Rate(field) | Elementwise(_, field) | Reference(field):
            return (field,)
        case Difference(left, right):
            return (left, right)
        case Expression(text):
            return tuple(dict.fromkeys(_STATE_NAME.findall(text)))
    return ()


def check_names(document: TaskDocument) -> None:
    """Raise TaskError at the first name that refers to nothing."""
    parameters = [parameter.name for parameter in document.parameters]
    for name in (*OVERRIDABLE, *_RESERVED):
        if name in parameters:
            raise TaskError(f"{name!r} is a name of the task format; call the parameter otherwise")
    by_name = {spec.name: spec for spec in document.fields}
    for spec in document.fields:
        if spec.name in AUTOMATIC_FIELDS:
            raise TaskError(f"every task has the field {spec.name!r} already", where=spec.where)
        _check_field(spec, by_name, parameters)
    _refuse_cycles(by_name)
    for part in document.observation:
        for name in fields_read(part.quantity):
            if name != "time_s":
                _must_be(name, by_name, "field", part.where)
        _check_scalars((part.when, part.unless), parameters, part.where)
        _check_clip(part.clip, parameters, part.where)
        _check_objects(part.quantity, parameters, part.where)
    for noise in (document.reset.qpos, document.reset.qvel):
        if noise is not None:
            _check_scalars((noise.scale,), parameters, noise.where)
            for joint in noise.joints:
                _check_scalars((joint.center, joint.scale), parameters, noise.where)
    for knob in document.knobs:
        _check_parameter(knob.objects, parameters, knob.where)


def _check_field(spec: FieldSpec, by_name: dict[str, FieldSpec], parameters: list[str]) -> None:
    for name in fields_read(spec.quantity):
        if name in AUTOMATIC_FIELDS:
            if not isinstance(spec.quantity, Expression) or name != "time_s":
                raise TaskError(f"a field cannot be made of {name!r}", where=spec.where)
        else:
            _must_be(name, by_name, "field", spec.where)
    if isinstance(spec.quantity, Rate):
        base = by_name[spec.quantity.field]
        if isinstance(base.quantity, Rate):
            raise TaskError("a rate of a rate is not kept", where=spec.where)
    _check_clip(spec.clip, parameters, spec.where)
    _check_objects(spec.quantity, parameters, spec.where)


def _check_clip(clip: Clip | None, parameters: list[str], where: str) -> None:
    if clip is not None:
        _check_scalars((clip,) if isinstance(clip, str) else clip, parameters, where)


def _check_scalars(scalars: Iterable[Scalar | None], parameters: list[str], where: str) -> None:
    for scalar in scalars:
        if isinstance(scalar, str):
            _must_be(scalar, parameters, "parameter", where)


def _check_objects(quantity: Quantity, parameters: list[str], where: str) -> None:
    if isinstance(quantity, Source):
        _check_parameter(quantity.objects, parameters, where)


def _check_parameter(objects: Objects | None, parameters: list[str], where: str) -> None:
    if isinstance(objects, str) and objects.startswith("$"):
        _must_be(objects[1:], parameters, "parameter", where)


def _must_be(name: str, known: Iterable[str], kind: str, where: str) -> None:
    known = list(known)
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        remedy = f"did you mean {close[0]!r}?"
    else:
        remedy = f"the task has {', '.join(known[:20])}" if known else f"the task has no {kind}s"
    raise TaskError(f"there is no {kind} {name!r}", where=where, remedy=remedy)


def _refuse_cycles(by_name: dict[str, FieldSpec]) -> None:
    done: set[str] = set()
    for start in by_name:
        path: list[str] = []
        pending = [(start, False)]
        while pending:
            name, leaving = pending.pop()
            if leaving:
                path.pop()
                done.add(name)
            elif name in path:
                cycle = " -> ".join([*path[path.index(name) :], name])
                raise TaskError(f"fields made of one another: {cycle}", where=by_name[name].where)
            elif name not in done and name in by_name:
                path.append(name)
                pending.append((name, True))
                pending += [(other, False) for other in fields_read(by_name[name].quantity)]


_RESERVED = ("dt", "timestep", "initial_qpos", "body_mass", "total_mass", "gravity")
"""Names that programs may use besides the parameters."""
