"""What an expression may be at least and at most, as far as its text says so.

Of use to name a place to an author (websim.programs.risks), never to accept anything.
"""

import ast
import math
from collections.abc import Callable, Mapping

Bounds = tuple[float, float]
"""Smallest and largest value; a number is in between, or NaN."""

UNKNOWN: Bounds = (-math.inf, math.inf)
_POSITIVE: Bounds = (math.ulp(0.0), math.inf)
_NOT_NEGATIVE: Bounds = (0.0, math.inf)

_RANGES: dict[str, Bounds] = {
    **dict.fromkeys(("abs", "absolute", "square", "sqrt", "hypot"), _NOT_NEGATIVE),
    **dict.fromkeys(("linalg.norm", "std", "var"), _NOT_NEGATIVE),
    **dict.fromkeys(("exp", "exp2"), _POSITIVE),
    **dict.fromkeys(("sin", "cos", "tanh", "sign"), (-1.0, 1.0)),
    "zeros_like": (0.0, 0.0),
    "ones_like": (1.0, 1.0),
}
"""Of functions, whatever their arguments are."""

_SELECTING = frozenset(("mean", "max", "min", "amax", "amin"))
"""Functions whose results stay within the bounds of their argument."""


def bounds_of(node: ast.expr, names: Mapping[str, Bounds]) -> Bounds:
    """Return the bounds of an expression of an accepted program.

    Args:
        node: the expression.
        names: bounds of the variables that are assigned before it.
    """
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value), float(value)
        case ast.Name(id=name):
            return names.get(name, UNKNOWN)
        case ast.Attribute(attr="pi"):
            return math.pi, math.pi
        case ast.Attribute(attr="time_s"):
            return _NOT_NEGATIVE
        case ast.Subscript(value=base):
            return bounds_of(base, names)
        case ast.Compare():
            return 0.0, 1.0
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            low, high = bounds_of(operand, names)
            return -high, -low
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(op, left, right, names)
        case ast.Call():
            return _call(node, names)
    return UNKNOWN


def _arithmetic(
    op: ast.operator, left: ast.expr, right: ast.expr, names: Mapping[str, Bounds]
) -> Bounds:
    (a, b), (c, d) = bounds_of(left, names), bounds_of(right, names)
    match op:
        case ast.Add():
            return a + c, b + d
        case ast.Sub():
            return a - d, b - c
        case ast.Mult() if ast.dump(left) == ast.dump(right):
            return _NOT_NEGATIVE
        case ast.Mult():
            # 0 times an unbounded number is 0 here: a bound is a number.
            products = [x * y if x and y else 0.0 for x in (a, b) for y in (c, d)]
            return min(products), max(products)
        case ast.Div() if a >= 0.0 and c > 0.0:
            return _NOT_NEGATIVE
        case ast.Pow() if a >= 0.0 or (c == d and c % 2 == 0):
            return _NOT_NEGATIVE
    return UNKNOWN


def _call(node: ast.Call, names: Mapping[str, Bounds]) -> Bounds:
    name = ast.unparse(node.func).removeprefix("np.")
    arguments = [bounds_of(argument, names) for argument in node.args]
    if name in _RANGES:
        return _RANGES[name]
    if name in _SELECTING:
        return arguments[0]
    if name == "sum":
        return _NOT_NEGATIVE if arguments[0][0] >= 0.0 else UNKNOWN
    if name == "vecdot":
        same = ast.dump(node.args[0]) == ast.dump(node.args[1])
        return _NOT_NEGATIVE if same else UNKNOWN
    if name == "where":
        (a, b), (c, d) = arguments[1:]
        return min(a, c), max(b, d)
    if name == "clip":
        value, low, high = arguments
        return _each(min, _each(max, value, low), high)
    if name in ("maximum", "minimum"):
        return _each(max if name == "maximum" else min, *arguments)
    return UNKNOWN


def _each(choose: Callable[[float, float], float], first: Bounds, second: Bounds) -> Bounds:
    return choose(first[0], second[0]), choose(first[1], second[1])
