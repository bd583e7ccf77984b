"""Files that are either wholly there or not there at all, and secrets only their owner reads."""

import contextlib
import os
from pathlib import Path

from websim.service.errors import UserError

SECRET_MODE = 0o400
"""Permissions of a file that holds a secret."""

ROOT_UID = 0


def write_atomic(path: Path, data: bytes, mode: int | None = None) -> None:
    """Replace `path` with `data` so that a reader or a crash never sees a part of it.

    Temporary file in the same directory -> fsync -> rename -> fsync of the directory.

    Args:
        path: Where to write; its directory must exist.
        data: The whole new content.
        mode: Permissions of the file; None takes what the umask leaves. Nobody but the owner
            can read the file before it has them.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb", opener=None if mode is None else _open_private) as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def check_secret(path: Path) -> None:
    """Refuse a secret's file that is not there or that others may read or change.

    A file of root's may be read by a group of ours: how Kubernetes hands secrets to a process
    without privileges. One of any other user's may not: that user could change it.

    Raises:
        UserError: Says what is wrong with it and what to do.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {(error.strerror or str(error)).lower()}",
            "`websim keys` makes keys and tokens; copy this host's part here.",
        ) from None
    mode = found.st_mode & 0o777
    from_root = found.st_uid == ROOT_UID != os.geteuid()
    handed_over = from_root and found.st_gid in (os.getegid(), *os.getgroups())
    if mode & (0o037 if handed_over else 0o077):
        raise UserError(
            f"{path} holds a secret, and others may read or change it (mode {mode:04o})",
            f"Say `chmod 400 {path}`; if somebody may have read it, make a new one.",
        )


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
