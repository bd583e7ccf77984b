"""Structure: one function, straight-line assignments, one return at its end."""

import ast
import re
from dataclasses import dataclass, field

import numpy as np

from websim.programs.errors import Issue, ProgramError, Reason, Refusal
from websim.programs.expressions import binary, check, require_operator
from websim.programs.limits import (
    MAX_COMPONENT_NAME,
    MAX_COMPONENTS,
    MAX_ISSUES,
    MAX_STATEMENTS,
)
from websim.programs.schema import (
    BOOLEAN_KINDS,
    RESERVED_NAMES,
    ProgramKind,
    ProgramSchema,
    is_plain_name,
)
from websim.programs.scope import Scope, Typed, refuse

_COMPONENT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

_STATEMENT_REMEDIES: dict[type[ast.stmt], str] = {
    ast.If: "if is not allowed; use np.where(condition, a, b)",
    ast.For: "loops are not allowed; numpy acts on all environments at once",
    ast.While: "loops are not allowed; numpy acts on all environments at once",
    ast.AnnAssign: "annotations are not allowed; write name = value",
    ast.Expr: "this computes nothing that is used; assign it to a name or remove it",
    ast.Pass: "pass is not needed; remove it",
    ast.FunctionDef: "one function only; write the expression where it is used",
    ast.ClassDef: "classes are not allowed; one function is all there is",
    ast.Try: "try is not allowed; keep results finite with np.clip, np.maximum and np.minimum",
    ast.Raise: "raise is not allowed; use np.where(condition, a, b)",
    ast.With: "with is not allowed; warnings of numpy are silenced already",
    ast.Delete: "del is not allowed and not needed; remove it",
    ast.Nonlocal: "nonlocal is not allowed; every name is local",
    ast.Match: "match is not allowed; use np.where(condition, a, b)",
    ast.Assert: "assert is not allowed; use np.where(condition, a, b)",
    ast.Global: "global is not allowed; every name is local",
}

_IMPORT_REMEDY = "imports are not allowed; np is there already, remove this line"
_STRAY: dict[type[ast.stmt], str] = {
    ast.AsyncFunctionDef: "async functions are",
    ast.ClassDef: "classes are",
    ast.FunctionDef: "a second function is",
}
_STRAY_REMEDIES: dict[type[ast.stmt], str] = {
    ast.Assign: "move this line below {header}",
    ast.Expr: "move a docstring below {header} and remove anything else",
    ast.FunctionDef: "write what it computes inside the one {header}",
}
_RETURN_HINTS: dict[ProgramKind, str] = {
    "reward": " or return total, {'name': component}",
    "fitness": ", one number per environment",
    "terminated": ", one boolean per environment",
    "success": ", one boolean per environment",
}


@dataclass(frozen=True)
class Assignment:
    """One regenerated statement `target = value`; each target is assigned once."""

    target: str
    value: ast.expr


@dataclass(frozen=True)
class CheckedProgram:
    """A program that passed the static check, as regenerated syntax."""

    scope: Scope
    assignments: tuple[Assignment, ...]
    total: Typed
    components: dict[str, Typed] = field(default_factory=dict)


def check_program(tree: ast.Module, schema: ProgramSchema, kind: ProgramKind) -> CheckedProgram:
    """Return the checked form of `tree`, or raise ProgramError with up to MAX_ISSUES issues."""
    body = _function_body(tree, kind)
    with np.errstate(all="ignore"):
        return _check_body(body, Scope(schema), kind)


def _check_body(body: list[ast.stmt], scope: Scope, kind: ProgramKind) -> CheckedProgram:
    issues: list[Issue] = []
    assignments: list[Assignment] = []
    result: tuple[Typed, dict[str, Typed]] | None = None
    for position, statement in enumerate(body):
        try:
            if isinstance(statement, ast.Return):
                if position != len(body) - 1:
                    message = "nothing may follow the return; move it to the end"
                    refuse(body[position + 1], "structure", message)
                result = _result(scope, statement, kind)
            else:
                assignments.append(_statement(scope, statement, f"v_{position}"))
        except Refusal as refusal:
            _forget_targets(scope, statement)
            if refusal.issue is not None:
                issues.append(refusal.issue)
                if refusal.issue.reason == "cost" or len(issues) == MAX_ISSUES:
                    break
    if not any(isinstance(statement, ast.Return) for statement in body):
        message = f"there is no return; end with return total{_RETURN_HINTS[kind]}"
        issues.append(_issue(body[-1], "structure", message))
    if issues or result is None:
        raise ProgramError(issues[:MAX_ISSUES])
    return CheckedProgram(scope, tuple(assignments), *result)


def _function_body(tree: ast.Module, kind: ProgramKind) -> list[ast.stmt]:
    """Return the statements of the one function, docstring removed."""
    header = f"def {kind}(state, action):"
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    functions.sort(key=lambda function: function.name != kind)  # the one, helpers after it
    issues = [_stray(node, header) for node in tree.body if node not in functions[:1]]
    if functions:
        issues += _header_issues(functions[0], header, kind)
        if len(functions[0].body) > MAX_STATEMENTS:
            message = f"more than {MAX_STATEMENTS} statements; combine some"
            issues.append(_issue(functions[0].body[MAX_STATEMENTS], "size", message))
    elif not issues:
        issues.append(Issue("structure", f"the source is empty; write {header}", 1, 1))
    if issues:
        raise ProgramError(issues[:MAX_ISSUES])
    body = functions[0].body
    if ast.get_docstring(functions[0], clean=False) is None:
        return body
    if len(body) == 1:
        message = f"the function is empty; end it with return total{_RETURN_HINTS[kind]}"
        raise ProgramError([_issue(body[0], "structure", message)])
    return body[1:]


def _stray(node: ast.stmt, header: str) -> Issue:
    """Return the issue of a statement outside the one function."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return _issue(node, "import", _IMPORT_REMEDY)
    shown = _STRAY.get(type(node), "statements outside the function are")
    remedy = _STRAY_REMEDIES.get(type(node), "write just {header}").format(header=header)
    return _issue(node, "structure", f"{shown} not allowed; {remedy}")


def _header_issues(function: ast.FunctionDef, header: str, kind: ProgramKind) -> list[Issue]:
    arguments = function.args
    plain = [argument.arg for argument in arguments.args] == ["state", "action"]
    others = [*arguments.posonlyargs, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    annotated = any(argument.annotation for argument in arguments.args) or function.returns
    decorators = [
        _issue(each, "structure", f"decorators are not allowed; write {header}")
        for each in function.decorator_list[:1]
    ]
    problems = {
        f"the function is named {kind}": function.name != kind,
        "the arguments are state and action": not plain or any(others),
        "default values are not allowed": arguments.defaults or any(arguments.kw_defaults),
        "annotations are not allowed": annotated,
        "type parameters are not allowed": getattr(function, "type_params", None),
    }
    return decorators + [
        _issue(function, "structure", f"{problem}; write {header}")
        for problem, present in problems.items()
        if present
    ]


def _statement(scope: Scope, node: ast.stmt, target: str) -> Assignment:
    """Return the regenerated assignment to `target`, a name that is assigned nowhere else."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        refuse(node, "import", _IMPORT_REMEDY)
    if isinstance(node, ast.Assign):
        if len(node.targets) != 1:
            refuse(node, "assign", "several targets are not allowed; assign one name at a time")
        name = _target(scope, node.targets[0])
    elif isinstance(node, ast.AugAssign):
        name = _target(scope, node.target)
        if name not in scope.variables:
            refuse(node, "name", f"{name} is not defined yet; write {name} = ... first")
    else:
        shown = f"{type(node).__name__} is not in the language; write name = expression"
        refuse(node, "node", _STATEMENT_REMEDIES.get(type(node), shown))
    typed = _assigned(scope, node, name)
    scope.variables[name] = Typed(ast.Name(target, ast.Load()), typed.value)
    return Assignment(target, typed.node)


def _assigned(scope: Scope, node: ast.Assign | ast.AugAssign, name: str) -> Typed:
    if isinstance(node, ast.Assign):
        return check(scope, node.value)
    # r += x means r = r + x: in place it would write into the shared input arrays.
    require_operator(node, node.op)
    before = ast.copy_location(ast.Name(name, ast.Load()), node.target)
    operation = ast.copy_location(ast.BinOp(before, node.op, node.value), node)
    return binary(scope, operation, check(scope, before), check(scope, node.value))


def _forget_targets(scope: Scope, statement: ast.stmt) -> None:
    """Mark what a refused statement would have assigned, so that its uses are not reported too."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            scope.variables[node.id] = None


def _target(scope: Scope, node: ast.expr) -> str:
    """Return the name that is assigned, or refuse anything but a free plain name."""
    if isinstance(node, ast.Tuple | ast.List):
        message = "several targets are not allowed; assign one name at a time, each in its line"
        refuse(node, "assign", message)
    if not isinstance(node, ast.Name):
        message = "only plain names are assigned to; write name = expression, inputs never change"
        refuse(node, "assign", message)
    if node.id.startswith("_"):
        plain = node.id.strip("_")
        usable = is_plain_name(plain) and not _keeps_its_meaning(scope, plain)
        remedy = f"call it {plain}" if usable else "use another name, such as x"
        refuse(node, "name", f"names do not begin with _; {remedy}")
    if _keeps_its_meaning(scope, node.id):
        refuse(node, "assign", f"{node.id} keeps its meaning; use another name")
    return node.id


def _keeps_its_meaning(scope: Scope, name: str) -> bool:
    return name in RESERVED_NAMES or name in scope.schema.constants


def _result(scope: Scope, node: ast.Return, kind: ProgramKind) -> tuple[Typed, dict[str, Typed]]:
    """Return the total and the components of the return statement."""
    if node.value is None:
        refuse(node, "structure", f"nothing is returned; write return total{_RETURN_HINTS[kind]}")
    if not isinstance(node.value, ast.Tuple):
        return _column(check(scope, node.value), node.value, kind, "the result"), {}
    parts = node.value.elts
    if kind != "reward" or len(parts) != 2 or not isinstance(parts[1], ast.Dict):
        message = f"this tuple is not allowed; write return total{_RETURN_HINTS[kind]}"
        refuse(node.value, "structure", message)
    total = _column(check(scope, parts[0]), parts[0], kind, "the total")
    components: dict[str, Typed] = {}
    if len(parts[1].keys) > MAX_COMPONENTS:
        refuse(parts[1], "size", f"more than {MAX_COMPONENTS} components; combine some")
    for key, value in zip(parts[1].keys, parts[1].values, strict=True):
        name = _component_name(key, parts[1])
        if name in components:
            refuse(value, "structure", f"component {name!r} appears twice; rename one")
        components[name] = _column(check(scope, value), value, kind, f"component {name!r}")
    return total, components


def _component_name(key: ast.expr | None, where: ast.Dict) -> str:
    if key is None:
        refuse(where, "structure", "** is not allowed; write each component as 'name': value")
    if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
        refuse(key, "constant", "a component's name is a literal; write 'speed': value")
    if len(key.value) > MAX_COMPONENT_NAME or not _COMPONENT.fullmatch(key.value):
        remedy = f"begin with a letter, then use letters, digits and _, up to {MAX_COMPONENT_NAME}"
        refuse(key, "constant", f"this is no component name; {remedy}")
    return key.value


def _column(typed: Typed, node: ast.expr, kind: ProgramKind, what: str) -> Typed:
    """Return `typed` when it is one value per environment of the right dtype."""
    value = typed.value
    remedy = {
        "number": "multiply it with np.ones_like(x) of a column x",
        "constants": "sum it and multiply it with np.ones_like(x) of a column x",
        "matrix": "reduce it with np.sum(x, axis=1) or select one column x[:, 0]",
    }.get(value.kind)
    if remedy is not None:
        refuse(node, "shape", f"{what} must be (N,), but is {value.shape}; {remedy}")
    if kind in BOOLEAN_KINDS and not value.is_bool:
        refuse(node, "shape", f"{kind} returns booleans; return a comparison such as x > 0.0")
    return typed


def _issue(node: ast.AST, reason: Reason, message: str) -> Issue:
    return Issue(reason, message, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)
