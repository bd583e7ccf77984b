"""The ledger: what every attempt cost, on disk before anything is made of the answer.

A line is written before an attempt is sent (its worst case is reserved) and one when its cost is
known. An attempt whose end never came - a timeout, a cut connection, a crash - keeps its worst
case: it may have been billed. So the sum is never below what was spent, and a reservation that
would pass a cap is refused: spending never goes above it.

The file is JSON lines, appended under a lock that a second service cannot take.
"""

import fcntl
import json
import os
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from websim.service.errors import UserError
from websim.service.logs import get_logger
from websim_reward_gen.lines import append_line
from websim_reward_gen.prices import NANO_USD

log = get_logger(__name__)


MAX_AMOUNT = 10**18
"""Of tokens or of 1e-9 USD: a larger one in a file is damage."""


class OverBudget(Exception):
    """The attempt might pass a cap; the text names it."""


@dataclass(frozen=True)
class Caps:
    """What may be spent at most."""

    run_usd: float
    day_usd: float
    run_tokens: int
    day_tokens: int


@dataclass
class Sums:
    """What attempts cost together."""

    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0
    uncertain_nano_usd: int = 0
    """Of these, the worst cases of attempts whose cost is not known."""
    uncertain_tokens: int = 0

    @property
    def usd(self) -> float:
        """Known and uncertain cost."""
        return (self.nano_usd + self.uncertain_nano_usd) / NANO_USD

    @property
    def tokens(self) -> int:
        """Known and uncertain tokens."""
        return self.input_tokens + self.output_tokens + self.uncertain_tokens


@dataclass(frozen=True)
class Reservation:
    """An attempt that may be sent."""

    number: int
    run: str
    day: str
    nano_usd: int
    tokens: int


class Ledger:
    """Books of one service; safe to share between threads."""

    def __init__(self, path: Path, caps: Caps, today: Callable[[], str] | None = None) -> None:
        """Open the books.

        Args:
            path: the file; created with its directory when missing.
            caps: what may be spent.
            today: names the day, as in 2026-11-22; UTC when not given.

        Raises:
            UserError: the file cannot be used, is damaged, or another service has it open.
        """
        self._caps = caps
        self._today = today or (lambda: datetime.now(UTC).date().isoformat())
        self._lock = threading.Lock()
        self._runs: dict[str, Sums] = defaultdict(Sums)
        self._days: dict[str, Sums] = defaultdict(Sums)
        self._started = Sums()
        self._number = 0
        self._fd = _open(path)
        self._load(path)

    def reserve(self, run: str, nano_usd: int, tokens: int) -> Reservation:
        """Set aside the worst case of an attempt that is about to be sent.

        Raises:
            OverBudget: it might pass a cap.
            OSError: it cannot be written down, so nothing may be sent.
        """
        with self._lock:
            day = self._today()
            self._require_room(run, day, nano_usd, tokens)
            self._number += 1
            reservation = Reservation(self._number, run, day, nano_usd, tokens)
            self._write(
                {
                    "reserve": reservation.number,
                    "run": run,
                    "day": day,
                    "nano_usd": nano_usd,
                    "tokens": tokens,
                }
            )
            self._add(reservation)
            return reservation

    def book(
        self, reservation: Reservation, input_tokens: int, output_tokens: int, nano_usd: int
    ) -> None:
        """Replace a reservation by what the attempt cost; nothing for one that was not billed.

        Where that cannot be written down the reservation stands, which is never too low.
        """
        line: dict[str, object] = {
            "book": reservation.number,
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "nano_usd": nano_usd,
        }
        with self._lock:
            try:
                self._write(line)
            except OSError as error:
                log.warning(
                    "cost not booked: its worst case stands", run=reservation.run, error=str(error)
                )
            else:
                self._settle(reservation, input_tokens, output_tokens, nano_usd)

    def of_run(self, run: str) -> Sums:
        """Return what a run's attempts cost."""
        with self._lock:
            return Sums(**vars(self._runs[run])) if run in self._runs else Sums()

    def since_start(self) -> Sums:
        """Return what attempts of this process cost."""
        with self._lock:
            return Sums(**vars(self._started))

    def left_today_usd(self) -> float:
        """Return what may still be spent today."""
        with self._lock:
            day = self._today()
            spent = self._days[day].usd if day in self._days else 0.0
        return max(0.0, self._caps.day_usd - spent)

    def close(self) -> None:
        """Close the file, which another service may open then; once is enough."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _require_room(self, run: str, day: str, nano_usd: int, tokens: int) -> None:
        caps = self._caps
        for owner, sums, cap_usd, cap_tokens in (
            (f"run {run}", self._runs.get(run, Sums()), caps.run_usd, caps.run_tokens),
            (f"day {day}", self._days.get(day, Sums()), caps.day_usd, caps.day_tokens),
        ):
            worst = sums.nano_usd + sums.uncertain_nano_usd + nano_usd
            if worst > int(cap_usd * NANO_USD):
                raise OverBudget(
                    f"{owner} has spent {sums.usd:.4f} USD; this call may cost "
                    f"{nano_usd / NANO_USD:.4f} more, beyond its cap of {cap_usd:g}"
                )
            if sums.tokens + tokens > cap_tokens:
                raise OverBudget(
                    f"{owner} has used {sums.tokens} tokens; this call may use {tokens} more, "
                    f"beyond its cap of {cap_tokens}"
                )

    def _add(self, reservation: Reservation) -> None:
        for sums in self._sums(reservation):
            sums.attempts += 1
            sums.uncertain_nano_usd += reservation.nano_usd
            sums.uncertain_tokens += reservation.tokens

    def _settle(
        self, reservation: Reservation, input_tokens: int, output_tokens: int, nano_usd: int
    ) -> None:
        for sums in self._sums(reservation):
            sums.uncertain_nano_usd -= reservation.nano_usd
            sums.uncertain_tokens -= reservation.tokens
            sums.input_tokens += input_tokens
            sums.output_tokens += output_tokens
            sums.nano_usd += nano_usd

    def _sums(self, reservation: Reservation) -> tuple[Sums, Sums, Sums]:
        return self._runs[reservation.run], self._days[reservation.day], self._started

    def _write(self, line: dict[str, object]) -> None:
        """Append a line and wait until it is on disk; of what fails on the way nothing counts."""
        append_line(self._fd, json.dumps(line).encode())

    def _load(self, path: Path) -> None:
        """Read the books; a last line without its end is what a crash left, and counts nothing.

        Nothing was sent on the strength of it; the next line takes its place.
        """
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        open_: dict[int, Reservation] = {}
        for number, text in enumerate(whole.split(b"\n") if whole else [], 1):
            try:
                self._replay(json.loads(text), open_)
            except (ValueError, KeyError, TypeError, RecursionError):
                raise UserError(
                    f"{path} line {number} is damaged", "Repair it, or name another --ledger."
                ) from None
        self._started = Sums()

    def _replay(self, line: dict[str, object], open_: dict[int, Reservation]) -> None:
        if "reserve" in line:
            reservation = Reservation(
                _amount(line["reserve"]),
                str(line["run"]),
                str(line["day"]),
                _amount(line["nano_usd"]),
                _amount(line["tokens"]),
            )
            self._number = max(self._number, reservation.number)
            open_[reservation.number] = reservation
            self._add(reservation)
        else:
            names = ("input_tokens", "output_tokens", "nano_usd")
            costs = [_amount(line[name]) for name in names]
            self._settle(open_.pop(_amount(line["book"])), *costs)


def _amount(value: object) -> int:
    """Return an amount of a line; raise ValueError for what is none."""
    if not isinstance(value, int) or not 0 <= value <= MAX_AMOUNT:
        raise ValueError("no amount")
    return value


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(
            f"--ledger {path}: {(error.strerror or str(error)).lower()}", "Name another file."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            f"--ledger {path} is in use by another reward-gen", "Stop it, or name another file."
        ) from None
    return descriptor
