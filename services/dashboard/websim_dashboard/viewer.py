"""One open page: what it wants, what waits for it, and the task that sends it."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from websim.service.tokens import Role
from websim_dashboard.messages import Subscribe
from websim_dashboard.turns import Turns, cut
from websim_dashboard.window import Window

MAX_TEXTS = 500
"""Messages that wait for a page; one that is further behind has to come again."""

SEND_DEADLINE_S = 10.0
"""How long a page may take nothing at all."""

Key = tuple[str, int, int]
"""What a frame shows: ("figures", session, 0) or ("pose", session, env_id)."""


@dataclass(frozen=True)
class Frame:
    """A binary frame, the newest of its kind."""

    seq: int
    data: bytes
    num_envs: int = 1
    """Environments that it can be cut into."""


class Sink(Protocol):
    """The WebSocket, as far as a viewer needs it."""

    async def send_text(self, data: str) -> None:
        """Send a JSON message."""

    async def send_bytes(self, data: bytes) -> None:
        """Send a frame."""


class TooSlow(Exception):
    """The page does not keep up: it is to come again."""


@dataclass
class Sent:
    """What all viewers have been sent."""

    frames: dict[str, int]
    """By kind."""
    skipped: dict[str, int]
    """Frames that a newer one replaced before they were sent, by kind."""
    bytes_: int = 0
    acks_lost: int = 0


class Viewer:
    """What is sent to one page. Belongs to one loop."""

    def __init__(
        self, role: Role, frames: Mapping[Key, Frame], sent: Sent, next_seq: Callable[[], int]
    ) -> None:
        """Begin.

        Args:
            role: what it may do.
            frames: the newest frame of everything that is watched.
            sent: counts for all viewers.
            next_seq: returns the number of a frame that is made for this page alone.
        """
        self.role = role
        self.wish = Subscribe()
        self.changed: Callable[[], None] = lambda: None
        """Called when the wish is another."""
        self._frames = frames
        self._sent = sent
        self._next_seq = next_seq
        self._window = Window()
        self._texts: dict[object, str] = {}
        self._numbers = itertools.count()
        self._behind = False
        self._wake = asyncio.Event()
        self._turns: dict[Key, Turns] = {}
        self._intervals_s: dict[Key, float] = {}
        """Between two frames of the figures it wants."""
        self._due_s: dict[Key, float] = {}

    @property
    def wanted(self) -> list[Key]:
        """What it wants."""
        pose = self.wish.pose
        keys: list[Key] = [] if pose is None else [("pose", pose.session, pose.env_id)]
        return keys + list(self._intervals_s)

    def subscribe(self, wish: Subscribe) -> None:
        """Want something else from now on."""
        self.wish = wish
        figures = wish.figures if isinstance(wish.figures, list) else [wish.figures]
        self._intervals_s = {
            ("figures", each.session, 0): 1.0 / each.max_hz for each in figures if each is not None
        }
        self._turns = {key: self._turns.get(key) or Turns() for key in self.wanted}
        self._due_s = {key: due_s for key, due_s in self._due_s.items() if key in self.wanted}
        self.changed()
        self._wake.set()

    def ack(self, seq: int) -> None:
        """Note that the page has a frame and all before it."""
        self._window.ack(seq, time.monotonic())
        self._wake.set()

    def notify(self) -> None:
        """Look whether there is a newer frame."""
        self._wake.set()

    def has_seen(self, key: Key, frame: Frame) -> bool:
        """Return whether it was sent a frame, or a part of it."""
        return self._turns[key].has_begun(frame.seq)

    def say(self, text: str, topic: str | None = None) -> None:
        """Have a JSON message sent.

        Args:
            text: the message.
            topic: a message of the same topic that still waits is replaced.
        """
        key = next(self._numbers) if topic is None else topic
        self._texts.pop(key, None)
        self._texts[key] = text
        self._behind |= len(self._texts) > MAX_TEXTS
        if self._behind:
            self._texts.clear()
        self._wake.set()

    async def send(self, sink: Sink) -> None:
        """Send until cancelled, the newest first of what has several versions.

        Raises:
            TimeoutError: the page takes nothing.
            TooSlow: more messages wait for it than are kept.
        """
        while True:
            self._wake.clear()
            if self._behind:
                raise TooSlow
            while self._texts:
                text = self._texts.pop(next(iter(self._texts)))
                async with asyncio.timeout(SEND_DEADLINE_S):
                    await sink.send_text(text)
                self._sent.bytes_ += len(text)
            wait_s = await self._send_frame(sink)
            if wait_s == 0.0:
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _send_frame(self, sink: Sink) -> float | None:
        """Send a frame if one is due; return in how many seconds to look again, None: when told."""
        now_s = time.monotonic()
        lost = self._window.lost
        opens_in_s = self._window.opens_in(now_s)
        self._sent.acks_lost += self._window.lost - lost
        if opens_in_s > 0.0:
            return opens_in_s
        waits: list[float] = []
        # Who has waited longest comes first, so that where few may be sent all have their turn.
        for key in sorted(self.wanted, key=lambda each: self._due_s.get(each, 0.0)):
            frame = self._frames.get(key)
            if frame is None or self._turns[key].is_through(frame.seq):
                continue
            wait_s = self._due_s.get(key, 0.0) - now_s
            if wait_s > 0.0:
                waits.append(wait_s)
                continue
            seq, data = self._take_turn(key, frame)
            self._note(key, seq, data, now_s)
            async with asyncio.timeout(SEND_DEADLINE_S):
                await sink.send_bytes(data)
            return 0.0
        return min(waits, default=None)

    def _take_turn(self, key: Key, frame: Frame) -> tuple[int, bytes]:
        """Return number and bytes of what is sent of a frame now: all, or what the way carries."""
        n, most_bytes, num_bytes = frame.num_envs, self._window.frame_bytes, len(frame.data)
        most = n if num_bytes <= most_bytes else most_bytes * n // num_bytes
        envs = self._turns[key].take(frame.seq, n, most)
        if len(envs) == n:
            return frame.seq, frame.data
        seq = self._next_seq()
        return seq, cut(frame.data, envs, seq, time.time() * 1000.0)

    def _note(self, key: Key, seq: int, data: bytes, now_s: float) -> None:
        self._window.note_sent(seq, len(data), now_s)
        self._sent.frames[key[0]] += 1
        self._sent.bytes_ += len(data)
        # Half an interval may be made up for: pictures do not arrive to the millisecond.
        interval_s = self._intervals_s.get(key, 0.0)
        self._due_s[key] = max(self._due_s.get(key, 0.0), now_s - interval_s / 2) + interval_s
