"""Where a result that is not finite most likely comes from: the place and remedy for its author."""

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from websim.programs.bounds import Estimates
from websim.programs.intervals import Bounds
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
_NUM_RANKS = 3


_DOMAINS: dict[str, Bounds] = {
    "sqrt": (0.0, math.inf),
    "log1p": (math.nextafter(-1.0, 0.0), math.inf),
    "arcsin": (-1.0, 1.0),
    "arccos": (-1.0, 1.0),
    **dict.fromkeys(("log", "log2", "log10"), (math.ulp(0.0), math.inf)),
}
"""Where a function has finite values."""

_Risk = tuple[int, str, ast.expr]
"""Rank (lower is riskier), remedy, and the operand that decides."""


_DECIDING = frozenset(("maximum", "minimum", "clip", "floor", "ceil", "isfinite", "isnan", "isinf"))


@dataclass
class _Line:
    """What one statement may do to the result."""

    risks: list[tuple[int, int, int, str]] = field(default_factory=list)
    """Rank, line, column and remedy of each operation that nothing bounds."""
    uses: list[int] = field(default_factory=list)
    """Lines whose values it uses, whatever they are."""


def riskiest(source: str) -> tuple[int, int, str]:
    """Return line, column and remedy of the operation most likely to leave the finite numbers.

    `source` is an accepted program. What its text bounds is no risk. Functions with a limited
    domain come before divisions, those before what merely grows, and after them all what an
    np.where seems to choose only where it is finite; line 0 when there is nothing of the kind.
    """
    lines = _Survey().lines(parse(source))
    exposed = {len(lines) - 1}
    ranked: list[tuple[int, int, int, str]] = []
    for position in range(len(lines) - 1, -1, -1):
        if position in exposed:
            exposed.update(lines[position].uses)
        demotion = 0 if position in exposed else _NUM_RANKS
        for rank, row, column, remedy in lines[position].risks:
            ranked.append((rank + demotion, row, column, remedy))
    if not ranked:
        return 0, 0, _GENERAL
    _, row, column, remedy = min(ranked)
    return row, column, remedy


def has_condition(source: str) -> bool:
    """Tell whether an accepted program reads something and has a comparison or a limit for it."""
    nodes = list(ast.walk(parse(source)))
    reads = any(isinstance(node, ast.Name) and node.id in ("state", "action") for node in nodes)
    return reads and any(
        isinstance(node, ast.Compare)
        or (isinstance(node, ast.Call) and _name_of(node) in _DECIDING)
        for node in nodes
    )


class _Survey:
    """One pass over the statements of a program, in order."""

    def __init__(self) -> None:
        self._estimates = Estimates()
        self._defined: dict[str, tuple[int, frozenset[int]]] = {}
        """Of each variable: the line that assigns it, and all that went into it."""
        self._ingredients: dict[ast.AST, frozenset[int]] = {}

    def lines(self, tree: ast.Module) -> list[_Line]:
        """Return what each of the statements may do, the return being the last."""
        lines: list[_Line] = []
        for name, value in _statements(tree):
            lines.append(self._line(value))
            if name:
                self._estimates.assign(name, value)
                self._defined[name] = len(lines) - 1, self._made_of(value)
        return lines

    def _line(self, value: ast.expr) -> _Line:
        line = _Line()
        # Each node with all that the conditions of an np.where around it are made of.
        waiting: list[tuple[ast.AST, frozenset[int]]] = [(value, frozenset())]
        while waiting:
            node, conditions = waiting.pop()
            if _is_truth(node):
                continue
            if isinstance(node, ast.Name) and node.id in self._defined:
                if not conditions & self._made_of(node):
                    line.uses.append(self._defined[node.id][0])
            elif isinstance(node, ast.Call | ast.BinOp):
                rank, remedy, operand = _risk(node, self._estimates)
                if remedy:
                    guarded = conditions & self._made_of(operand)
                    rank += _NUM_RANKS if guarded else 0
                    line.risks.append((rank, node.lineno, node.col_offset + 1, remedy))
            if isinstance(node, ast.Call) and _name_of(node) == "where":
                condition, *branches = node.args
                waiting.append((condition, conditions))
                chosen = conditions | self._made_of(condition)
                waiting += [(branch, chosen) for branch in branches]
            else:
                waiting += [(child, conditions) for child in ast.iter_child_nodes(node)]
        return line

    def _made_of(self, node: ast.AST) -> frozenset[int]:
        """Return the variables, fields and columns that an expression is made of, by their form."""
        if node not in self._ingredients:
            found = {self._estimates.form(node)} if _is_read(node) else set()
            if isinstance(node, ast.Name) and node.id in self._defined:
                found |= self._defined[node.id][1]
            # Columns of an input say nothing of its other columns.
            below = [] if isinstance(node, ast.Subscript) else ast.iter_child_nodes(node)
            self._ingredients[node] = frozenset(found).union(*map(self._made_of, below))
        return self._ingredients[node]


def _statements(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Yield each assigned name with its value, and the returned value with no name."""
    for statement in ast.walk(tree):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AugAssign(target=ast.Name(id=name) as before, op=op, value=value):
                yield name, ast.copy_location(ast.BinOp(before, op, value), statement)
            case ast.Return(value=ast.expr() as value):
                yield "", value


def _is_read(node: ast.AST) -> bool:
    """Tell whether `node` is a variable, a field, the action, or columns of one of them."""
    match node:
        case ast.Attribute(value=ast.Name(id="state")) | ast.Subscript():
            return True
        case ast.Name(id=name):
            return name not in ("np", "state")
    return False


def _is_truth(node: ast.AST) -> bool:
    """Tell whether `node` is true or false, whatever becomes of the numbers in it."""
    asked = isinstance(node, ast.Call) and _name_of(node) in ("isfinite", "isnan", "isinf")
    return asked or isinstance(node, ast.Compare)


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _risk(node: ast.Call | ast.BinOp, estimates: Estimates) -> _Risk:
    """Return what may be wrong with `node`; no remedy means no risk."""
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Pow):
            return _power_risk(node, node.left, node.right, estimates)
        divides = isinstance(node.op, ast.Div | ast.Mod)
        risky = divides and _may_vanish(node.right, estimates)
        return 1, _DIVISION if risky else "", node.right
    name = _name_of(node)
    if name in _GUARDS:
        low, high = estimates.bounds(node.args[0])
        inside = _DOMAINS[name][0] <= low and high <= _DOMAINS[name][1]
        return 0, "" if inside else _GUARDS[name], node.args[0]
    if name in ("divide", "reciprocal", "mod", "remainder"):
        return 1, _DIVISION if _may_vanish(node.args[-1], estimates) else "", node.args[-1]
    if name in ("power", "float_power"):
        return _power_risk(node, node.args[0], node.args[1], estimates)
    grows = name in _GROWING and not _is_bounded(node, estimates)
    return 2, _GROWTH if grows else "", node


def _may_vanish(divisor: ast.expr, estimates: Estimates) -> bool:
    low, high = estimates.bounds(divisor)
    return low <= 0.0 <= high


def _is_bounded(node: ast.expr, estimates: Estimates) -> bool:
    return all(map(math.isfinite, estimates.bounds(node)))


def _power_risk(node: ast.expr, base: ast.expr, exponent: ast.expr, estimates: Estimates) -> _Risk:
    by = estimates.bounds(exponent)[0]
    if by < 0.0 and _may_vanish(base, estimates):
        return 1, _DIVISION, base
    if by % 1.0 and estimates.bounds(base)[0] < 0.0:
        return 0, _FRACTION, base
    return 2, "" if _is_bounded(node, estimates) else _GROWTH, base
