"""Programs: rewards, terminations, success and fitness in a closed subset of Python and numpy.

The parts in order: source (bounds, parse), statements / expressions / calls / indexing (check),
values (static shapes), canonical and program (regenerated syntax, compiled function), guard and
dryrun (what a learner and an activation need besides), sandbox (the confined child).
docs/programs.md is the language's description for authors.
"""

from websim.programs.errors import REASONS, Issue, ProgramError, Reason
from websim.programs.program import Program, compile_program
from websim.programs.schema import ProgramKind, ProgramSchema

__all__ = [
    "REASONS",
    "Issue",
    "Program",
    "ProgramError",
    "ProgramKind",
    "ProgramSchema",
    "Reason",
    "compile_program",
]
