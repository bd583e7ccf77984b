"""Why a program is refused: the typed reasons, one issue, and the error that carries them.

Raised by the compiler and read by people, by the command line and by language models as authors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Reason = Literal[
    "import",
    "structure",
    "node",
    "attribute",
    "call",
    "name",
    "constant",
    "index",
    "shape",
    "batch",
    "pow",
    "assign",
    "size",
    "source",
    "syntax",
    "nonfinite",
    "cost",
]
"""The class of a refusal; docs/programs.md explains each with its remedy."""

REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong with a program, and what is allowed instead."""

    reason: Reason
    message: str
    line: int
    """1-based line of the source; 0 when the issue has no place in it."""
    column: int
    """1-based column of the source; 0 when the issue has no place in it."""

    def __str__(self) -> str:
        """Return the issue as one line: place, what is wrong, remedy."""
        place = f"line {self.line}, column {self.column}: " if self.line else ""
        return f"{place}{self.message}"


class ProgramError(ValueError):
    """A program was refused: correct its source as `issues` say and compile it again."""

    issues: tuple[Issue, ...]

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__(self.issues)

    def __str__(self) -> str:
        """Return the first issue as one line, with the number of further ones."""
        more = len(self.issues) - 1
        tail = f" (and {more} more issue{'s' if more > 1 else ''})" if more else ""
        return f"{self.issues[0]}{tail}"


class Refusal(Exception):
    """Leaves the check of one statement; `issue` is None when the cause is already reported.

    Control flow inside the checker, never seen outside.
    """

    def __init__(self, issue: Issue | None) -> None:
        super().__init__(issue)
        self.issue = issue
