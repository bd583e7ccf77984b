"""All open pages, and the frames they watch: each made once, whoever watches it.

Upstream is subscribed to what somebody looks at, and to nothing else.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from websim.service.tokens import Role
from websim.wire.codec import Envelope
from websim.wire.messages import Figures, Pose
from websim.wire.telemetry import figures_topic, pose_topic
from websim_dashboard.binary import HEADER_BYTES
from websim_dashboard.frames import FiguresBoard, encode_pose, reward_of
from websim_dashboard.messages import MAX_HZ, SessionSummary
from websim_dashboard.telemetry import Received, Topic
from websim_dashboard.turns import num_envs_of
from websim_dashboard.viewer import Frame, Key, Sent, Viewer

MAX_VIEWERS = 64
"""Open pages at most."""

KINDS = ("figures", "pose")


class Hub:
    """Viewers and frames. Belongs to one loop."""

    def __init__(self, watch: Callable[[set[Topic]], None]) -> None:
        """Prepare.

        Args:
            watch: subscribes upstream to just these topics.
        """
        self.viewers: set[Viewer] = set()
        self.sent = Sent(dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0))
        self.rewards: dict[Key, tuple[float | None, dict[str, float]]] = {}
        """Last reward and its components of watched environments."""
        self._watch = watch
        self._frames: dict[Key, Frame] = {}
        self._boards: dict[Key, FiguresBoard] = {}
        self._sizes: dict[Key, int] = {}
        self._drawn_s: dict[Key, float] = {}
        self._to_draw: dict[Key, asyncio.TimerHandle] = {}
        self._seq = 0

    @property
    def full(self) -> bool:
        """Whether no further page can be served."""
        return len(self.viewers) >= MAX_VIEWERS

    def join(self, role: Role) -> Viewer:
        """Take in a page."""
        viewer = Viewer(role, self._frames, self.sent, self._next_seq)
        viewer.changed = self._rewatch
        self.viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a page."""
        self.viewers.discard(viewer)
        self._rewatch()

    def watched(self, kind: str) -> set[Key]:
        """Return what somebody looks at."""
        return {key for each in list(self.viewers) for key in each.wanted if key[0] == kind}

    def broadcast(self, text: str, topic: str | None = None) -> None:
        """Send all pages a JSON message."""
        self.tell(self.viewers, text, topic)

    def tell(self, viewers: Iterable[Viewer], text: str, topic: str | None = None) -> None:
        """Send some pages a JSON message."""
        for viewer in viewers:
            viewer.say(text, topic)

    def receive(self, received: Received) -> None:
        """Take in telemetry."""
        for envelope in received.values():
            self._put(envelope)

    def resize(self, sessions: Iterable[SessionSummary]) -> None:
        """Note how many environments the sessions have."""
        self._sizes = {("figures", each.session, 0): each.num_envs for each in sessions}
        for key, board in self._boards.items():
            if key in self._sizes:
                board.resize(self._sizes[key])

    def _put(self, envelope: Envelope[Any]) -> None:
        message = envelope.message
        if isinstance(message, Figures):
            self._put_figures(("figures", message.session, 0), envelope)
        else:
            self._put_pose(("pose", message.session, message.env_id), envelope)

    def _put_figures(self, key: Key, envelope: Envelope[Figures]) -> None:
        board = self._boards.get(key)
        if board is None:
            return
        board.put(envelope)
        if key not in self._to_draw:
            due_s = self._drawn_s.get(key, 0.0) + 1.0 / MAX_HZ - time.monotonic()
            loop = asyncio.get_running_loop()
            self._to_draw[key] = loop.call_later(max(0.0, due_s), self._draw, key)

    def _draw(self, key: Key) -> None:
        del self._to_draw[key]
        self._drawn_s[key] = time.monotonic()
        board = self._boards.get(key)
        seq = self._next_seq()
        data = None if board is None else board.encode(seq, time.time() * 1000.0)
        if data is not None:
            self._publish(key, Frame(seq, data, num_envs_of(data)))

    def _put_pose(self, key: Key, envelope: Envelope[Pose]) -> None:
        if key in self.watched("pose"):
            self.rewards[key] = reward_of(envelope)
            seq = self._next_seq()
            self._publish(key, Frame(seq, encode_pose(envelope, seq, time.time() * 1000.0)))

    def _publish(self, key: Key, frame: Frame) -> None:
        watching = [each for each in self.viewers if key in each.wanted]
        before = self._frames.get(key)
        if before is not None and before.data[HEADER_BYTES:] == frame.data[HEADER_BYTES:]:
            # Nothing moves, as in a pause: those who have the picture need no other.
            return
        if before is not None:
            self.sent.skipped[key[0]] += sum(not each.has_seen(key, before) for each in watching)
        self._frames[key] = frame
        for viewer in watching:
            viewer.notify()

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % 2**32
        return self._seq

    def _rewatch(self) -> None:
        """Subscribe to what is watched now, and forget what is not."""
        figures, poses = self.watched("figures"), self.watched("pose")
        self._boards = {
            key: self._boards.get(key) or FiguresBoard(self._sizes.get(key, 0)) for key in figures
        }
        # In place: viewers look into it.
        for key in set(self._frames) - figures - poses:
            del self._frames[key]
        self.rewards = {key: value for key, value in self.rewards.items() if key in poses}
        self._drawn_s = {key: at_s for key, at_s in self._drawn_s.items() if key in figures}
        self._watch(
            {figures_topic(key[1]) for key in figures} | {pose_topic(*key[1:]) for key in poses}
        )
