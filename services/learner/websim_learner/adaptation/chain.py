"""adaptations.jsonl: what a run decided, append-only, each row chained to the one before by hash.

A row is written and on disk before what it tells takes effect. Times of day are not in it, so two
runs that decide the same write the same bytes.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from websim.service.adaptation_log import LOG_NAME, RESTORE, Row, read_log
from websim.service.errors import UserError
from websim_learner.adaptation.rows import plain
from websim_learner.writing import writing

RESUMED = "resumed"
FIRST = "0" * 64
"""prev_sha256 of the first row."""


class AdaptationLog:
    """The log of one run: written by the trainer's thread, read by HTTP threads."""

    def __init__(self, path: Path) -> None:
        """Open the log, made if it is missing; a last line cut short by a kill is dropped.

        Raises:
            UserError: a row is broken or was changed.
        """
        self._path = path
        self._rows, whole_bytes = read_log(path) if path.exists() else ([], 0)
        verify(self._rows)
        self._file = path.open("ab")
        self._file.truncate(whole_bytes)
        self._sync()
        _sync_directory(path.parent)

    @property
    def position(self) -> int:
        """Number of rows."""
        return len(self._rows)

    def append(
        self, kind: str, update: int, env_steps: int, adaptation: int, values: dict[str, Any]
    ) -> Row:
        """Write a row and return it; it is on disk then.

        Args:
            kind: what happened.
            update: updates of the run done.
            env_steps: training env steps of the run done.
            adaptation: number of the adaptation it belongs to; 0: none.
            values: all about it; structs and numpy numbers are written as plain ones.
        """
        row: Row = {
            "n": len(self._rows) + 1,
            "kind": kind,
            "update": update,
            "env_steps": env_steps,
            "adaptation": adaptation,
            "values": plain(values),
            "prev_sha256": self._rows[-1]["sha256"] if self._rows else FIRST,
        }
        row["sha256"] = _digest(row)
        with writing(self._path):
            self._file.write(_canonical(row) + b"\n")
            self._sync()
        self._rows.append(row)
        return row

    def rows(self, after: int = 0, limit: int = 1000) -> list[Row]:
        """Return rows with n > `after`, at most `limit`, in order."""
        return self._rows[max(after, 0) : max(after, 0) + limit]

    @property
    def head_sha256(self) -> str:
        """Digest of the newest row, and so of all; empty without one."""
        return str(self._rows[-1]["sha256"]) if self._rows else ""

    def go_back(
        self, position: int, update: int = 0, env_steps: int = 0, head_sha256: str = ""
    ) -> None:
        """Tell that a life of the run begins where there were `position` rows.

        Args:
            position: as a checkpoint kept it.
            update: updates done at the checkpoint.
            env_steps: training env steps done at the checkpoint.
            head_sha256: digest of the newest of those rows; older checkpoints do not tell it.

        Raises:
            UserError: there are fewer rows, or others: a chain that was written anew holds, too.
        """
        if position > len(self._rows):
            raise UserError(
                f"{self._path} has {len(self._rows)} rows, the checkpoint counts {position}",
                "Restore the file, or resume from an earlier checkpoint.",
            )
        if position and head_sha256 not in ("", self._rows[position - 1]["sha256"]):
            raise UserError(
                f"{self._path}: the first {position} rows are not those that the checkpoint counts",
                "Restore the file, or resume from an earlier checkpoint.",
            )
        if position < len(self._rows):
            self.append(RESUMED, update, env_steps, 0, {"position": position})

    def close(self) -> None:
        """Close the file; a row that could not be written has been told of."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a log without opening it for writing; an unfinished last line is left out.

    Raises:
        UserError: there is no such file, or a line is not a row.
    """
    if not path.exists():
        raise UserError(f"there is no {path}", "name the directory of a run with --adapt")
    return read_log(path)[0]


def standing(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows that still hold: those that no later life of the run went back behind.

    A "resumed" row brings back what held when there were `position` rows, and is not yielded.
    """
    # Each row points at the one that held before it; a life that begins earlier forks there.
    heads: list[tuple[Row, int] | None] = [None]
    last = 0
    for number, row in enumerate(rows, 1):
        if row["kind"] == RESUMED:
            last = row["values"]["position"]
            heads.append(heads[last])
        else:
            heads.append((row, last))
            last = number
    held: list[Row] = []
    head = heads[-1]
    while head is not None:
        held.append(head[0])
        head = heads[head[1]]
    yield from reversed(held)


def verify(rows: Iterable[Row]) -> None:
    """Check that rows are complete, in order and unchanged.

    Raises:
        UserError: naming the first row that is not.
    """
    previous = FIRST
    for number, row in enumerate(rows, 1):
        unsigned = {name: value for name, value in row.items() if name != "sha256"}
        if row.get("n") != number or row.get("prev_sha256") != previous:
            raise _broken(number, "does not follow the row before it")
        digest = _digest_of(unsigned)
        if digest is None or row.get("sha256") != digest:
            raise _broken(number, "was changed after it was written")
        position = row["values"].get("position") if row["kind"] == RESUMED else 0
        if not isinstance(position, int) or not 0 <= position < number:
            raise _broken(number, "goes back to a row that is not before it")
        previous = row["sha256"]


def _broken(number: int, problem: str) -> UserError:
    return UserError(f"{LOG_NAME}: row {number} {problem}", RESTORE)


def _digest(row: Row) -> str:
    return hashlib.sha256(_canonical(row)).hexdigest()


def _digest_of(row: Row) -> str | None:
    """Return the digest of a row that was read; None where no log has such values."""
    try:
        return _digest(row)
    except (ValueError, RecursionError):
        return None


def _canonical(row: Row) -> bytes:
    """Return the one way to write a row: names sorted, no spaces, UTF-8."""
    text = json.dumps(
        row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
