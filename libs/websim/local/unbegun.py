"""What a run leaves that ended before it began, and nothing else: a person's files are not ours.

A run has begun when its directory has a config.json. Before, only logs of services are there, and
what they keep beside them. Such a directory may be taken again, and is removed after a refusal.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from websim.service.errors import UserError

_OURS = {
    "logs": re.compile(
        r"(orchestrator|sim-worker-\d+|learner|reward-gen|dashboard)\.(stderr|jsonl(\.1)?)"
    ),
    "dashboard": re.compile(r"history\.sqlite(-wal|-shm|-journal)?"),
    "reward-gen": re.compile(r"ledger\.jsonl"),
    "checkpoints": re.compile(r"(?!)"),
}
"""Directories that an unbegun run leaves, and which files in them; in `checkpoints`, none."""

_CONFIG_BEGUN = re.compile(r"\.config\.json\.\d+\.tmp")
"""A config.json that was being written."""


def has_begun(directory: Path) -> bool:
    """Return whether a run is kept in a directory."""
    return (directory / "config.json").exists()


def is_free(directory: Path) -> bool:
    """Return whether a run may begin in a directory: it holds nothing but what one left unbegun.

    Files of ours count only beside the output of our processes: reward-gen and dashboard, started
    by hand, keep files of the same names that somebody wants to keep.

    Raises:
        UserError: It cannot be read.
    """
    try:
        files = list(_files(directory))
    except FileNotFoundError:
        return True
    except _ForeignError:
        return False
    except OSError as error:
        raise UserError(
            f"cannot read {directory}: {error.strerror}", "Choose another --run-dir."
        ) from None
    return not files or any(path.suffix == ".stderr" for path in files)


def hold(directory: Path, log_dir: Path) -> int | None:
    """Keep others from taking the directory of a run that has not begun, or from removing it.

    Returns:
        A descriptor to close when the run is over; None where the learner's own lock has to do.

    Raises:
        UserError: A run is about to begin there.
    """
    descriptor = os.open(log_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError) and not has_begun(directory):
            raise UserError(
                f"another run is about to begin in {directory}", "Choose another --run-dir."
            ) from None
        return None
    return descriptor


def forget_unbegun(directory: Path) -> None:
    """Remove what a run left that did not begin, and its directory if nothing else is in it."""
    if has_begun(directory):
        return
    with contextlib.suppress(OSError):
        for path in _files(directory, strict=False):
            path.unlink()
    for name in _OURS:
        with contextlib.suppress(OSError):
            (directory / name).rmdir()
    with contextlib.suppress(OSError):
        directory.rmdir()


class _ForeignError(Exception):
    """There is something that no unbegun run leaves."""


def _files(directory: Path, *, strict: bool = True) -> Iterator[Path]:
    """Yield the files that an unbegun run left in a directory; raise at others, if strict."""
    for entry in directory.iterdir():
        if _CONFIG_BEGUN.fullmatch(entry.name) and _is_file(entry):
            yield entry
        elif entry.name in _OURS and entry.is_dir() and not entry.is_symlink():
            for path in entry.iterdir():
                if _OURS[entry.name].fullmatch(path.name) and _is_file(path):
                    yield path
                elif strict:
                    raise _ForeignError
        elif strict:
            raise _ForeignError


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
