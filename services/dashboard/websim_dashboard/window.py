"""How many frames may be on their way to a page: few, and fewer where the way is slow; pure."""

from collections import deque

MAX_IN_FLIGHT = 4
"""Unconfirmed frames at most."""

FIRST_IN_FLIGHT = 2
"""Until it is known how fast the way is."""

SLOW_ACK_S = 0.25
"""Where confirmation takes longer, frames queue on the way: one less is sent ahead."""

ACK_TIMEOUT_S = 2.0
"""A frame that is not confirmed by then is taken for lost."""


class Window:
    """The frames sent to one page that it has not confirmed. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self.lost = 0
        """Frames never confirmed."""
        self._size = FIRST_IN_FLIGHT
        self._sent: deque[tuple[int, float]] = deque()

    def note_sent(self, seq: int, now_s: float) -> None:
        """Note that a frame goes out."""
        self._sent.append((seq, now_s))

    def ack(self, seq: int, now_s: float) -> None:
        """Note that the page has this frame and all that were made before it.

        Frames of several sessions are not sent in the order in which they were made.
        """
        confirmed_s = [sent_s for each, sent_s in self._sent if each <= seq]
        self._sent = deque(each for each in self._sent if each[0] > seq)
        if confirmed_s:
            slow = now_s - confirmed_s[-1] > SLOW_ACK_S
            self._size = max(1, self._size - 1) if slow else min(MAX_IN_FLIGHT, self._size + 1)

    def opens_in(self, now_s: float) -> float:
        """Return after how many seconds a frame may be sent, if no confirmation arrives before."""
        while self._sent and now_s - self._sent[0][1] >= ACK_TIMEOUT_S:
            self._sent.popleft()
            self.lost += 1
        if len(self._sent) < self._size:
            return 0.0
        return self._sent[0][1] + ACK_TIMEOUT_S - now_s
