"""Hurts a fleet and its learner on purpose, by a schedule; `websim verify` and chaos tests use it.

A schedule is a pure function of kinds, counts and seed. When a fault is due is told by the run's
progress, not by the clock, so that a slow machine is hurt at the same places as a fast one.
"""

import contextlib
import difflib
import os
import random
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from websim.local.fleet import ORCHESTRATOR, LocalFleet
from websim.service.errors import UserError

DEFAULT_COUNTS: Mapping[str, int] = {
    "kill-worker": 3,
    "freeze-worker": 2,
    "kill-learner": 2,
    "kill-orchestrator": 1,
    "scale": 1,
}
"""Kinds of faults, and how many of each when nobody says."""

FIRST_AT, LAST_AT = 0.05, 0.8
"""The share of a run within which faults fall: all of them are to leave traces, if any."""

MAX_LAG_S = 2.0
"""Longest wait between a fault's falling due and its being done."""

FROZEN_S = (1.5, 4.0)
"""A frozen process is woken after this long: it has been given up by then, and comes back late."""

ADDED_WORKERS = 2
"""How many workers `scale` adds, and takes away the next time."""

Deed = Callable[[float], str | None]
"""Does a fault to the victim that a number in [0, 1) chooses; returns what was done in a few words,
or None while there is no victim."""


@dataclass(frozen=True)
class Fault:
    """Something that is to go wrong."""

    at: float
    """Share of the run, 0 to 1, after which it is due."""
    kind: str
    draw: float
    """In [0, 1): chooses the victim."""
    lag: float
    """In [0, 1): when it is done after falling due, as a share of the time between two steps of
    progress, so that faults hit every phase of an update."""


@dataclass(frozen=True)
class Done:
    """Something that was made go wrong."""

    after_s: float
    """Since the nemesis was made."""
    progress: float
    """Share of the run that was over."""
    kind: str
    what: str


def parse_faults(text: str) -> dict[str, int]:
    """Read kinds of faults with their counts: `kill-worker=20,scale`.

    Raises:
        UserError: A kind is unknown or a count is none.
    """
    counts: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, equals, count = item.partition("=")
        if kind not in DEFAULT_COUNTS:
            close = difflib.get_close_matches(kind, DEFAULT_COUNTS, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            known = ", ".join(DEFAULT_COUNTS)
            raise UserError(f"there is no fault {kind}{hint}", f"Choose from: {known}.")
        if equals and not (count.isdecimal() and int(count) > 0):
            raise UserError(f"{item} is no count of faults", f"Write {kind}=3, or {kind} alone.")
        counts[kind] = int(count) if equals else DEFAULT_COUNTS[kind]
    if not counts:
        raise UserError("no faults are named", f"Choose from: {', '.join(DEFAULT_COUNTS)}.")
    return counts


def make_schedule(counts: Mapping[str, int], seed: int) -> tuple[Fault, ...]:
    """Return the faults in the order in which they fall due; each `scale` is two of them."""
    draw = random.Random(seed)

    def fault(kind: str, at: float) -> Fault:
        return Fault(at, kind, draw.random(), draw.random())

    faults = []
    for kind, count in counts.items():
        for _ in range(count):
            times = 2 if kind == "scale" else 1
            faults += [fault(kind, draw.uniform(FIRST_AT, LAST_AT)) for _ in range(times)]
    return tuple(sorted(faults, key=lambda each: each.at))


class Nemesis:
    """Does the faults of a schedule to a fleet as they fall due. One thread at a time.

    Only who is ready is hurt, and nobody is killed twice: a process that is killed again and again
    before it can do anything is a crash loop, and is given up.

    Attributes:
        done: What was done, in order.
    """

    def __init__(
        self,
        fleet: LocalFleet,
        schedule: tuple[Fault, ...],
        learner: str = "learner",
        further: Mapping[str, Deed] | None = None,
    ) -> None:
        """Make ready.

        Args:
            fleet: Whom to hurt.
            schedule: See `make_schedule`.
            learner: Name of the learner among the children of the fleet's supervisor.
            further: Deeds for kinds of faults that are not known here.
        """
        self.done: list[Done] = []
        self._fleet = fleet
        self._left = list(schedule)
        self._deeds: dict[str, Deed] = {
            "kill-worker": self._kill_worker,
            "freeze-worker": self._freeze_worker,
            "kill-learner": lambda _: self._kill_child(learner),
            "kill-orchestrator": lambda _: self._kill_child(ORCHESTRATOR),
            "scale": self._scale,
            **(further or {}),
        }
        self._began_s = time.monotonic()
        self._due_s: dict[Fault, float] = {}
        self._frozen: dict[int, float] = {}
        self._killed: set[int] = set()
        """Processes that may not have been noticed to be dead."""
        self._workers_to_add = ADDED_WORKERS
        self._progress = -1.0
        self._progress_s = self._began_s
        self._strides_s: deque[float] = deque(maxlen=5)
        """Times between the last steps of progress; a restart makes one of them long."""
        self._since_progress: set[str] = set()

    @property
    def left(self) -> int:
        """Faults that are still to come."""
        return len(self._left)

    def tend(self, progress: float) -> None:
        """Do what is due, and wake whom it is time to wake. To be called often.

        A kind strikes once between two different values of `progress`: a fleet takes what ends
        three workers in a row at the same step for the environments' fault, and rightly so.

        Args:
            progress: Share of the run that is over, 0 to 1.
        """
        now_s = time.monotonic()
        if progress != self._progress:
            self._strides_s.append(now_s - self._progress_s)
            self._progress, self._progress_s = progress, now_s
            self._since_progress.clear()
        for pid in [pid for pid, until_s in self._frozen.items() if now_s >= until_s]:
            self._wake(pid)
        stride_s = min(MAX_LAG_S, *self._strides_s)
        for fault in [fault for fault in self._left if fault.at <= progress]:
            if now_s < self._due_s.setdefault(fault, now_s + fault.lag * stride_s):
                continue
            if fault.kind in self._since_progress:
                continue
            what = self._deeds[fault.kind](fault.draw)
            if what is not None:
                self._left.remove(fault)
                self._since_progress.add(fault.kind)
                self.done.append(Done(now_s - self._began_s, progress, fault.kind, what))

    def close(self) -> None:
        """Wake whoever is frozen."""
        for pid in list(self._frozen):
            self._wake(pid)

    def _kill_worker(self, draw: float) -> str | None:
        pid = self._worker(draw)
        return None if pid is None else self._kill(pid)

    def _freeze_worker(self, draw: float) -> str | None:
        pid = self._worker(draw)
        if pid is None:
            return None
        low_s, high_s = FROZEN_S
        frozen_s = low_s + draw * (high_s - low_s)
        self._frozen[pid] = time.monotonic() + frozen_s
        said = self._signal(pid, signal.SIGSTOP)
        return said and f"{said} for {frozen_s:.1f} s"

    def _worker(self, draw: float) -> int | None:
        spared = self._frozen.keys() | self._killed
        pids = [pid for pid in self._fleet.ready_worker_pids() if pid not in spared]
        return pids[int(draw * len(pids))] if pids else None

    def _kill_child(self, name: str) -> str | None:
        pid = self._fleet.supervisor.ready_pid(name)
        return None if pid is None or pid in self._killed else self._kill(pid)

    def _kill(self, pid: int) -> str | None:
        self._killed.add(pid)
        return self._signal(pid, signal.SIGKILL)

    def _signal(self, pid: int, number: signal.Signals) -> str | None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return f"{number.name} to process {pid}"

    def _scale(self, _: float) -> str:
        before = self._fleet.num_workers
        self._fleet.scale(before + self._workers_to_add)
        self._workers_to_add = -self._workers_to_add
        return f"{before} to {self._fleet.num_workers} workers"

    def _wake(self, pid: int) -> None:
        del self._frozen[pid]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
