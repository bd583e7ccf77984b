"""Commands that are printed for a person to type next: such that they work where they are read.

After `make up` nothing of `.venv/bin` is on PATH, and another `websim` may be.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path


def to_type(program: str, *arguments: object) -> str:
    """Return the command line that runs a program of this installation from a terminal here.

    Args:
        program: one that is installed beside this interpreter, as in `websim`.
        *arguments: what follows it; quoted where a shell needs that.
    """
    return shlex.join([_name_of(program), *map(str, arguments)])


def _name_of(program: str) -> str:
    """Return a name that means the program of this installation: on PATH, from here, or whole."""
    ours = Path(sys.executable).with_name(program)
    found = shutil.which(program)
    if not ours.is_file() or (found is not None and os.path.samefile(found, ours)):
        return program
    return str(from_here(ours))


def from_here(path: Path) -> Path:
    """Return an absolute path as it is written in the working directory: shorter, where below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
