"""Expressions: the allow-list of syntax nodes, each with its check and its regenerated form."""

import ast
import operator
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from websim.programs import rules
from websim.programs.calls import check_call, method_remedy
from websim.programs.errors import Refusal
from websim.programs.functions import FUNCTIONS, VALUE_REMEDIES
from websim.programs.indexing import check_subscript
from websim.programs.limits import MAX_LITERAL, NUMBER_RANGE
from websim.programs.schema import RESERVED_NAMES
from websim.programs.scope import Scope, Typed, compute, refuse, suggest
from websim.programs.values import Value, broadcast, constants, number, rows

_ARITHMETIC: dict[type[ast.operator], tuple[str, Callable[..., Any], int]] = {
    ast.Add: ("+", operator.add, 1),
    ast.Sub: ("-", operator.sub, 1),
    ast.Mult: ("*", operator.mul, 1),
    ast.Div: ("/", operator.truediv, 2),
    ast.Mod: ("%", operator.mod, 20),
}
_LOGIC: dict[type[ast.operator], tuple[str, Callable[..., Any]]] = {
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.BitXor: ("^", operator.xor),
}
_COMPARISONS: dict[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

_OPERATOR_REMEDIES: dict[type[ast.operator], str] = {
    ast.MatMult: "@ mixes environments; np.vecdot(x, y) multiplies row by row",
    ast.FloorDiv: "// is not allowed; use np.floor(x / y)",
    ast.LShift: "<< is not allowed; use *",
    ast.RShift: ">> is not allowed; use /",
}
_NODE_REMEDIES: dict[type[ast.expr], str] = {
    ast.BoolOp: "and / or are not allowed; combine comparisons with & and |",
    ast.IfExp: "a if c else b is not allowed; use np.where(c, a, b)",
    ast.Lambda: "lambda is not allowed; write the expression where it is used",
    ast.ListComp: "comprehensions are not allowed; numpy acts on all environments at once",
    ast.GeneratorExp: "comprehensions are not allowed; numpy acts on all environments at once",
    ast.Dict: "a dict is allowed in the return only; write return total, {'name': component}",
    ast.SetComp: "comprehensions are not allowed; numpy acts on all environments at once",
    ast.DictComp: "comprehensions are not allowed; numpy acts on all environments at once",
    ast.Starred: "* is not allowed; write each value out",
    ast.Set: "sets are not allowed; combine columns with arithmetic",
    ast.List: "lists are not allowed; combine columns with arithmetic",
    ast.Tuple: "tuples are not allowed; assign each value to its own name",
    ast.NamedExpr: ":= is not allowed; assign in a statement of its own",
    ast.JoinedStr: "strings are not allowed; a reward names components in its return only",
}


def check(scope: Scope, node: ast.expr) -> Typed:
    """Return the checked and regenerated form of `node`, or raise Refusal."""
    match node:
        case ast.Constant():
            return _constant(node)
        case ast.Name():
            return _name(scope, node)
        case ast.Attribute():
            return _attribute(scope, node)
        case ast.Subscript():
            return _subscript(scope, node)
        case ast.Call():
            return check_call(scope, node, check)
        case ast.UnaryOp():
            return _unary(scope, node)
        case ast.BinOp():
            require_operator(node, node.op)
            return binary(scope, node, check(scope, node.left), check(scope, node.right))
        case ast.Compare():
            return _compare(scope, node)
    kind = type(node).__name__
    refuse(
        node,
        "node",
        _NODE_REMEDIES.get(type(node), f"{kind} is not in the language; write arithmetic"),
    )


def _constant(node: ast.Constant) -> Typed:
    literal = node.value
    if not isinstance(literal, int | float) or isinstance(literal, bool):
        shown = {bool: "True and False", str: "strings", bytes: "bytes"}.get(
            type(literal), type(literal).__name__
        )
        remedy = "compare arrays to get booleans" if type(literal) is bool else "write a number"
        refuse(node, "constant", f"{shown} cannot be used as values; {remedy}")
    if not abs(literal) <= MAX_LITERAL:
        refuse(node, "constant", f"this number is too large; {NUMBER_RANGE}")
    return Typed(ast.Constant(literal), number(literal))


def _name(scope: Scope, node: ast.Name) -> Typed:
    name = node.id
    if name in scope.variables:
        typed = scope.variables[name]
        if typed is None:
            raise Refusal(None)
        return typed
    if name == "action":
        scope.reads_action = True
        return Typed(_load("v_action"), rows(scope.schema.action_dim, np.float32, is_view=True))
    if name in scope.schema.constants:
        return _named_constant(scope, name)
    if name == "np":
        refuse(node, "name", "np is not a value; call np.<function>(...)")
    if name == "state":
        refuse(node, "name", "state is not a value; read state.<field>, such as state.obs")
    _refuse_unknown_name(scope, node)


def _refuse_unknown_name(scope: Scope, node: ast.Name) -> NoReturn:
    name = node.id
    if name in scope.schema.fields:
        refuse(node, "name", f"{name} is a field; read it as state.{name}")
    if name in FUNCTIONS:
        refuse(node, "name", f"{name} is a function; call it as np.{name}(...)")
    known = [*scope.variables, *scope.schema.constants, *RESERVED_NAMES]
    near = suggest(name, known) or suggest(name, scope.schema.fields, "state.{}")
    hint = f"did you mean {near}?" if near else "assign it first, or read state.<field>"
    refuse(node, "name", f"{name} is not defined; {hint}")


def _named_constant(scope: Scope, name: str) -> Typed:
    value = scope.schema.constants[name]
    if not isinstance(value, tuple):
        return Typed(ast.Constant(float(value)), number(float(value)))
    vector = np.asarray(value, dtype=np.float64)
    vector.setflags(write=False)
    closed_name = f"v_const_{name}"
    scope.globals[closed_name] = vector
    return Typed(_load(closed_name), constants(vector))


def _attribute(scope: Scope, node: ast.Attribute) -> Typed:
    base = node.value
    if isinstance(base, ast.Name) and base.id == "state":
        typed = _field(scope, node)
        scope.read(node.attr, None)
        return typed
    if isinstance(base, ast.Name) and base.id == "np":
        if node.attr == "pi":
            return Typed(ast.Constant(float(np.pi)), number(float(np.pi)))
        remedy = VALUE_REMEDIES.get(node.attr, "call np.<function>(...)")
        refuse(node, "attribute", f"np.{node.attr} is not a value here; {remedy}")
    refuse(node, "attribute", f".{node.attr} is not allowed; {method_remedy(node.attr)}")


def _field(scope: Scope, node: ast.Attribute) -> Typed:
    fields = scope.schema.fields
    if node.attr not in fields:
        near = suggest(node.attr, fields, "state.{}")
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(sorted(fields))}"
        refuse(node, "attribute", f"state has no field {node.attr}; {hint}")
    return Typed(_load(f"v_field_{node.attr}"), rows(fields[node.attr], np.float64, is_view=True))


def _subscript(scope: Scope, node: ast.Subscript) -> Typed:
    base = node.value
    match base:
        case ast.Attribute(value=ast.Name(id="state"), attr=name):
            typed, span = check_subscript(node, _field(scope, base))
            scope.read(name, span)
            return typed
    return check_subscript(node, check(scope, base))[0]


def _unary(scope: Scope, node: ast.UnaryOp) -> Typed:
    if isinstance(node.op, ast.Not):
        refuse(node, "node", "not is not allowed; use ~ on a comparison in parentheses")
    operand = check(scope, node.operand)
    value = operand.value
    if isinstance(node.op, ast.Invert):
        if not value.is_bool or value.kind == "number":
            refuse(node, "node", "~ negates comparisons of arrays only; write ~(x > 0.0)")
        function: Callable[..., Any] = operator.invert
    else:
        if value.is_bool:
            remedy = "use ~ to negate it, or a number as in -1.0 * (x > 0.0)"
            refuse(node, "node", f"a comparison has no sign; {remedy}")
        function = operator.neg if isinstance(node.op, ast.USub) else operator.pos
    scope.spend(node, value.columns)
    result = compute(node, "node", "this operator", function, [value], (value.kind, value.columns))
    return Typed(ast.UnaryOp(node.op, operand.node), result)


def require_operator(node: ast.expr | ast.stmt, op: ast.operator) -> None:
    """Refuse operators outside the language, before their operands are looked at."""
    if type(op) not in _ARITHMETIC and type(op) not in _LOGIC and not isinstance(op, ast.Pow):
        refuse(node, "node", _OPERATOR_REMEDIES[type(op)])


def binary(scope: Scope, node: ast.BinOp, left: Typed, right: Typed) -> Typed:
    """Return the checked `node`, whose operands are `left` and `right`."""
    values = [left.value, right.value]
    if isinstance(node.op, ast.Pow):
        exponent = rules.exponent(node, *values)
        weight = rules.OPERATOR_POWER_WEIGHTS.get(exponent, rules.SLOW_POWER_WEIGHT)
        shown, function = "**", operator.pow
    else:
        shown, function, weight = _operator(node, values)
    result = broadcast(values)
    if result is None:
        rules.refuse_shapes([node.left, node.right], shown, values)
    value = compute(node, "node", shown, function, values, result)
    scope.spend(node, weight * value.columns)
    return Typed(ast.BinOp(left.node, node.op, right.node), value)


def _operator(node: ast.BinOp, values: list[Value]) -> tuple[str, Callable[..., Any], int]:
    booleans = [value.is_bool for value in values]
    if type(node.op) in _ARITHMETIC:
        shown, function, weight = _ARITHMETIC[type(node.op)]
        if all(booleans):
            refuse(
                node,
                "node",
                f"{shown} of two comparisons; use & and |, or np.where(condition, 1.0, 0.0)",
            )
        return shown, function, weight
    shown, function = _LOGIC[type(node.op)]
    if not all(booleans):
        refuse(
            node.right if booleans[0] else node.left,
            "node",
            f"{shown} combines comparisons only; put each in parentheses: "
            f"(a > 0.0) {shown} (b > 0.0)",
        )
    return shown, function, 1


def _compare(scope: Scope, node: ast.Compare) -> Typed:
    if len(node.ops) != 1:
        refuse(
            node,
            "node",
            "comparisons cannot be chained; write (a < x) & (x < b), each in parentheses",
        )
    function = _COMPARISONS.get(type(node.ops[0]))
    if function is None:
        refuse(node, "node", "is and in are not allowed; use < <= > >= == !=")
    left, right = check(scope, node.left), check(scope, node.comparators[0])
    values = [left.value, right.value]
    aligned = broadcast(values)
    if aligned is None:
        rules.refuse_shapes([node.left, *node.comparators], "a comparison", values)
    value = compute(node, "node", "a comparison", function, values, aligned)
    scope.spend(node, value.columns)
    return Typed(ast.Compare(left.node, [node.ops[0]], [right.node]), value)


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())
