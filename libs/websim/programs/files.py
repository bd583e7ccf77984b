"""Judge reward files: static check here, trial in the confined child; nothing a file holds hurts.

Called by the command line (websim.programs.command).
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from websim.programs.dryrun import DryRun, dry_run
from websim.programs.errors import Issue, ProgramError, Reason
from websim.programs.limits import MAX_SOURCE_BYTES
from websim.programs.program import compile_program
from websim.programs.sandbox import Sandbox, SandboxedProgram, SandboxError
from websim.programs.schema import ProgramSchema

ROWS = 64
"""Environments of the trial."""


class FileRefusedError(Exception):
    """A file that is not read: name another. The text says why."""


@dataclass(frozen=True)
class FileVerdict:
    """What is said about one file."""

    file: str
    ok: bool
    issues: tuple[Issue, ...] = ()
    """Why it is refused; empty when it is ok."""
    id: str = ""
    """The program's id, once it compiled."""
    trial: DryRun | None = None
    """What the trial found, when it took place."""

    @property
    def reason(self) -> Reason | None:
        """The class of the first issue."""
        return self.issues[0].reason if self.issues else None


def check_files(
    paths: Iterable[Path], schema: ProgramSchema, sandbox: Sandbox | None = None
) -> Iterator[FileVerdict]:
    """Yield a verdict for each file, in order.

    Args:
        paths: reward files; anything else under that name is refused, not raised.
        schema: what a reward may read.
        sandbox: where the trials run; one of its own for this call if None.

    Raises:
        SandboxError: with problem "unavailable" when programs cannot be confined here.
    """
    if sandbox is None:
        with Sandbox() as own:
            yield from check_files(paths, schema, own)
        return
    for path in paths:
        try:
            yield _check_source(str(path), _read(path), schema, sandbox)
        except ProgramError as error:
            yield FileVerdict(str(path), ok=False, issues=error.issues)


def _check_source(file: str, source: str, schema: ProgramSchema, sandbox: Sandbox) -> FileVerdict:
    program = compile_program(source, schema)
    try:
        with SandboxedProgram(program, sandbox, num_rows=ROWS) as confined:
            trial = dry_run(confined, num_rows=ROWS)
    except SandboxError as error:
        if error.problem == "unavailable":
            raise
        raise _refused("cost", f"the trial gave no result: {error}; make it simpler") from None
    return FileVerdict(file, not trial.issues, trial.issues, program.id, trial)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return what a regular file holds, one byte more than allowed at most.

    Raises:
        FileRefusedError: it is none, or cannot be read; the text says why.
    """
    try:
        # Not blocking: opening a pipe that nobody writes to would wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise FileRefusedError(_cause(error)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileRefusedError("this is not a regular file")
        return os.read(descriptor, max_bytes + 1)
    except OSError as error:
        raise FileRefusedError(_cause(error)) from None
    finally:
        os.close(descriptor)


def _read(path: Path) -> str:
    """Return the text of a regular file, one character more than allowed at most."""
    try:
        content = read_regular(path, MAX_SOURCE_BYTES)
    except FileRefusedError as error:
        raise _refused("source", f"cannot be read: {error}; name a text file") from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Latin-1 maps every byte to a character, so the check can name the first foreign one.
        return content.decode("latin-1")


def _cause(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _refused(reason: Reason, message: str) -> ProgramError:
    return ProgramError([Issue(reason, message, 0, 0)])
