"""First layer: bounds on the text before it is parsed, then the parse, then bounds on the tree."""

import ast
import re
import threading
import warnings

from websim.programs.errors import Issue, ProgramError, Reason
from websim.programs.limits import (
    MAX_BRACKET_DEPTH,
    MAX_NODES,
    MAX_PREFIX_RUN,
    MAX_SOURCE_BYTES,
    MAX_TREE_DEPTH,
    NUMBER_RANGE,
)

# Tab, line feed, form feed, carriage return before a line feed, and printable ASCII.
_FOREIGN = re.compile(r"[^\t\n\x0c\x20-\x7e\r]|\r(?!\n)")
_PREFIX_RUN = re.compile(rf"(?:[-+~][\s\\]*+|\bnot\b[\s\\]*+){{{MAX_PREFIX_RUN + 1},}}")
_COMMENT_OR_STRING = re.compile(
    r"""
      \#[^\n]*
    | (?<!\w)[rRbBuU]{0,2}(\"{3}|'{3})(?:[^\\]|\\.)*?\1
    | (?<!\w)[rRbBuU]{0,2}(?!\"{3}|'{3})(["'])(?:[^\\\n]|\\.)*?\2
    | (?P<doubtful>["'].*)
    """,
    re.VERBOSE | re.DOTALL,
)
"""What the parser does not look into; from a quote that it may look behind, all the rest."""
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_MAY_WARN = re.compile(r"\\|[0-9][A-Za-z_]")
_filters_lock = threading.Lock()
_BRACKET = re.compile(r"[()\[\]{}]")


def parse(source: str) -> ast.Module:
    """Return the syntax tree of `source`, or raise ProgramError when a bound is not kept."""
    _check_text(source)
    try:
        tree = _parse_silently(source) if _MAY_WARN.search(source) else ast.parse(source)
    except SyntaxError as error:
        raise _syntax_refusal(source, error) from None
    except (RecursionError, MemoryError):
        raise _refusal("size", "the source is nested too deeply; name the parts", 1, 1) from None
    except ValueError as error:
        raise _refusal("syntax", f"not Python: {error}; write one function", 1, 1) from None
    _check_tree(tree)
    return tree


def _parse_silently(source: str) -> ast.Module:
    """Parse what may hold an invalid escape or a number that runs into a word.

    Python warns of these, or refuses them, as the process has set its filters; a verdict must not
    depend on that. Filters belong to the whole process, hence the lock, and the rarity of this way.
    """
    with _filters_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _check_text(source: str) -> None:
    if len(source) > MAX_SOURCE_BYTES:
        raise _refusal(
            "size",
            f"the source has {len(source)} characters, at most {MAX_SOURCE_BYTES} are allowed; "
            "shorten it, comments included",
        )
    foreign = _FOREIGN.search(source)
    if foreign is not None:
        line, column = _place(source, foreign.start())
        raise _refusal(
            "source",
            f"character U+{ord(foreign.group()):04X} is not allowed; use plain ASCII text",
            line,
            column,
        )
    code = _code_of(source)
    _check_brackets(code)
    run = _PREFIX_RUN.search(code)
    if run is not None:
        line, column = _place(source, run.start())
        raise _refusal(
            "size", f"more than {MAX_PREFIX_RUN} prefix operators in a row; use one", line, column
        )


def _code_of(source: str) -> str:
    """Return `source` with spaces for comments and for what is between quotes.

    The parser must meet nothing that was left out here. An f-string holds expressions, and a quote
    without its end holds nothing for certain: from there on everything counts as code.
    """
    return _COMMENT_OR_STRING.sub(_blank, source)


def _blank(found: re.Match[str]) -> str:
    text = found.group()
    if found["doubtful"]:
        return text
    if text.startswith("#"):
        return " " * len(text)
    # A string is still an operand: no run of signs goes on behind it.
    return f'"{" " * (len(text) - 2)}"'


def _check_brackets(source: str) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(source):
        depth = depth + 1 if bracket.group() in "([{" else max(0, depth - 1)
        if depth > MAX_BRACKET_DEPTH:
            line, column = _place(source, bracket.start())
            raise _refusal(
                "size",
                f"brackets are nested deeper than {MAX_BRACKET_DEPTH}; assign parts to names",
                line,
                column,
            )


def _check_tree(tree: ast.Module) -> None:
    """Bound the number of nodes and the depth, without recursion."""
    count = 0
    level: list[ast.AST] = [tree]
    for depth in range(MAX_TREE_DEPTH + 1):
        count += len(level)
        if count > MAX_NODES:
            raise _refusal(
                "size", f"the program has more than {MAX_NODES} syntax nodes; make it shorter"
            )
        below = [
            child
            for node in level
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.expr_context | ast.operator | ast.unaryop | ast.cmpop)
        ]
        if not below:
            return
        level = below
        del depth
    line, column = getattr(level[0], "lineno", 1), getattr(level[0], "col_offset", 0) + 1
    raise _refusal(
        "size",
        f"the expression is nested deeper than {MAX_TREE_DEPTH} levels; assign parts to names",
        line,
        column,
    )


def _syntax_refusal(source: str, error: SyntaxError) -> ProgramError:
    line, column = max(1, error.lineno or 1), max(1, error.offset or 1)
    if error.msg.startswith("Exceeds the limit"):
        return _refusal("constant", f"a number has too many digits; {NUMBER_RANGE}", line, column)
    remedy = "write one Python function in valid syntax"
    if _FENCE.search(_code_of(source)):
        remedy = "remove the ``` fence around the code"
        if not source.lstrip().startswith("```"):
            remedy += ", and any text outside the function"
    return _refusal("syntax", f"{error.msg}; {remedy}", line, column)


def _place(source: str, position: int) -> tuple[int, int]:
    before = source[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _refusal(reason: Reason, message: str, line: int = 0, column: int = 0) -> ProgramError:
    return ProgramError([Issue(reason, message, line, column)])
