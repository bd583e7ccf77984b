"""What an expression may be at least and at most, as far as its text says so.

Of use to name a place to an author (websim.programs.risks), never to accept anything.
"""

import ast
import math

from websim.programs import intervals
from websim.programs.intervals import NOT_NEGATIVE, UNKNOWN, Bounds

_RANGES: dict[str, Bounds] = {
    **dict.fromkeys(("std", "var"), NOT_NEGATIVE),
    **dict.fromkeys(("sin", "cos", "sign"), (-1.0, 1.0)),
    **dict.fromkeys(("isfinite", "isnan", "isinf", "any", "all"), (0.0, 1.0)),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not"), (0.0, 1.0)),
    "cosh": (1.0, math.inf),
    "arccos": (0.0, math.pi),
    "arctan2": (-math.pi, math.pi),
    "zeros_like": (0.0, 0.0),
    "ones_like": (1.0, 1.0),
}
"""Of functions, whatever their arguments are."""

_OPERATORS: dict[str, ast.operator] = {
    "add": ast.Add(),
    "subtract": ast.Sub(),
    "multiply": ast.Mult(),
    "divide": ast.Div(),
    "mod": ast.Mod(),
    "remainder": ast.Mod(),
    "power": ast.Pow(),
    "float_power": ast.Pow(),
}
"""Functions that are operators by another name."""

_SELECTING = frozenset(("mean", "max", "min", "amax", "amin"))
"""Functions whose results stay within the bounds of their argument."""


class Estimates:
    """Bounds of the expressions of one accepted program, asked for from its first line to its last.

    Each expression is looked at once, however often it is asked for.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._names: dict[str, Bounds] = {}
        self._bounds: dict[ast.expr, Bounds] = {}
        self._forms: dict[ast.AST, int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}

    def assign(self, name: str, value: ast.expr) -> None:
        """Note that from here on `name` is `value`."""
        self._names[name] = self.bounds(value)

    def bounds(self, node: ast.expr) -> Bounds:
        """Return the smallest and the largest value of an expression; it may be NaN besides."""
        if node not in self._bounds:
            low, high = self._estimate(node)
            known = not (math.isnan(low) or math.isnan(high))
            self._bounds[node] = (low, high) if known else UNKNOWN
        return self._bounds[node]

    def form(self, node: ast.AST) -> int:
        """Return a number that expressions written alike share."""
        if node not in self._forms:
            parts: list[object] = [type(node)]
            for _, value in ast.iter_fields(node):
                for part in value if isinstance(value, list) else [value]:
                    if isinstance(part, ast.AST):
                        # A name is alike where it is assigned and where it is read.
                        alike = isinstance(part, ast.expr_context)
                        parts.append("" if alike else self.form(part))
                    else:
                        parts.append(repr(part))
            self._forms[node] = self._numbers.setdefault(tuple(parts), len(self._numbers))
        return self._forms[node]

    def _estimate(self, node: ast.expr) -> Bounds:
        match node:
            case ast.Constant(value=int() | float() as value):
                return float(value), float(value)
            case ast.Name(id=name):
                return self._names.get(name, UNKNOWN)
            case ast.Attribute(attr="pi"):
                return math.pi, math.pi
            case ast.Attribute(attr="time_s"):
                return NOT_NEGATIVE
            case ast.Subscript(value=base):
                return self.bounds(base)
            case ast.Compare() | ast.UnaryOp(op=ast.Invert()):
                return 0.0, 1.0
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.bounds(operand)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return intervals.negative(self.bounds(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._arithmetic(op, left, right)
            case ast.Call():
                return self._call(node)
        return UNKNOWN

    def _arithmetic(self, op: ast.operator, left: ast.expr, right: ast.expr) -> Bounds:
        x, y = self.bounds(left), self.bounds(right)
        match op:
            case ast.Add():
                return intervals.plus(x, y)
            case ast.Sub():
                return intervals.plus(x, intervals.negative(y))
            case ast.Mult() if self.form(left) == self.form(right):
                return intervals.power(x, 2.0)
            case ast.Mult():
                return intervals.times(x, y)
            case ast.Div():
                return intervals.divided(x, y)
            case ast.Mod():
                return intervals.modulo(y)
            case ast.Pow() if y[0] == y[1]:
                return intervals.power(x, y[0])
            case ast.BitAnd() | ast.BitOr() | ast.BitXor():
                return 0.0, 1.0
        return UNKNOWN

    def _call(self, node: ast.Call) -> Bounds:
        name = ast.unparse(node.func).removeprefix("np.")
        if name in _RANGES:
            return _RANGES[name]
        if name in _OPERATORS:
            return self._arithmetic(_OPERATORS[name], node.args[0], node.args[1])
        if name == "vecdot":
            return intervals.total(self._arithmetic(ast.Mult(), node.args[0], node.args[1]))
        first, *others = [self.bounds(argument) for argument in node.args]
        if name in intervals.RISING:
            return intervals.rising(name, first)
        if name in _SELECTING:
            return first
        match name:
            case "abs" | "absolute" | "linalg.norm":
                return intervals.magnitude(first)
            case "square":
                return intervals.power(first, 2.0)
            case "negative":
                return intervals.negative(first)
            case "reciprocal":
                return intervals.divided((1.0, 1.0), first)
            case "sum":
                return intervals.total(first)
            case "prod":
                return intervals.product(first)
            case "hypot":
                return max(intervals.magnitude(each)[0] for each in (first, others[0])), math.inf
            case "full_like":
                return others[0]
            case "where":
                return min(others[0][0], others[1][0]), max(others[0][1], others[1][1])
            case "clip":
                return intervals.least(intervals.greatest(first, others[0]), others[1])
            case "maximum":
                return intervals.greatest(first, others[0])
            case "minimum":
                return intervals.least(first, others[0])
        return UNKNOWN
