"""How fast training episodes improve: a robust slope of their returns, with its interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.trend import Slope, theil_sen

RECENT = 0.1
"""Part of the env steps so far over which the slope is taken."""

MIN_POINTS = 10
"""Spans that it is taken over at least."""

MAX_SPANS = 200
"""Spans remembered, so the recent part of a long run has 10 to 20 of them."""

CONFIDENCE = 0.9
"""Of the two-sided interval: each bound alone holds with 95 %, as those of fitness."""

PER_MILLION = 1e6


class _Span(NamedTuple):
    """Some updates that follow one another, and the episodes that ended in them."""

    env_steps: float
    """Mean over the episodes."""
    episode_return: float
    """Likewise."""
    episodes: int
    updates: int

    def with_later(self, later: "_Span") -> "_Span":
        """Return both as one."""
        episodes = self.episodes + later.episodes
        part = later.episodes / episodes
        return _Span(
            self.env_steps + part * (later.env_steps - self.env_steps),
            self.episode_return + part * (later.episode_return - self.episode_return),
            episodes,
            self.updates + later.updates,
        )


class Improvement:
    """The returns of a run's episodes so far, in spans of equally many updates.

    No episode is in two spans, so the noise of one says nothing of the next one's: the interval
    rests on that, and moving averages would make it far too narrow. When there are too many spans,
    each two become one.
    """

    def __init__(self) -> None:
        self._spans: list[_Span] = []

    def add(self, env_steps: int, returns: Sequence[float]) -> None:
        """Take in the episodes that ended in an update; none of them must be NaN or infinite.

        Args:
            env_steps: training env steps by then, more than before.
            returns: of the episodes.
        """
        if not returns:
            return
        update = _Span(float(env_steps), float(np.mean(returns)), len(returns), 1)
        spans = self._spans
        whole = max((span.updates for span in spans), default=1)
        if spans and spans[-1].updates < whole:
            spans[-1] = spans[-1].with_later(update)
            return
        if len(spans) == MAX_SPANS:
            pairs = zip(spans[::2], spans[1::2], strict=True)
            spans[:] = [earlier.with_later(later) for earlier, later in pairs]
        spans.append(update)

    @property
    def per_million(self) -> Slope | None:
        """Slope of the return per million env steps; None before there are enough updates.

        Over the last tenth of the env steps, or the last 10 updates with episodes where those
        reach further back.
        """
        spans = self._spans
        if len(spans) < MIN_POINTS:
            return None
        since = spans[-1].env_steps * (1.0 - RECENT)
        points = max(MIN_POINTS, sum(span.env_steps >= since for span in spans))
        steps = [span.env_steps for span in spans[-points:]]
        returns = [span.episode_return for span in spans[-points:]]
        slope = theil_sen(steps, returns, CONFIDENCE)
        return Slope(*(PER_MILLION * each for each in slope))

    def array(self) -> NDArray[np.float64]:
        """Return the spans, for a checkpoint. Shape: (n, 4)."""
        # Counts are whole numbers far below 2**53, so a float holds them exactly.
        return np.array(self._spans, np.float64).reshape(-1, 4)

    def load(self, array: NDArray[np.float64]) -> None:
        """Take over what `array` returned."""
        self._spans = [_Span(x, y, int(n), int(k)) for x, y, n, k in array.tolist()]
