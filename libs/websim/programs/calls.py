"""Calls: np.<function>(...) of the closed list, nothing else."""

import ast
from collections.abc import Callable
from typing import NoReturn

import numpy as np

from websim.programs.functions import FUNCTIONS, REMEDIES, Function
from websim.programs.limits import MAX_EXPONENT
from websim.programs.scope import Scope, Typed, compute, refuse, suggest
from websim.programs.values import Value, broadcast, rows

Check = Callable[[Scope, ast.expr], Typed]

_AXIS_TEXT = "axis=1 reduces the columns of each environment"


def check_call(scope: Scope, node: ast.Call, check: Check) -> Typed:
    """Return the checked call `node`; `check` checks its arguments."""
    function = _resolve(node.func)
    arguments = _positional(node, function)
    typed = [check(scope, argument) for argument in arguments]
    values = [argument.value for argument in typed]
    _check_booleans(node, function, values)
    if function.rule == "row":
        return _row(scope, node, function, typed[0])
    if function.rule == "power":
        return power(scope, node, function, typed[0], typed[1])
    if function.rule == "rowdot":
        value = _rowdot(node, function, values)
        scope.spend(node, function.weight * max(v.columns for v in values))
    elif function.rule == "like":
        value = _like(node, function, values)
        scope.spend(node, function.weight * value.columns)
    else:
        value = _elementwise(node, function, values)
        scope.spend(node, function.weight * value.columns)
    name = scope.function(function.name, function.implementation)
    return Typed(ast.Call(name, [argument.node for argument in typed], []), value)


def power(scope: Scope, node: ast.expr, function: Function, base: Typed, by: Typed) -> Typed:
    """Return the checked np.power or np.float_power with a literal exponent."""
    exponent = check_exponent(node, base.value, by.value, strict=function.name == "power")
    weight = 2 if exponent == 2 and function.name == "power" else function.weight
    result = (base.value.kind, base.value.columns)
    value = compute(
        node,
        "pow",
        f"np.{function.name}",
        function.implementation,
        [base.value, by.value],
        result,
    )
    scope.spend(node, weight * value.columns)
    name = scope.function(function.name, function.implementation)
    return Typed(ast.Call(name, [base.node, by.node], []), value)


def check_exponent(node: ast.AST, base: Value, by: Value, *, strict: bool) -> float:
    """Return the exponent, or refuse one that is not a small literal number."""
    if by.kind != "number" or by.is_bool:
        refuse(node, "pow", "the exponent must be a literal number; use np.exp for x ** y")
    if base.is_bool:
        refuse(node, "pow", "a comparison has no power; use np.where(condition, 1.0, 0.0)")
    exponent = float(by.probe)
    if not abs(exponent) <= MAX_EXPONENT:
        refuse(
            node, "pow", f"exponent {exponent:g} is beyond {MAX_EXPONENT}; use np.exp and np.log"
        )
    integers = base.dtype.kind == by.dtype.kind == "i"
    if integers and exponent < 0 and (strict or base.kind != "number"):
        refuse(node, "pow", "integers have no negative powers; write 1.0 / x")
    return exponent


def _resolve(func: ast.expr) -> Function:
    """Return the function that `func` names."""
    if isinstance(func, ast.Name):
        if func.id in FUNCTIONS:
            refuse(func, "call", f"call {func.id} as np.{func.id}")
        near = suggest(func.id, FUNCTIONS, "np.{}", closeness=0.75)
        hint = f"did you mean {near}?" if near else "only np.<function>(...) may be called"
        refuse(func, "call", f"{func.id}() is not in the language; {hint}")
    if not isinstance(func, ast.Attribute):
        refuse(func, "call", "only np.<function>(...) may be called")
    path = [func.attr]
    base = func.value
    while isinstance(base, ast.Attribute):
        path.insert(0, base.attr)
        base = base.value
    if not isinstance(base, ast.Name) or base.id != "np":
        hint = "only np.<function>(...) may be called"
        if func.attr in FUNCTIONS:
            axis = ", axis=1" if FUNCTIONS[func.attr].rule == "row" else ""
            hint = f"use np.{func.attr}(x{axis})"
        refuse(func, "attribute", f".{func.attr}() is not allowed; {hint}")
    name = ".".join(path)
    if name not in FUNCTIONS:
        _refuse_unknown(func, name)
    return FUNCTIONS[name]


def _refuse_unknown(func: ast.Attribute, name: str) -> NoReturn:
    remedy = REMEDIES.get(name) or REMEDIES.get(name.split(".")[0])
    if remedy is None:
        near = suggest(name, FUNCTIONS, "np.{}", closeness=0.75)
        remedy = f"did you mean {near}?" if near else f"there are: {', '.join(FUNCTIONS)}"
    refuse(func, "call", f"np.{name} is not in the language; {remedy}")


def _positional(node: ast.Call, function: Function) -> list[ast.expr]:
    """Return the positional arguments once number, stars and keywords are as allowed."""
    shown = f"np.{function.name}"
    for argument in node.args:
        if isinstance(argument, ast.Starred):
            refuse(argument, "call", f"{shown} takes its arguments one by one, without *")
    for keyword in node.keywords:
        if keyword.arg is None:
            refuse(keyword.value, "call", f"{shown} takes its arguments one by one, without **")
        if keyword.arg != "axis" or function.rule not in ("row", "rowdot"):
            allowed = "only axis=1 is" if function.rule == "row" else "none is"
            refuse(keyword.value, "call", f"keyword {keyword.arg} is not allowed; {allowed}")
        _check_axis(keyword.value, shown)
    if len(node.args) != function.arity:
        plural = "s" if function.arity > 1 else ""
        refuse(
            node,
            "call",
            f"{shown} takes {function.arity} positional argument{plural}, not {len(node.args)}",
        )
    return node.args


def _check_axis(axis: ast.expr, shown: str) -> None:
    literal = axis
    sign = 1
    if isinstance(literal, ast.UnaryOp) and isinstance(literal.op, ast.USub):
        sign, literal = -1, literal.operand
    if isinstance(literal, ast.Constant) and type(literal.value) is int:
        if sign * literal.value in (1, -1):
            return
        refuse(axis, "batch", f"{shown} along this axis mixes environments; {_AXIS_TEXT}")
    refuse(axis, "batch", f"the axis of {shown} is the literal 1; {_AXIS_TEXT}")


def _check_booleans(node: ast.Call, function: Function, values: list[Value]) -> None:
    shown = f"np.{function.name}"
    required = values if function.booleans == "required" else []
    if function.name == "where":
        required = values[:1]
    if not all(value.is_bool for value in required):
        refuse(node, "call", f"{shown} needs a comparison here, such as x > 0.0")
    if function.booleans == "refused" and any(value.is_bool for value in values):
        refuse(
            node,
            "call",
            f"{shown} takes numbers, not comparisons; use np.where(condition, 1.0, 0.0)",
        )


def _row(scope: Scope, node: ast.Call, function: Function, argument: Typed) -> Typed:
    shown = f"np.{function.name}"
    value = argument.value
    has_axis = bool(node.keywords)
    closed = ast.Call(scope.function(function.name, function.implementation), [argument.node], [])
    scope.spend(node, function.weight * value.columns)
    if value.kind == "constants":
        if has_axis or function.name != "sum":
            refuse(node, "shape", f"{shown} of constants; only np.sum(c) is allowed, without axis")
        return Typed(closed, compute(node, "call", shown, np.sum, [value], ("number", 1)))
    if value.kind == "column":
        refuse(
            node,
            "batch",
            f"{shown} of (N,) mixes environments; it is one value per environment already",
        )
    if value.kind == "number":
        refuse(node, "shape", f"{shown} of a number; use the number as it is")
    if not has_axis:
        refuse(node, "batch", f"{shown} without axis mixes environments; {_AXIS_TEXT}")
    closed.args.append(ast.Constant(1))
    axis = Value("number", 1, 1)
    result = compute(node, "call", shown, function.implementation, [value, axis], ("column", 1))
    return Typed(closed, result)


def _rowdot(node: ast.Call, function: Function, values: list[Value]) -> Value:
    kinds = {value.kind for value in values}
    widths = {value.columns for value in values}
    if "matrix" not in kinds or kinds - {"matrix", "constants"} or len(widths) != 1:
        shapes = " and ".join(value.shape for value in values)
        refuse(node, "shape", f"np.vecdot takes two (N, k) of the same k, not {shapes}")
    return compute(node, "call", "np.vecdot", function.implementation, values, ("column", 1))


def _like(node: ast.Call, function: Function, values: list[Value]) -> Value:
    shown = f"np.{function.name}"
    model = values[0]
    if model.kind not in ("column", "matrix"):
        refuse(node, "shape", f"{shown} takes a column or matrix, not {model.shape}")
    if any(value.kind != "number" for value in values[1:]):
        refuse(node, "shape", f"{shown} fills with one number, not {values[1].shape}")
    return rows(0 if model.kind == "column" else model.columns, model.dtype)


def _elementwise(node: ast.Call, function: Function, values: list[Value]) -> Value:
    shown = f"np.{function.name}"
    result = broadcast(values)
    if result is None:
        refuse_shapes(node, shown, values)
    return compute(node, "call", shown, function.implementation, values, result)


def refuse_shapes(node: ast.AST, what: str, values: list[Value]) -> NoReturn:
    """Refuse an elementwise operation whose operands do not align."""
    shapes = " with ".join(value.shape for value in values if value.kind != "number")
    kinds = {value.kind for value in values}
    remedy = "select as many columns on both sides"
    if "column" in kinds:
        remedy = "reduce the matrix first, as in np.sum(x, axis=1), or select one column x[:, 0]"
    refuse(node, "shape", f"{what} cannot combine {shapes}; {remedy}")
