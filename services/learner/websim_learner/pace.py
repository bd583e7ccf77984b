"""The wall clock's say in a run: pauses and speed decide when things happen, never what.

A command about them takes effect at once, in the middle of an update, and is not journaled. Every
other command waits for the update under way to end, so while one waits nothing is held up.
"""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

SLICE_S = 0.02
"""How often a run that is held looks whether it is to go on."""

MAX_LAG_S = 2.0
"""A run that falls behind its speed, by an update say, catches up at most so much."""


class Pace:
    """Holds a run up: while it is paused, and before steps that are not due yet."""

    def __init__(
        self,
        attend: Callable[[], bool] = lambda: True,
        resting: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """Hold nothing up yet.

        Args:
            attend: obeys what came meanwhile; returns True where nothing may be held up.
            resting: entered for as long as a pause holds the run up.
        """
        self.paused = False
        self.speed: float | None = None
        """Simulated seconds of each env per second of the wall clock; None: as fast as it goes."""
        self._attend = attend
        self._resting = resting
        self._held_s = 0.0
        self._step_s: float | None = None
        """time.monotonic() for which the last step was due; None where none was."""

    def now_s(self) -> float:
        """Return the time of a clock that stands while the run is held up."""
        return time.perf_counter() - self._held_s

    def rest(self) -> bool:
        """Wait out a pause; return True where nothing may be held up."""
        hurried = self._attend()
        if self.paused and not hurried:
            began_s = time.perf_counter()
            with self._resting():
                while self.paused and not hurried:
                    time.sleep(SLICE_S)
                    hurried = self._attend()
            self._held_s += time.perf_counter() - began_s
            self._step_s = None
        return hurried

    def step(self, dt_s: float) -> None:
        """Wait until the next vector step is due.

        Args:
            dt_s: what it simulates.
        """
        hurried = self.rest()
        while not hurried and (left_s := self._due_s(dt_s) - time.monotonic()) > 0.0:
            began_s = time.perf_counter()
            time.sleep(min(left_s, SLICE_S))
            self._held_s += time.perf_counter() - began_s
            hurried = self.rest()
        if hurried or self.speed is None:
            self._step_s = None
        else:
            self._step_s = max(self._due_s(dt_s), time.monotonic() - MAX_LAG_S)

    def _due_s(self, dt_s: float) -> float:
        """Return the time.monotonic() for which the next step is due."""
        if self.speed is None or self._step_s is None:
            return time.monotonic()
        return self._step_s + dt_s / self.speed
