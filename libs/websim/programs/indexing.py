"""Selection of columns: x[:, i], x[:, a:b], and c[i] of a vector of constants."""

import ast

import numpy as np

from websim.programs.limits import MAX_LITERAL, NUMBER_RANGE
from websim.programs.scope import Span, Typed, refuse
from websim.programs.values import Value, number, rows

_ALLOWED = "select columns with literal numbers: x[:, 0], x[:, -1] or x[:, 2:5]"


def check_subscript(node: ast.Subscript, base: Typed) -> tuple[Typed, Span | None]:
    """Return the checked selection `node` of the checked `base`, and the columns it takes."""
    value = base.value
    if value.kind == "number":
        refuse(node, "index", "a number has no columns; use it as it is")
    if value.kind == "constants":
        index = _literal_index(node.slice)
        if index is None:
            refuse(node, "index", "a vector of constants has a literal index; write c[0]")
        return _constant(node, value, index), None
    if value.kind == "column":
        remedy = "use it without an index, or np.where(condition, x, y)"
        if _adds_axis(node.slice):
            remedy = "it joins a matrix after that is reduced, as in x * np.sum(y, axis=1)"
        refuse(node, "index", f"this is (N,), one value per environment; {remedy}")
    if not isinstance(node.slice, ast.Tuple) or len(node.slice.elts) != 2:
        refuse(node, "index", f"rows are environments and are never selected; {_ALLOWED}")
    row, column = node.slice.elts
    if not _is_full_slice(row):
        refuse(row, "index", f"rows are environments and are never selected; {_ALLOWED}")
    return _columns(node, base, column)


def _columns(node: ast.Subscript, base: Typed, column: ast.expr) -> tuple[Typed, Span]:
    width = base.value.columns
    if isinstance(column, ast.Slice):
        start, stop = _slice_bounds(column, width)
        selected = rows(stop - start, base.value.dtype, is_view=True)
        span = (start, stop)
        index: ast.expr = ast.Slice(ast.Constant(start), ast.Constant(stop), None)
    else:
        position = _literal_index(column)
        if position is None:
            refuse(column, "index", f"a column is chosen by a literal number; {_ALLOWED}")
        if not -width <= position < width:
            refuse(
                column,
                "index",
                f"column {position} does not exist; there are {width}, the last is {width - 1}",
            )
        selected = rows(0, base.value.dtype, is_view=True)
        span = (position % width, position % width + 1)
        index = ast.Constant(span[0])
    closed = ast.Subscript(
        base.node, ast.Tuple([ast.Slice(None, None, None), index], ast.Load()), ast.Load()
    )
    return Typed(closed, selected), span


def _slice_bounds(column: ast.Slice, width: int) -> tuple[int, int]:
    if column.step is not None:
        refuse(column, "index", f"a step is not allowed; {_ALLOWED}")
    start = 0 if column.lower is None else _literal_index(column.lower)
    stop = width if column.upper is None else _literal_index(column.upper)
    if start is None or stop is None:
        refuse(column, "index", f"the bounds are literal numbers; {_ALLOWED}")
    if not (-width <= start <= width and -width <= stop <= width):
        refuse(
            column,
            "index",
            f"columns {start}:{stop} do not all exist; there are {width}, up to x[:, 0:{width}]",
        )
    start = start + width if start < 0 else start
    stop = stop + width if stop < 0 else stop
    if start >= stop:
        refuse(column, "index", f"columns {start}:{stop} are empty; {_ALLOWED}")
    return start, stop


def _constant(node: ast.Subscript, value: Value, index: int) -> Typed:
    if not -value.columns <= index < value.columns:
        refuse(
            node,
            "index",
            f"index {index} does not exist; there are {value.columns} constants, "
            f"the last is {value.columns - 1}",
        )
    chosen = float(np.asarray(value.probe)[index])
    return Typed(ast.Constant(chosen), number(chosen))


def _is_full_slice(node: ast.expr) -> bool:
    return isinstance(node, ast.Slice) and node.lower is node.upper is node.step is None


def _adds_axis(index: ast.expr) -> bool:
    """Tell whether an index is one such as [:, None], which makes a column a matrix in numpy."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return any(ast.unparse(part) in ("None", "np.newaxis") for part in parts)


def _literal_index(node: ast.expr) -> int | None:
    """Return the integer that `node` spells out, or None; refuse one that no number may be."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    if isinstance(node, ast.Constant) and type(node.value) is int:
        if node.value > MAX_LITERAL:  # Python itself will not print one of 4,301 digits
            refuse(node, "index", f"this number is too large; {NUMBER_RANGE}")
        return sign * node.value
    return None
