"""The regenerated syntax: the proof that it is closed, and the text that identifies it."""

import ast
from collections.abc import Iterable

_ALLOWED_NODES: frozenset[type[ast.AST]] = frozenset(
    {
        ast.Module,
        ast.FunctionDef,
        ast.arguments,
        ast.arg,
        ast.Assign,
        ast.Return,
        ast.Tuple,
        ast.Name,
        ast.Load,
        ast.Store,
        ast.Constant,
        ast.Call,
        ast.Subscript,
        ast.Slice,
        ast.UnaryOp,
        ast.UAdd,
        ast.USub,
        ast.Invert,
        ast.BinOp,
        ast.Add,
        ast.Sub,
        ast.Mult,
        ast.Div,
        ast.Mod,
        ast.Pow,
        ast.BitAnd,
        ast.BitOr,
        ast.BitXor,
        ast.Compare,
        ast.Lt,
        ast.LtE,
        ast.Gt,
        ast.GtE,
        ast.Eq,
        ast.NotEq,
    }
)


def require_closed(tree: ast.Module, defined: Iterable[str]) -> None:
    """Raise RuntimeError unless `tree` holds only allowed nodes, v_* and f_* names and numbers.

    The checker builds nothing else; this holds it to that before any code is generated.
    """
    known = set(defined)
    for node in ast.walk(tree):
        if type(node) not in _ALLOWED_NODES:
            raise RuntimeError(f"regenerated program holds {type(node).__name__}")
        if isinstance(node, ast.Constant) and type(node.value) not in (int, float):
            raise RuntimeError("regenerated program holds a constant that is no number")
        name = _name(node)
        if name is not None and not name.startswith(("v_", "f_")):
            raise RuntimeError(f"regenerated program holds the name {name}")
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in known or node.keywords
        ):
            raise RuntimeError("regenerated program calls something outside the list")
        if isinstance(node, ast.FunctionDef) and (node.decorator_list or node.returns):
            raise RuntimeError("regenerated program runs code at definition")


def canonical_text(nodes: Iterable[ast.AST]) -> str:
    """Return a text of `nodes` that does not depend on Python's version or on locations."""
    return " ".join(_text(node) for node in nodes)


def _name(node: ast.AST) -> str | None:
    match node:
        case ast.Name():
            return node.id
        case ast.arg():
            return node.arg
        case ast.FunctionDef():
            return node.name
    return None


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant():
            return repr(node.value)
        case ast.Name():
            return node.id
        case ast.expr_context():
            return ""
    below = " ".join(text for child in ast.iter_child_nodes(node) if (text := _text(child)))
    return f"({type(node).__name__} {below})" if below else type(node).__name__
