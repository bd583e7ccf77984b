"""What each kind of function does with shapes and dtypes."""

import ast
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from websim.programs.functions import Function
from websim.programs.limits import MAX_EXPONENT
from websim.programs.scope import compute, refuse
from websim.programs.values import Value, broadcast

SQUARE_WEIGHT = 1
SLOW_POWER_WEIGHT = 120
OPERATOR_POWER_WEIGHTS = {1.0: 1, 2.0: SQUARE_WEIGHT, 0.5: 2, -1.0: 2}
"""Cost of x ** e where numpy has a shortcut; a negative x makes all others slow."""

AXIS_TEXT = "axis=1 reduces the columns of each environment"


def require_booleans(node: ast.AST, function: Function, values: Sequence[Value]) -> None:
    """Refuse comparisons where numbers belong, and numbers where comparisons belong."""
    required = values if function.booleans == "required" else []
    if function.name == "where":
        required = values[:1]
    if not all(value.is_bool for value in required):
        refuse(node, "call", f"{function} needs a comparison here; write one, such as x > 0.0")
    if function.booleans == "refused" and any(value.is_bool for value in values):
        remedy = "use np.where(condition, 1.0, 0.0)"
        refuse(node, "call", f"{function} takes numbers, not comparisons; {remedy}")


def row(node: ast.AST, function: Function, value: Value, *, has_axis: bool) -> Value:
    """Return the value of a reduction: (N, k) becomes (N,)."""
    if value.kind == "constants":
        if has_axis or function.name != "sum":
            refuse(node, "shape", f"{function} of constants; write np.sum(c), without axis")
        return compute(node, "call", str(function), np.sum, [value], ("number", 1))
    if value.kind == "number":
        refuse(node, "shape", f"{function} of a number; use the number as it is")
    if value.kind == "column":
        remedy = "it is one value per environment already, use it as it is"
        refuse(node, "batch", f"{function} of (N,) would mix environments; {remedy}")
    if not has_axis:
        refuse(node, "batch", f"{function} without axis mixes environments; {AXIS_TEXT}")
    axis = Value("number", 1, 1)
    function_call = function.implementation
    return compute(node, "call", str(function), function_call, [value, axis], ("column", 1))


def rowdot(node: ast.AST, function: Function, values: Sequence[Value]) -> Value:
    """Return the value of a row-wise product: two (N, k) become (N,)."""
    kinds = {value.kind for value in values}
    widths = {value.columns for value in values}
    if "matrix" not in kinds or kinds - {"matrix", "constants"} or len(widths) != 1:
        shapes = " and ".join(value.shape for value in values)
        refuse(
            node, "shape", f"{function} cannot combine {shapes}; select two (N, k) of the same k"
        )
    return compute(node, "call", str(function), function.implementation, values, ("column", 1))


def like(node: ast.AST, function: Function, values: Sequence[Value]) -> Value:
    """Return the value of an array shaped like the first argument."""
    model = values[0]
    if model.kind not in ("column", "matrix"):
        refuse(node, "shape", f"{function} of {model.shape}; pass a column or matrix")
    if any(value.kind != "number" for value in values[1:]):
        refuse(node, "shape", f"{function} cannot fill with {values[1].shape}; pass a number")
    result = (model.kind, model.columns)
    return compute(node, "call", str(function), function.implementation, values, result)


def elementwise(node: ast.Call, function: Function, values: Sequence[Value]) -> Value:
    """Return the value of a function of aligned arguments."""
    result = broadcast(values)
    if result is None:
        refuse_shapes(node.args, str(function), values)
    return compute(node, "call", str(function), function.implementation, values, result)


def power(node: ast.AST, function: Function, values: Sequence[Value]) -> Value:
    """Return the value of np.power or np.float_power with a literal exponent."""
    base, by = values
    exponent(node, base, by)
    result = (base.kind, base.columns)
    return compute(node, "pow", str(function), function.implementation, values, result)


def exponent(node: ast.AST, base: Value, by: Value) -> float:
    """Return the exponent `by` of `base`, or refuse one that is not a small literal number."""
    if by.kind != "number" or by.is_bool:
        remedy = "write x ** 2, or np.exp(y * np.log(np.maximum(x, 1e-6))) for x ** y"
        refuse(node, "pow", f"the exponent must be a literal number; {remedy}")
    if base.is_bool:
        refuse(node, "pow", "a comparison has no power; use np.where(condition, 1.0, 0.0)")
    power_of = float(by.probe)
    if not abs(power_of) <= MAX_EXPONENT:
        message = f"exponent {power_of:g} is beyond {MAX_EXPONENT}; use np.exp and np.log"
        refuse(node, "pow", message)
    # numpy raises on these when there are rows, which the probes have not.
    if power_of < 0 and base.kind != "number" and base.dtype.kind == by.dtype.kind == "i":
        refuse(node, "pow", "integers have no negative powers; write 1.0 / x")
    return power_of


def refuse_shapes(operands: Sequence[ast.AST], what: str, values: Sequence[Value]) -> NoReturn:
    """Refuse an elementwise operation whose operands do not align, at the one that does not fit.

    Args:
        operands: where each of the values is written.
        what: the operation.
        values: more than one that is no number.
    """
    shapes = " with ".join(value.shape for value in values if value.kind != "number")
    if any(value.kind == "column" for value in values):
        remedy = "reduce the matrix first, as in np.sum(x, axis=1), or select one column x[:, 0]"
        fits = [value.kind in ("number", "column") for value in values]
    else:
        remedy = "select as many columns on both sides"
        width = next(value.columns for value in values if value.columns > 1)
        fits = [value.columns in (1, width) for value in values]
    refuse(operands[fits.index(False)], "shape", f"{what} cannot combine {shapes}; {remedy}")
