"""Write a task's own program so that it stands alone: its constants as numbers in the text."""

import ast
import math
from collections.abc import Mapping

from websim.programs.limits import MAX_LITERAL
from websim.programs.source import parse


def spell_out(source: str, constants: Mapping[str, float | tuple[float, ...]]) -> str:
    """Return a program that computes the same without constants, otherwise as it was written.

    Numbers become variables of their names, set in the first lines; `c[0]` becomes its number.
    What a program can't spell keeps its name: a vector as a whole, and a number beyond the bound.
    An infinite one is written as the bound.

    Args:
        source: one function that compiles with these constants.
        constants: as in ProgramSchema.
    """
    function = parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = source.splitlines(keepends=True)
    for element in reversed(_elements(function, constants)):
        _replace(lines, element, _element_text(element, constants))
    scalars = _scalars_read(function, constants)
    has_docstring = ast.get_docstring(function) is not None
    first = function.body[1 if has_docstring else 0]
    at = first.lineno - 1
    indent = lines[at][: first.col_offset]
    if indent.strip():  # the body stands on the line of `def`
        return "".join(lines)
    while lines[at - 1].strip() == "" or lines[at - 1].lstrip().startswith("#"):
        at -= 1  # comments stay with what they are about
    lines[at:at] = [f"{indent}{name} = {text}\n" for name, text in scalars]
    return "".join(lines)


def _elements(
    function: ast.FunctionDef, constants: Mapping[str, float | tuple[float, ...]]
) -> list[ast.Subscript]:
    """Numbers of vectors, `c[0]`, that can be spelled, in the order of the text."""
    found = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and isinstance(constants.get(node.value.id), tuple)
        and _element_text(node, constants)
    ]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _element_text(node: ast.Subscript, constants: Mapping[str, float | tuple[float, ...]]) -> str:
    assert isinstance(node.value, ast.Name)
    vector = constants[node.value.id]
    index = ast.literal_eval(node.slice)
    assert isinstance(vector, tuple)
    text = _number(vector[index])
    return f"({text})" if text.startswith("-") else text


def _scalars_read(
    function: ast.FunctionDef, constants: Mapping[str, float | tuple[float, ...]]
) -> list[tuple[str, str]]:
    """Names and texts of the numbers that a function reads, in the order of the text."""
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    read = sorted(names, key=lambda node: (node.lineno, node.col_offset))
    texts: dict[str, str] = {}
    for node in read:
        value = constants.get(node.id)
        if value is not None and not isinstance(value, tuple):
            texts[node.id] = _number(value)
    return [(name, text) for name, text in texts.items() if text]


def _number(value: float) -> str:
    """Return a number as a program may write it, or nothing where it can't."""
    if math.isinf(value):
        return repr(math.copysign(MAX_LITERAL, value))
    return repr(float(value)) if abs(value) <= MAX_LITERAL else ""


def _replace(lines: list[str], node: ast.expr, text: str) -> None:
    """Write a text in a node's place; programs are ASCII, so that columns are characters."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    head, tail = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    lines[first : last + 1] = [head + text + tail]
