"""Resolve a task's fields and observation against its model: columns, labels, programs.

Called when a task is compiled; `table.py` evaluates the result on live arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco

from websim.programs import Program, ProgramError, ProgramKind, ProgramSchema, compile_program
from websim.tasks import TaskError
from websim.tasks.document import (
    Clip,
    Difference,
    Elementwise,
    Expression,
    FieldSpec,
    ObservationPart,
    ProgramText,
    Rate,
    Reference,
    Scalar,
    Source,
    TaskDocument,
    Value,
)
from websim.tasks.names import fields_read
from websim_sim_worker.selection import Selection, select

Constants = dict[str, float | tuple[float, ...]]
Resolved = Selection | Rate | Program | Elementwise | Difference
"""What a field is made of, once names of the model are known."""


@dataclass(frozen=True)
class Field:
    """A field of the compiled task. `columns` 0: shape (n,); otherwise (n, columns)."""

    name: str
    made_of: Resolved
    columns: int
    reads: tuple[str, ...]
    clip: tuple[float, float] | None = None
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class ObservationPiece:
    """A run of observation columns: a selection of an array, or a whole field by name."""

    what: Selection | str
    width: int
    labels: tuple[str, ...]
    clip: tuple[float, float] | None


def resolve_fields(
    document: TaskDocument,
    model: mujoco.MjModel,
    parameters: Mapping[str, Value],
    constants: Constants,
) -> dict[str, Field]:
    """Resolve all fields, those that others are made of first."""
    specs = {spec.name: spec for spec in document.fields}
    resolved: dict[str, Field] = {}

    def resolve(name: str) -> None:
        spec = specs[name]
        for other in fields_read(spec.quantity):
            if other in specs and other not in resolved:
                resolve(other)
        resolved[name] = _field(spec, model, parameters, constants, resolved)

    for name in specs:
        if name not in resolved:
            resolve(name)
    return {name: resolved[name] for name in specs}


def resolve_observation(
    document: TaskDocument,
    model: mujoco.MjModel,
    parameters: Mapping[str, Value],
    fields: Mapping[str, Field],
) -> tuple[ObservationPiece, ...]:
    """Resolve the observation parts whose conditions hold under `parameters`."""
    pieces = tuple(
        _piece(part, model, parameters, fields)
        for part in document.observation
        if _is_on(part, parameters)
    )
    if not pieces:
        raise TaskError(
            "no part of the observation is left under these parameters",
            where=document.observation[0].where,
        )
    return pieces


def make_schema(columns: dict[str, int], action_dim: int, constants: Constants) -> ProgramSchema:
    """Describe to programs what they may read."""
    try:
        return ProgramSchema(fields=columns, action_dim=action_dim, constants=constants)
    except ValueError as error:
        raise TaskError(str(error)) from None


def compile_text(program: ProgramText, schema: ProgramSchema, kind: ProgramKind) -> Program:
    """Compile a program of the task file; errors name its place there."""
    try:
        return compile_program(program.source, schema, kind)
    except ProgramError as error:
        raise TaskError(str(error), where=program.where) from None


def _field(
    spec: FieldSpec,
    model: mujoco.MjModel,
    parameters: Mapping[str, Value],
    constants: Constants,
    known: Mapping[str, Field],
) -> Field:
    quantity = spec.quantity
    made_of: Resolved
    match quantity:
        case Source():
            made_of = select(quantity, model, parameters, spec.where)
            columns = made_of.columns
        case Rate(base) | Elementwise(_, base):
            made_of, columns = quantity, known[base].columns
        case Difference(left, right):
            made_of, columns = quantity, known[left].columns
            if known[right].columns != columns:
                raise TaskError(
                    f"{left} has {columns or 1} columns, {right} {known[right].columns or 1}",
                    where=spec.where,
                )
        case Expression(text):
            made_of, columns = _expression(text, known, constants, spec.where), 0
        case Reference():
            raise TypeError("a field is not a reference")
    return Field(
        name=spec.name,
        made_of=made_of,
        columns=columns,
        reads=fields_read(quantity),
        clip=_limits(spec.clip, parameters, spec.where),
        unit=spec.unit,
        description=spec.description,
    )


def _expression(text: str, known: Mapping[str, Field], constants: Constants, where: str) -> Program:
    # An expression is about the state alone: the schema's one action column goes unused.
    columns = {name: field.columns for name, field in known.items()} | {"time_s": 0}
    schema = make_schema(columns, 1, constants)
    body = " ".join(text.split())
    source = f"def fitness(state, action):\n    return ({body})\n"
    return compile_text(ProgramText(source, where), schema, "fitness")


def _piece(
    part: ObservationPart,
    model: mujoco.MjModel,
    parameters: Mapping[str, Value],
    fields: Mapping[str, Field],
) -> ObservationPiece:
    clip = _limits(part.clip, parameters, part.where)
    if isinstance(part.quantity, Source):
        selection = select(part.quantity, model, parameters, part.where)
        return ObservationPiece(selection, len(selection.index), selection.labels, clip)
    name = part.quantity.field
    columns = 0 if name == "time_s" else fields[name].columns
    labels = (name,) if columns == 0 else tuple(f"{name}[{i}]" for i in range(columns))
    return ObservationPiece(name, len(labels), labels, clip)


def _is_on(part: ObservationPart, parameters: Mapping[str, Value]) -> bool:
    for name in (part.when, part.unless):
        if name is not None and not isinstance(parameters[name], bool):
            raise TaskError(f"the parameter {name!r} is not true or false", where=part.where)
    return (part.when is None or bool(parameters[part.when])) and (
        part.unless is None or not parameters[part.unless]
    )


def _limits(
    clip: Clip | None, parameters: Mapping[str, Value], where: str
) -> tuple[float, float] | None:
    if clip is None:
        return None
    both = parameters[clip] if isinstance(clip, str) else clip
    if not isinstance(both, tuple) or len(both) != 2:
        raise TaskError(f"clip needs two numbers, not {both!r}", where=where)
    low, high = (number(value, parameters, where) for value in both)
    if not low <= high:
        raise TaskError(f"clip from {low} to {high} holds nothing", where=where)
    return low, high


def number(scalar: Scalar, parameters: Mapping[str, Value], where: str) -> float:
    """A number as it stands, or that of the named parameter."""
    value: object = parameters[scalar] if isinstance(scalar, str) else scalar
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TaskError(f"the parameter {scalar!r} is not a number", where=where)
    return float(value)
