"""Files that lines are appended to: a line is there whole, or no part of it is."""

import contextlib
import os


def append_line(descriptor: int, line: bytes) -> None:
    """Append a line and wait until it is on disk; of what fails on the way nothing stays.

    Where not even that can be undone, a part without an end stays, which the next line replaces.

    Args:
        descriptor: of a file open for reading and appending; nobody else appends meanwhile.
        line: without its end.

    Raises:
        OSError: the line is not there.
    """
    size = whole_size(descriptor)
    if os.fstat(descriptor).st_size > size:
        os.ftruncate(descriptor, size)
    rest = line + b"\n"
    try:
        # A disk that fills up takes a part; the next write says why it takes no more.
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def whole_size(descriptor: int) -> int:
    """Return the bytes of a file's whole lines: a last one without its end does not count."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    return os.pread(descriptor, size, 0).rfind(b"\n") + 1
