"""A program: checked syntax, compiled to functions without module, attribute, string or builtin.

`compile_program` is the one way to make a Program. Whoever executes a program compiles it here
itself: a neighbour's word that some text was checked is never taken.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from websim.programs.regenerate import PARTS, TOTAL, regenerate
from websim.programs.schema import ProgramKind, ProgramSchema
from websim.programs.scope import Span
from websim.programs.source import parse
from websim.programs.statements import CheckedProgram, check_program
from websim.programs.values import Array


def compile_program(source: str, schema: ProgramSchema, kind: ProgramKind = "reward") -> "Program":
    """Return the program that `source` describes, or raise ProgramError saying what to correct.

    Args:
        source: one function `def <kind>(state, action):`; nothing of it runs during the check.
        schema: what it may read.
        kind: the function's name, which says what it returns.
    """
    return Program(source, check_program(parse(source), schema, kind), kind)


class Program:
    """A checked, compiled, immutable program; two with the same id compute the same numbers."""

    __slots__ = (
        "_parts",
        "_total",
        "column_spans",
        "component_dtypes",
        "components",
        "dtype",
        "fields",
        "id",
        "kind",
        "reads_action",
        "schema",
        "source",
    )

    _total: Callable[..., Array]
    _parts: Callable[..., tuple[Array, ...]]
    id: str
    """"p_" and 16 hex digits of SHA-256 over canonical syntax, schema and kind."""
    source: str
    kind: ProgramKind
    schema: ProgramSchema
    fields: tuple[str, ...]
    """Names of the fields it reads, sorted: what a step request has to ask for."""
    column_spans: tuple[tuple[slice, ...], ...]
    """For each field, the column ranges that are read; none means all of it."""
    reads_action: bool
    components: tuple[str, ...]
    """Names of its components in the order written; empty when it returns only a total."""
    dtype: np.dtype[Any]
    """Of the total, given float64 fields and float32 action: bool, float32 or float64."""
    component_dtypes: tuple[np.dtype[Any], ...]
    """The same of each component, in order."""

    def __init__(self, source: str, checked: CheckedProgram, kind: ProgramKind) -> None:
        closed = regenerate(checked, kind)
        scope = checked.scope
        run: dict[str, object] = {"__builtins__": {}, **scope.globals}
        # `regenerate` has proved what the tree holds; both functions are defined here, not run.
        exec(compile(closed.tree, "<program>", "exec"), run)
        values: dict[str, object] = {
            "_total": run[TOTAL],
            "_parts": run[PARTS],
            "id": _identify(closed.text, checked, kind),
            "source": source,
            "kind": kind,
            "schema": scope.schema,
            "fields": closed.fields,
            "column_spans": tuple(_merged(scope.fields[name]) for name in closed.fields),
            "reads_action": scope.reads_action,
            "components": tuple(checked.components),
            "dtype": closed.dtypes[0],
            "component_dtypes": closed.dtypes[1:],
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __call__(self, fields: Mapping[str, Array], action: Array) -> Array:
        """Return the total of every environment, an array of its own.

        Args:
            fields: at least the arrays named in `self.fields`, float64, shape (N,) or (N, k).
            action: float32, shape (N, action_dim).

        Returns:
            Shape (N,): bool for terminated and success, otherwise float32 or float64.
        """
        arrays = self.arrays(fields)
        with np.errstate(all="ignore"):
            total: Array = self._total(*arrays, action)
        if total.shape != action.shape[:1]:
            raise ValueError(_misshapen(total, action))
        return total

    def with_components(
        self, fields: Mapping[str, Array], action: Array
    ) -> tuple[Array, dict[str, Array]]:
        """Return the total, as `__call__` does, and each component by name, shape (N,)."""
        arrays = self.arrays(fields)
        with np.errstate(all="ignore"):
            total, *parts = self._parts(*arrays, action)
        for array in (total, *parts):
            if array.shape != action.shape[:1]:
                raise ValueError(_misshapen(array, action))
        return total, dict(zip(self.components, parts, strict=True))

    def arrays(self, fields: Mapping[str, Array]) -> list[Array]:
        """Return the arrays that the program reads, in the order of `self.fields`."""
        try:
            return [fields[name] for name in self.fields]
        except KeyError as error:
            raise ValueError(f"field {error} is missing; pass all of {self.fields}") from None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Program is immutable; compile another one to change {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Program is immutable; {name} stays")

    def __repr__(self) -> str:
        return f"<Program {self.id} {self.kind}>"


def _merged(spans: set[Span] | None) -> tuple[slice, ...]:
    """Return the ranges in order, overlapping and touching ones joined."""
    merged: list[Span] = []
    for start, stop in sorted(spans or ()):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return tuple(slice(start, stop) for start, stop in merged)


def _identify(text: str, checked: CheckedProgram, kind: ProgramKind) -> str:
    schema = checked.scope.schema.canonical()
    whole = "\n".join([kind, schema, ",".join(checked.components), text])
    return "p_" + hashlib.sha256(whole.encode()).hexdigest()[:16]


def _misshapen(array: Array, action: Array) -> str:
    return (
        f"the program returned shape {array.shape} for {len(action)} environments; "
        "pass fields of the shapes that its schema names"
    )
