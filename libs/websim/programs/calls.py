"""Calls: np.<function>(...) of the closed list, nothing else."""

import ast
from collections.abc import Callable
from typing import NoReturn

from websim.programs import rules
from websim.programs.functions import (
    BARE_REMEDIES,
    FUNCTIONS,
    METHOD_REMEDIES,
    REMEDIES,
    Function,
)
from websim.programs.scope import Scope, Typed, refuse, suggest
from websim.programs.values import Value

_OF_TWO = {"max": "maximum", "amax": "maximum", "min": "minimum", "amin": "minimum"}
"""Of reductions that are taken for a choice of two: what chooses."""

Check = Callable[[Scope, ast.expr], Typed]

_CLOSENESS = 0.75
"""How alike a misspelt function must be; a wrong suggestion misleads more than none."""


def check_call(scope: Scope, node: ast.Call, check: Check) -> Typed:
    """Return the checked call `node`; `check` checks its arguments."""
    function = _resolve(node.func)
    arguments, has_axis = _arguments(node, function)
    typed = [check(scope, argument) for argument in arguments]
    values = [argument.value for argument in typed]
    rules.require_booleans(node, function, values)
    value = _value(node, function, values, has_axis=has_axis)
    weight = function.weight
    if function.name == "power" and values[1].probe == 2:
        weight = rules.SQUARE_WEIGHT
    scope.spend(node, weight * max(each.columns for each in [value, *values]))
    name = scope.function(function.name, function.implementation)
    call = ast.Call(name, [argument.node for argument in typed], [])
    if function.rule == "row" and value.kind == "column":
        call.args.append(ast.Constant(1))
    return Typed(call, value)


def _value(node: ast.Call, function: Function, values: list[Value], *, has_axis: bool) -> Value:
    match function.rule:
        case "row":
            return rules.row(node, function, values[0], has_axis=has_axis)
        case "rowdot":
            return rules.rowdot(node, function, values)
        case "like":
            return rules.like(node, function, values)
        case "power":
            return rules.power(node, function, values)
        case "elementwise":
            return rules.elementwise(node, function, values)


def _resolve(func: ast.expr) -> Function:
    """Return the function that `func` names."""
    if isinstance(func, ast.Name):
        _refuse_bare(func)
    if not isinstance(func, ast.Attribute):
        refuse(func, "call", "this cannot be called; only np.<function>(...) can")
    path = [func.attr]
    base = func.value
    while isinstance(base, ast.Attribute):
        path.insert(0, base.attr)
        base = base.value
    if not isinstance(base, ast.Name) or base.id != "np":
        refuse(func, "attribute", f".{func.attr}() is not allowed; {method_remedy(func.attr)}")
    name = ".".join(path)
    if name not in FUNCTIONS:
        remedy = REMEDIES.get(name) or REMEDIES.get(path[0])
        if remedy is None:
            near = suggest(name, FUNCTIONS, "np.{}", closeness=_CLOSENESS)
            remedy = f"did you mean {near}?" if near else f"there are: {', '.join(FUNCTIONS)}"
        refuse(func, "call", f"np.{name} is not in the language; {remedy}")
    return FUNCTIONS[name]


def method_remedy(name: str) -> str:
    """Say what to write instead of the method or attribute `name` of an array."""
    if name in FUNCTIONS:
        return f"use {FUNCTIONS[name].usage}"
    return METHOD_REMEDIES.get(name, "read state.<field> and call np.<function>(...)")


def _refuse_bare(func: ast.Name) -> NoReturn:
    name = func.id
    remedy = BARE_REMEDIES.get(name)
    if remedy is None and name in FUNCTIONS:
        remedy = f"call it as np.{name}"
    if remedy is None:
        near = suggest(name, FUNCTIONS, "np.{}", closeness=_CLOSENESS)
        remedy = f"did you mean {near}?" if near else "only np.<function>(...) may be called"
    refuse(func, "call", f"{name}() is not in the language; {remedy}")


def _arguments(node: ast.Call, function: Function) -> tuple[list[ast.expr], bool]:
    """Return the positional arguments without an axis, and whether there is an axis."""
    positional, axes = list(node.args), []
    for argument in positional:
        if isinstance(argument, ast.Starred):
            refuse(argument, "call", f"* is not allowed; write {function.usage}")
    for keyword in node.keywords:
        if keyword.arg is None:
            refuse(keyword.value, "call", f"** is not allowed; write {function.usage}")
        if keyword.arg != "axis" or function.rule not in ("row", "rowdot"):
            message = f"keyword {keyword.arg} is not allowed; write {function.usage}"
            refuse(keyword.value, "call", message)
        axes.append(keyword.value)
    if function.takes_axis_by_position and len(positional) == 2:
        axes.append(positional.pop())
        _refuse_relu(axes[0], function)
    if len(axes) > 1:
        refuse(axes[1], "call", f"{function} takes one axis; write axis=1")
    for axis in axes:
        _check_axis(axis, function)
    if len(positional) != function.arity:
        count = f"{function.arity} argument{'s' if function.arity > 1 else ''}"
        axis_text = " and axis=1" if function.rule == "row" else ""
        message = f"{function} takes {count}{axis_text}, not {len(positional)}"
        refuse(node, "call", f"{message}; write {function.usage}")
    return positional, bool(axes)


def _refuse_relu(second: ast.expr, function: Function) -> None:
    """Refuse np.max(x, 0.0), whose author means the larger of two."""
    of_two = _OF_TWO.get(function.name)
    number = second.operand if isinstance(second, ast.UnaryOp) else second
    is_axis = isinstance(number, ast.Constant) and not isinstance(number.value, float)
    if of_two is not None and not is_axis:
        shown = ast.unparse(second) if isinstance(number, ast.Constant) else "y"
        usage = f"np.{of_two}(x, {shown})"
        refuse(second, "batch", f"{function} takes an axis and no second value; use {usage}")


def _check_axis(axis: ast.expr, function: Function) -> None:
    literal = _literal_axis(axis)
    if literal is None:
        refuse(axis, "batch", f"the axis of {function} is the literal 1; {rules.AXIS_TEXT}")
    if literal not in (1, -1):
        message = f"{function} along this axis mixes environments; {rules.AXIS_TEXT}"
        refuse(axis, "batch", message)


def _literal_axis(axis: ast.expr) -> int | None:
    """Return the integer that an axis is written as."""
    literal, sign = axis, 1
    if isinstance(literal, ast.UnaryOp) and isinstance(literal.op, ast.USub):
        literal, sign = literal.operand, -1
    if isinstance(literal, ast.Constant) and type(literal.value) is int:
        return sign * literal.value
    return None
