"""What becomes of a run's files that cannot be written: one line for people, and the run's end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websim.service.errors import UserError


class WriteFailed(UserError):
    """A file of the run cannot be written, so the run cannot go on; what it holds stands."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"cannot write {path}: {why}", "Make room for it, then go on with the run by --resume."
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of a file or directory of the run that it cannot be written, where that is so.

    Raises:
        WriteFailed: the disk is full, or worse.
    """
    try:
        yield
    except OSError as error:
        raise WriteFailed(path, (error.strerror or str(error)).lower()) from None
