"""Who looks at which environments, and when they are to be shown again.

Part of the brain. A step that is due to be looked at is forwarded with `watch`, which is neither
logged nor replayed: what is simulated does not depend on it. A shard that is not stepped is shown
once in a while, for who begins to look in a pause.
"""

import math
import re

from websim.wire.codec import Envelope
from websim.wire.messages import Figures, Look, Message, Pose, Watch
from websim.wire.telemetry import figures_topic, pose_topic
from websim_orchestrator.fleet import Fleet, ShardRecord, WorkerRecord
from websim_orchestrator.outbox import Outbox

FIGURES_PER_S = 30.0
"""A shard's figures are shown at most so often."""
POSES_PER_S = 60.0
"""The poses of a shard's watched environments are shown at most so often."""
REST_S = 1.0
"""A shard that is not stepped is shown this often."""
MAX_WATCHED = 1024
"""Bound of the topics that are watched."""
MAX_POSES = 16
"""Bound of a shard's environments whose poses are shown; the first ones are."""

_TOPIC = re.compile(rb"(figures)/(\d{1,16})/|(pose)/(\d{1,16})/(\d{1,7})/")


class Watching:
    """Knows what is looked at."""

    def __init__(self, fleet: Fleet, out: Outbox) -> None:
        self._fleet = fleet
        self._out = out
        self.figures: set[int] = set()
        """Sessions whose figures are looked at."""
        self.poses: dict[int, set[int]] = {}
        """Environments whose poses are, by session."""

    @property
    def watched(self) -> int:
        """Number of topics somebody looks at."""
        return len(self.figures) + sum(map(len, self.poses.values()))

    def subscribed(self, topic: bytes, on: bool) -> None:
        """Note that somebody begins to look at a topic, or that nobody does any more."""
        match = _TOPIC.fullmatch(topic)
        if match is None or (on and self.watched >= MAX_WATCHED):
            return
        if match[1]:
            session, env_ids = int(match[2]), None
            (self.figures.add if on else self.figures.discard)(session)
        else:
            session, env_id = int(match[4]), int(match[5])
            env_ids = self.poses.setdefault(session, set())
            (env_ids.add if on else env_ids.discard)(env_id)
            if not env_ids:
                del self.poses[session]
        if on and (record := self._fleet.sessions.get(session)):
            for shard in record.shards:  # a newcomer sees it at once, stepped or not
                if env_ids is None:
                    shard.figures_shown_s = -math.inf
                else:
                    shard.poses_shown_s = -math.inf

    def of_step(self, shard: ShardRecord, now_s: float) -> Watch | None:
        """What to look at after a step that is sent now."""
        if not (self.figures or self.poses):
            return None
        return self._due(shard, now_s, 1.0 / FIGURES_PER_S, 1.0 / POSES_PER_S)

    def tick(self, now_s: float) -> None:
        """Have those shown that somebody looks at and that have not been stepped for a while."""
        for session_id in self.figures | self.poses.keys():
            session = self._fleet.sessions.get(session_id)
            for shard in session.shards if session is not None else ():
                if shard.worker is None or not shard.ready or shard.moving or shard.pending:
                    continue
                if watch := self._due(shard, now_s, REST_S, REST_S):
                    look = Look(
                        session=session_id, shard=shard.index, epoch=shard.epoch, watch=watch
                    )
                    self._out.to_worker(shard.worker.identity, look)

    def shown(
        self, worker: WorkerRecord, message: Figures | Pose, envelope: Envelope[Message]
    ) -> None:
        """Publish what a worker shows of a shard that it holds."""
        if self._fleet.shard_of(worker, message) is None:
            return
        if isinstance(message, Figures):
            topic = figures_topic(message.session, message.shard)
        else:
            topic = pose_topic(message.session, message.env_id)
        self._out.publish(topic, message, envelope.frames)

    def _due(
        self, shard: ShardRecord, now_s: float, figures_every_s: float, poses_every_s: float
    ) -> Watch | None:
        figures = (
            shard.session_id in self.figures and now_s - shard.figures_shown_s >= figures_every_s
        )
        env_ids: tuple[int, ...] = ()
        if now_s - shard.poses_shown_s >= poses_every_s:
            first, count = shard.span.first_env_id, shard.span.num_envs
            watched = sorted(self.poses.get(shard.session_id, ()))
            env_ids = tuple(each for each in watched if first <= each < first + count)[:MAX_POSES]
        if figures:
            shard.figures_shown_s = _next(shard.figures_shown_s, now_s, figures_every_s)
        if env_ids:
            shard.poses_shown_s = _next(shard.poses_shown_s, now_s, poses_every_s)
        return Watch(figures=figures, env_ids=env_ids) if figures or env_ids else None


def _next(shown_s: float, now_s: float, every_s: float) -> float:
    """When it counts as shown: on a beat of `every_s`, so that steps between beats cost no rate."""
    return shown_s + every_s if now_s - shown_s < 2.0 * every_s else now_s
