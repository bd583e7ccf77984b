"""Where a run's time goes: training time, its phases, and what is left out of it."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from websim_learner.advance import Advance

RECENT_UPDATES = 10
"""Updates over which the present speed is measured."""

SPLIT_UPDATES = 50
"""Updates over which the present split of the time is measured: evaluations are among them."""


class RunClock:
    """Measures training time: from the first step on; evaluations and pauses left out."""

    def __init__(self) -> None:
        """Start at zero; the clock stands."""
        self.phases = dict.fromkeys(("physics", "inference", "update", "evaluation"), 0.0)
        """Seconds of this process by what they went to; they overlap where the phases do."""
        self._rested_s = 0.0
        self._gathered_s = 0.0
        self._running_since_s: float | None = None
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_UPDATES + 1)
        self._splits = deque([dict(self.phases)], maxlen=SPLIT_UPDATES + 1)

    @property
    def wall_s(self) -> float:
        """Training time so far."""
        since_s = self._running_since_s
        return self._gathered_s + (0.0 if since_s is None else time.perf_counter() - since_s)

    def go_back(self, wall_s: float) -> None:
        """Stand at an earlier training time: what came after it is done again."""
        self._gathered_s, self._running_since_s = wall_s, None
        self._recent.clear()

    def run(self) -> None:
        """Let the clock run."""
        if self._running_since_s is None:
            self._running_since_s = time.perf_counter()

    def halt(self) -> None:
        """Stop the clock; `run` lets it go on."""
        self._gathered_s, self._running_since_s = self.wall_s, None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the clock for a while, if it runs."""
        running = self._running_since_s is not None
        self.halt()
        try:
            yield
        finally:
            if running:
                self.run()

    def measure_anew(self) -> None:
        """Measure speed and split from the last update on: what they depend on has changed."""
        for measured in (self._recent, self._splits):
            while len(measured) > 1:
                measured.popleft()

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Stop the clock for an evaluation, whose time is kept apart."""
        began_s = time.perf_counter() - self._rested_s
        try:
            with self.stopped():
                yield
        finally:
            self.phases["evaluation"] += time.perf_counter() - self._rested_s - began_s

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Stop the clock for a pause, which an evaluation that it holds up does not count."""
        began_s = time.perf_counter()
        try:
            with self.stopped():
                yield
        finally:
            self._rested_s += time.perf_counter() - began_s

    def note_phases(self, advance: Advance) -> None:
        """Count what an update's time went to, a trial's too."""
        self.phases["physics"] += advance.physics_s
        self.phases["inference"] += advance.inference_s
        self.phases["update"] += advance.update_s

    def note_steps(self, env_steps: int) -> None:
        """Note how many env steps the run has done by now."""
        self._recent.append((self.wall_s, env_steps))
        self._splits.append(dict(self.phases))

    @property
    def recent_phases(self) -> dict[str, float]:
        """Seconds of the last updates, and since, by what they went to."""
        before = self._splits[0]
        return {name: seconds - before[name] for name, seconds in self.phases.items()}

    @property
    def steps_per_s(self) -> float:
        """Training env steps per second over the last updates; 0 before there are two."""
        if len(self._recent) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._recent[0], self._recent[-1]
        return (last - first) / max(last_s - first_s, 1e-9)
