"""What the checker carries through one program, and how it refuses."""

import ast
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from websim.programs.errors import Issue, Reason, Refusal
from websim.programs.limits import MAX_COMPARED, MAX_COST, MAX_INTEGER
from websim.programs.schema import ProgramSchema
from websim.programs.values import Kind, Value, apply

Span = tuple[int, int]
"""Columns start:stop of a matrix."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A checked expression: its regenerated syntax and what is known about its value."""

    node: ast.expr
    value: Value


@dataclass
class Scope:
    """State of the check of one program."""

    schema: ProgramSchema
    variables: dict[str, Typed | None] = field(default_factory=dict)
    """Assigned names; None where the assignment was refused already."""
    fields: dict[str, set[Span] | None] = field(default_factory=dict)
    """Fields read so far: the column ranges, or None when read as a whole."""
    reads_action: bool = False
    globals: dict[str, Any] = field(default_factory=dict)
    """What the regenerated code needs at run time: functions f_* and constants v_const_*."""
    cost: int = 0

    def spend(self, node: ast.AST, units: int) -> None:
        """Count the cost of one operation; refuse beyond the bound."""
        self.cost += units
        if self.cost > MAX_COST:
            refuse(
                node,
                "cost",
                f"the program costs more than {MAX_COST} weighted column operations up to here; "
                "select the columns you need before using costly functions",
            )

    def read(self, name: str, span: Span | None) -> None:
        """Note that columns `span` of a field, or all of it, are read."""
        spans = self.fields.setdefault(name, set())
        if span is None or spans is None:
            self.fields[name] = None
        else:
            spans.add(span)

    def function(self, name: str, implementation: Callable[..., Any]) -> ast.Name:
        """Return the regenerated name of a function and make it available at run time."""
        closed_name = "f_" + name.replace(".", "_")
        self.globals[closed_name] = implementation
        return ast.Name(closed_name, ast.Load())


def refuse(node: ast.AST, reason: Reason, message: str) -> NoReturn:
    """Leave the check of the current statement with one issue at `node`."""
    line = getattr(node, "lineno", 0)
    raise Refusal(Issue(reason, message, line, getattr(node, "col_offset", 0) + 1 if line else 0))


def compute(
    node: ast.AST,
    reason: Reason,
    what: str,
    function: Callable[..., Any],
    arguments: Sequence[Value],
    result: tuple[Kind, int],
) -> Value:
    """Return the value of `function(*arguments)`, or refuse `node` for `reason`."""
    kind, columns = result
    value = apply(function, [argument.probe for argument in arguments], kind, columns)
    if isinstance(value, str):
        if kind in ("number", "constants"):
            refuse(node, "nonfinite", f"{what} has no finite real value ({value}); change it")
        refuse(node, reason, f"{what} does not take these arguments: {value}")
    if kind in ("number", "constants") and not _is_usable(value, arguments):
        refuse(node, "nonfinite", f"{what} is too large or not finite; use smaller numbers")
    return value


def _is_usable(value: Value, arguments: Sequence[Value]) -> bool:
    """Numbers stay finite, except that an infinite constant of the task may pass through."""
    if value.dtype.kind == "i":
        return bool(np.all(np.abs(value.probe) <= MAX_INTEGER))
    if np.isfinite(value.probe).all():
        return True
    infinite = any(np.isinf(argument.probe).any() for argument in arguments)
    return infinite and not bool(np.isnan(value.probe).any())


def suggest(name: str, known: Iterable[str], pattern: str = "{}", *, closeness: float = 0.6) -> str:
    """Return the known names closest to an unknown one, as text; empty when none is close.

    Comparing takes the product of the lengths, so that nothing is compared with very long names.
    """
    names = list(known)
    if len(name) * sum(map(len, names)) > MAX_COMPARED:
        return ""
    matches = difflib.get_close_matches(name, names, n=3, cutoff=closeness)
    return " or ".join(pattern.format(match) for match in matches)
