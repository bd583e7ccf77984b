"""How much may be on its way to a page: little, and less where the way is slow; pure."""

from collections import deque
from dataclasses import dataclass

from websim_dashboard.frame_size import FrameSize

MAX_IN_FLIGHT = 4
"""Unconfirmed frames at most."""

FIRST_IN_FLIGHT = 2
"""Until it is known how fast the way is."""

SLOW_ACK_S = 0.25
"""Where a frame queues on its way for longer, one less is sent ahead."""

ACK_TIMEOUT_S = 2.0
"""A frame that is not confirmed by then is taken for lost."""


@dataclass(frozen=True)
class _Frame:
    seq: int
    sent_s: float
    num_bytes: int


class Window:
    """The frames sent to one page that it has not confirmed. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self.lost = 0
        """Frames never confirmed."""
        self._size = FIRST_IN_FLIGHT
        self._sent: deque[_Frame] = deque()
        self._frame_size = FrameSize()

    @property
    def frame_bytes(self) -> int:
        """How large the next frame may be."""
        return self._frame_size.max_bytes

    def note_sent(self, seq: int, num_bytes: int, now_s: float) -> None:
        """Note that a frame goes out."""
        self._sent.append(_Frame(seq, now_s, num_bytes))

    def ack(self, seq: int, now_s: float) -> None:
        """Note that the page has this frame and all that were made before it.

        Frames of several sessions are not sent in the order in which they were made.
        """
        confirmed = [each for each in self._sent if each.seq <= seq]
        self._sent = deque(each for each in self._sent if each.seq > seq)
        if confirmed:
            last = confirmed[-1]
            slow = self._frame_size.note(last.num_bytes, now_s - last.sent_s) > SLOW_ACK_S
            self._size = max(1, self._size - 1) if slow else min(MAX_IN_FLIGHT, self._size + 1)

    def opens_in(self, now_s: float) -> float:
        """Return after how many seconds a frame may be sent, if no confirmation arrives before."""
        while self._sent and now_s - self._sent[0].sent_s >= ACK_TIMEOUT_S:
            self._sent.popleft()
            self.lost += 1
        if len(self._sent) < self._size:
            return 0.0
        return self._sent[0].sent_s + ACK_TIMEOUT_S - now_s
