"""Where a result that is not finite most likely comes from: the place and remedy for its author."""

import ast

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


def riskiest(source: str) -> tuple[int, int, str]:
    """Return line, column and remedy of the operation most likely to leave the finite numbers.

    `source` is an accepted program. Functions with a limited domain come before divisions, those
    before what merely grows; line 0 when there is nothing of the kind.
    """
    ranked = [
        (rank, node.lineno, node.col_offset + 1, remedy)
        for node in ast.walk(parse(source))
        if isinstance(node, ast.Call | ast.BinOp)
        for rank, remedy in [_risk(node)]
        if remedy
    ]
    if not ranked:
        return 0, 0, _GENERAL
    _, line, column, remedy = min(ranked)
    return line, column, remedy


def _risk(node: ast.Call | ast.BinOp) -> tuple[int, str]:
    """Return the rank of `node` (lower is riskier) and its remedy; no remedy means no risk."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in _GUARDS:
            return 0, _GUARDS[name]
        if name in ("divide", "reciprocal", "mod", "remainder"):
            return 1, _DIVISION
        if name in ("power", "float_power"):
            return _power_risk(node.args[1])
        return 2, _GROWTH if name in _GROWING else ""
    if isinstance(node.op, ast.Div | ast.Mod):
        divisor = node.right
        literal = isinstance(divisor, ast.Constant) and divisor.value != 0
        return 1, "" if literal else _DIVISION
    return _power_risk(node.right) if isinstance(node.op, ast.Pow) else (2, "")


def _power_risk(exponent: ast.expr) -> tuple[int, str]:
    text = ast.unparse(exponent)
    if text.startswith("-"):
        return 1, _DIVISION
    whole = text.removesuffix(".0").isdigit()
    return (2, _GROWTH) if whole else (0, _FRACTION)
