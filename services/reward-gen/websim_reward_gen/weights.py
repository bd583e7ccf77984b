"""Weights of a reward: lines `<name>_weight = <number>` of its program, to read and to change.

They are what a reweighting changes and what sliders may show; the program's text stays the only
truth about them.
"""

import ast
from collections.abc import Iterator, Mapping

from websim.programs.limits import MAX_LITERAL
from websim.programs.source import parse

SUFFIX = "_weight"


def read_weights(program: str) -> dict[str, float]:
    """Return the weights of a program by name; of one that does not parse, none.

    Args:
        program: text of a program; nothing of it runs.

    Raises:
        ProgramError: the text is not even Python.
    """
    return {name: value for name, value, _ in _weights(parse(program))}


def with_weights(program: str, weights: Mapping[str, float]) -> str:
    """Return the program with other numbers in its weight lines.

    Args:
        program: text of a program.
        weights: new values of some of its weights.

    Raises:
        ProgramError: the text is not even Python.
        ValueError: it has no such weight.
    """
    lines = program.split("\n")
    places = {name: node for name, _, node in _weights(parse(program))}
    unknown = sorted(set(weights) - set(places))
    if unknown:
        known = ", ".join(places) or "none"
        raise ValueError(f"the program has no weight {unknown[0]}; it has: {known}")
    # Later places first: a replacement on the same line would move those after it.
    for name in sorted(weights, key=lambda each: _place(places[each]), reverse=True):
        node = places[name]
        line = lines[node.lineno - 1]
        new = repr(float(weights[name]))
        lines[node.lineno - 1] = line[: node.col_offset] + new + line[node.end_col_offset :]
    return "\n".join(lines)


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _weights(tree: ast.AST) -> Iterator[tuple[str, float, ast.expr]]:
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.endswith(SUFFIX):
                number = _number(value)
                if number is not None and value.lineno == value.end_lineno:
                    yield name, number, value
    return


def _number(node: ast.expr) -> float | None:
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value) if value <= MAX_LITERAL:
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _number(operand) if isinstance(operand, ast.Constant) else None
            return None if number is None else -number
    return None
