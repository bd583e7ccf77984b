"""Where a result that is not finite most likely comes from: the place and remedy for its author."""

import ast
import math
from collections.abc import Mapping

from websim.programs.bounds import Bounds, bounds_of
from websim.programs.source import parse

_GUARDS = {
    "sqrt": "np.sqrt needs x >= 0: np.sqrt(np.maximum(x, 0.0))",
    "log": "np.log needs x > 0: np.log(np.maximum(x, 1e-6))",
    "log2": "np.log2 needs x > 0: np.log2(np.maximum(x, 1e-6))",
    "log10": "np.log10 needs x > 0: np.log10(np.maximum(x, 1e-6))",
    "log1p": "np.log1p needs x > -1: np.log1p(np.maximum(x, 0.0))",
    "arcsin": "np.arcsin needs -1 <= x <= 1: np.arcsin(np.clip(x, -1.0, 1.0))",
    "arccos": "np.arccos needs -1 <= x <= 1: np.arccos(np.clip(x, -1.0, 1.0))",
}
_FRACTION = "a fractional power needs x >= 0: np.maximum(x, 0.0) ** 0.5"
_DIVISION = "guard the division: x / np.maximum(np.abs(y), 1e-6)"
_GROWTH = "bound what grows, as in np.exp(np.minimum(x, 10.0))"
_GENERAL = "keep results finite with np.clip, np.minimum and np.maximum"
_GROWING = frozenset({"exp", "exp2", "expm1", "sinh", "cosh", "prod"})


_DOMAINS: dict[str, Bounds] = {
    "sqrt": (0.0, math.inf),
    "log1p": (math.nextafter(-1.0, 0.0), math.inf),
    "arcsin": (-1.0, 1.0),
    "arccos": (-1.0, 1.0),
    **dict.fromkeys(("log", "log2", "log10"), (math.ulp(0.0), math.inf)),
}
"""Where a function has finite values."""


def riskiest(source: str) -> tuple[int, int, str]:
    """Return line, column and remedy of the operation most likely to leave the finite numbers.

    `source` is an accepted program. What its text guards is no risk. Functions with a limited
    domain come before divisions, those before what merely grows; line 0 when there is nothing of
    the kind.
    """
    ranked: list[tuple[int, int, int, str]] = []
    names: dict[str, Bounds] = {}
    for statement in ast.walk(parse(source)):
        if not isinstance(statement, ast.Assign | ast.AugAssign | ast.Return):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Call | ast.BinOp):
                rank, remedy = _risk(node, names)
                if remedy:
                    ranked.append((rank, node.lineno, node.col_offset + 1, remedy))
        _note(statement, names)
    if not ranked:
        return 0, 0, _GENERAL
    _, line, column, remedy = min(ranked)
    return line, column, remedy


def _note(statement: ast.stmt, names: dict[str, Bounds]) -> None:
    """Note the bounds of the variable that a statement assigns."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            names[name] = bounds_of(value, names)
        case ast.AugAssign(target=ast.Name(id=name) as before, op=op, value=value):
            names[name] = bounds_of(ast.BinOp(before, op, value), names)


def _risk(node: ast.Call | ast.BinOp, names: Mapping[str, Bounds]) -> tuple[int, str]:
    """Return the rank of `node` (lower is riskier) and its remedy; no remedy means no risk."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Pow):
            return _power_risk(node.left, node.right, names)
        divides = isinstance(node.op, ast.Div | ast.Mod)
        return 1, _DIVISION if divides and _may_vanish(node.right, names) else ""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in _GUARDS:
        low, high = bounds_of(node.args[0], names)
        inside = _DOMAINS[name][0] <= low and high <= _DOMAINS[name][1]
        return 0, "" if inside else _GUARDS[name]
    if name in ("divide", "reciprocal", "mod", "remainder"):
        return 1, _DIVISION if _may_vanish(node.args[-1], names) else ""
    if name in ("power", "float_power"):
        return _power_risk(node.args[0], node.args[1], names)
    return 2, _GROWTH if name in _GROWING else ""


def _may_vanish(divisor: ast.expr, names: Mapping[str, Bounds]) -> bool:
    low, high = bounds_of(divisor, names)
    return low <= 0.0 <= high


def _power_risk(base: ast.expr, exponent: ast.expr, names: Mapping[str, Bounds]) -> tuple[int, str]:
    by = bounds_of(exponent, names)[0]
    if by < 0.0 and _may_vanish(base, names):
        return 1, _DIVISION
    if by % 1.0 and bounds_of(base, names)[0] < 0.0:
        return 0, _FRACTION
    return 2, _GROWTH
