"""Third layer: from a checked program to syntax that can be generated code, closed by proof.

What comes out holds no module, attribute, string or builtin: only arithmetic, calls of listed
functions f_*, and names v_*; websim.programs.program compiles it.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from websim.programs.canonical import canonical_text, require_closed
from websim.programs.schema import BOOLEAN_KINDS, ProgramKind
from websim.programs.scope import Scope, Typed
from websim.programs.statements import Assignment, CheckedProgram
from websim.programs.values import Array

TOTAL = "f_total"
PARTS = "f_parts"
"""The two functions of a regenerated program: the total alone, and with the components."""


@dataclass(frozen=True)
class Regenerated:
    """The closed form of one program."""

    tree: ast.Module
    """Two functions of the fields read, in order of name, and the action."""
    text: str
    """What the program computes, the same for every way of naming its variables."""
    fields: tuple[str, ...]
    dtypes: tuple[np.dtype[Any], ...]
    """Of the total and of each component."""


def regenerate(checked: CheckedProgram, kind: ProgramKind) -> Regenerated:
    """Return the closed form of `checked`; its run-time needs are in checked.scope.globals."""
    scope = checked.scope
    wanted = [checked.total, *checked.components.values()]
    results = [_owned(scope, typed, kind) for typed in wanted]
    fields = tuple(sorted(scope.fields))
    arguments = [*(f"v_field_{name}" for name in fields), "v_action"]
    whole = ast.Tuple(results, ast.Load())
    functions: list[ast.stmt] = [
        _function(TOTAL, arguments, checked.assignments, results[0]),
        _function(PARTS, arguments, checked.assignments, whole),
    ]
    tree = ast.fix_missing_locations(ast.Module(functions, []))
    require_closed(tree, scope.globals)
    return Regenerated(
        tree,
        canonical_text([*(assignment.value for assignment in checked.assignments), *results]),
        fields,
        tuple(_result_dtype(typed, kind) for typed in wanted),
    )


def _result_dtype(typed: Typed, kind: ProgramKind) -> np.dtype[Any]:
    keeps = kind in BOOLEAN_KINDS or typed.value.dtype.kind == "f"
    return typed.value.dtype if keeps else np.dtype(np.float64)


def _owned(scope: Scope, typed: Typed, kind: ProgramKind) -> ast.expr:
    """Return the syntax of a result as an array of its own, of a float dtype where it is a number.

    A result that shared memory with an input would change when the caller reuses that buffer.
    """
    if _result_dtype(typed, kind) != typed.value.dtype:
        name = scope.function("as_float", _as_float)
    elif typed.value.is_view:
        name = scope.function("copy", np.copy)
    else:
        return typed.node
    return ast.Call(name, [typed.node], [])


def _as_float(array: Array) -> Array:
    return array.astype(np.float64)


def _function(
    name: str,
    arguments: Sequence[str],
    assignments: Sequence[Assignment],
    returned: ast.expr,
) -> ast.FunctionDef:
    """Return a function of the assignments that its result needs, in order."""
    needed = _names(returned)
    kept: list[ast.stmt] = []
    for assignment in reversed(assignments):
        if assignment.target in needed:
            needed |= _names(assignment.value)
            store = ast.Name(assignment.target, ast.Store())
            kept.insert(0, ast.Assign([store], assignment.value))
    signature = ast.arguments(
        [], [ast.arg(argument) for argument in arguments], None, [], [], None, []
    )
    return ast.FunctionDef(name, signature, [*kept, ast.Return(returned)], [])


def _names(tree: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
