"""Programs: rewards, terminations, success and fitness in a closed subset of Python and numpy.

The parts in order: source (bounds, parse), statements / expressions / calls / indexing (check),
rules, values and scope (static shapes and cost), regenerate, canonical and program (closed syntax,
compiled function), dryrun and guard (what an activation and a learner need besides), sandbox, link
and forker (the caller's side of the confined child), child, worker, confine and seccomp (its own
side), files and command (`websim check-reward`).
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
