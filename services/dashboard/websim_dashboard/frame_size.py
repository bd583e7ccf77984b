"""How large a frame may be, told by how long frames queue on their way to a page; pure.

As in LEDBAT: what a confirmation takes longer than the quickest one ever did was spent in a queue,
so a long way is no slow one. A busy page is none either: some of its confirmations are quick.
"""

from collections import deque

FIRST_BYTES = 8_192
"""Until something is known of the way."""

MIN_BYTES = 4_096
"""A frame may hold so much on any way; what is smaller says nothing of it."""

TARGET_S = 0.06
"""Frames are to queue no longer. Pages confirm at their pictures, so 0.03 s are no queue."""

QUICK_S = 0.03
"""Where they queue for less, more is tried."""

GROWTH = 1.25
"""By so much."""

SAMPLES = 8
"""So many confirmations in a row have to be late."""


class FrameSize:
    """The size of frames to one page, over one connection."""

    def __init__(self) -> None:
        self.max_bytes = FIRST_BYTES
        """Of the next frame."""
        self._quickest_s = float("inf")
        self._queued_s: deque[float] = deque(maxlen=SAMPLES)

    def note(self, num_bytes: int, took_s: float) -> float:
        """Learn from a confirmation; return how long the frame was in a queue, in seconds.

        Args:
            num_bytes: of the frame.
            took_s: from its sending to its confirmation.
        """
        self._quickest_s = min(self._quickest_s, took_s)
        queued_s = took_s - self._quickest_s
        if num_bytes >= MIN_BYTES // 2:
            self._queued_s.append(queued_s)
            least_s = min(self._queued_s)
            if queued_s < QUICK_S and 2 * num_bytes > self.max_bytes:
                self.max_bytes = int(GROWTH * self.max_bytes)
            elif least_s > TARGET_S and len(self._queued_s) == SAMPLES:
                size = min(num_bytes, self.max_bytes) * TARGET_S / least_s
                self.max_bytes = max(MIN_BYTES, int(size))
                self._queued_s.clear()
        return queued_s
