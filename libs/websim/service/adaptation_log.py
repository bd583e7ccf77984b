"""adaptations.jsonl, the log of what a run decided, as any program reads it."""

import json
from pathlib import Path
from typing import Any

from websim.service.errors import UserError

LOG_NAME = "adaptations.jsonl"
RESTORE = "Restore the file as the run wrote it."
_SHAPE = {"n": int, "kind": str, "env_steps": int, "adaptation": int, "values": dict}
"""What a row of any kind has, besides its place in the chain."""

Row = dict[str, Any]


def read_log(path: Path) -> tuple[list[Row], int]:
    """Return the rows of a log, and the bytes up to the end of the last whole line.

    An unfinished last line is left out. That rows are in order and unchanged is not checked here.

    Raises:
        UserError: the file cannot be read, or a line is not a row.
    """
    try:
        # A pipe would be waited for, and a device has no end.
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", RESTORE) from None
    if data is None:
        raise UserError(f"{path} is not a file", RESTORE)
    *lines, unfinished = data.split(b"\n")
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1)]
    return rows, len(data) - len(unfinished)


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{path}: row {number} is not JSON", RESTORE) from None
    if not isinstance(row, dict) or any(
        not isinstance(row.get(name), kind) for name, kind in _SHAPE.items()
    ):
        raise UserError(f"{path}: row {number} is not a row", RESTORE)
    return row
