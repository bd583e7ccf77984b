"""Which environments of a session's newest picture a page is sent next; pure.

Where the way carries less than whole pictures, environments take turns: a frame holds as many as
may be, and the next one goes on after them, in the newest picture that there is by then.
"""

import struct

from websim_dashboard.binary import HEADER, HEADER_BYTES

NUM_ENVS = 7
"""Place of n in the header."""


class Turns:
    """The turns of the environments of one session, for one page."""

    def __init__(self) -> None:
        self._seq: int | None = None
        self._left = 0
        """Environments that have not been sent of this picture."""
        self._first = 0
        """Whose turn is next."""

    def has_begun(self, seq: int) -> bool:
        """Return whether something of a picture was sent."""
        return self._seq == seq

    def is_through(self, seq: int) -> bool:
        """Return whether all of a picture was sent."""
        return self._seq == seq and self._left == 0

    def take(self, seq: int, num_envs: int, most: int) -> range:
        """Return the environments whose turn it is: one at least, and neighbours.

        Args:
            seq: of the newest picture.
            num_envs: of that picture.
            most: environments that a frame may hold.
        """
        if self._seq != seq:
            self._seq, self._left = seq, num_envs
        if self._first >= num_envs or (most >= num_envs and self._left == num_envs):
            self._first = 0
        # Even frames: the last turn is not one of a few.
        num_turns = max(1, -(-num_envs // max(1, most)))
        count = -(-num_envs // num_turns)
        turn = range(self._first, self._first + min(count, num_envs - self._first, self._left))
        self._left -= len(turn)
        self._first = turn.stop
        return turn


def num_envs_of(picture: bytes) -> int:
    """Return how many environments a frame of figures is of."""
    return int(struct.unpack_from(HEADER, picture)[NUM_ENVS])


def cut(picture: bytes, envs: range, seq: int, time_ms: float) -> bytes:
    """Return a frame of some environments of a picture.

    Args:
        picture: a frame of all environments of a session.
        envs: which ones, neighbours.
        seq: of the new frame.
        time_ms: when it is made, ms since 1970.
    """
    *before, _, _, session, n, k, c, scale_m, _, _ = struct.unpack_from(HEADER, picture)
    head = (*before, seq, time_ms, session, n, k, c, scale_m, envs.start, len(envs))
    columns, at = [struct.pack(HEADER, *head)], HEADER_BYTES
    # root_x, episode_return, episode_length, points, outcome
    for width in (4, 4, 4, 4 * k, 1):
        columns.append(picture[at + width * envs.start : at + width * envs.stop])
        at += width * n
    return b"".join(columns)
