"""The brain's side towards the workers: answers to commands and questions, and snapshots."""

import msgspec
import numpy as np

from websim.wire.codec import Envelope
from websim.wire.messages import (
    Applied,
    EnvState,
    Message,
    Refused,
    Rejected,
    Scene,
    ShardState,
    Snapshot,
    Stepped,
    WasReset,
)
from websim_orchestrator.dispatch import Dispatch
from websim_orchestrator.fleet import (
    ClientAsker,
    Fleet,
    PersonAsker,
    SessionRecord,
    ShardRecord,
    WorkerRecord,
)
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.placement import Placement

Answer = Stepped | WasReset | Applied | Rejected


class AnswerSide:
    """Takes in what workers answer."""

    def __init__(self, fleet: Fleet, out: Outbox, placement: Placement, dispatch: Dispatch) -> None:
        self._fleet = fleet
        self._out = out
        self._placement = placement
        self._dispatch = dispatch

    def snapshot(
        self, worker: WorkerRecord, message: Snapshot, envelope: Envelope[Message], now_s: float
    ) -> None:
        """Keep a shard's snapshot instead of what led to it; a shard that moves goes on now."""
        shard = self._fleet.shard_of(worker, message)
        if shard is None:
            return
        if any(seq <= message.seq for seq in shard.pending):
            # The answer to a command that this snapshot contains was lost: it has to be done again.
            self._fleet.counters["answers_lost"] += 1
            if shard.has_baseline:
                self._placement.release(shard)
                self._placement.place_waiting(now_s)
            return
        self._fleet.counters["snapshots"] += 1
        shard.has_baseline = True
        shard.snapshot = message
        shard.snapshot_frames = envelope.frames
        shard.log = {seq: logged for seq, logged in shard.log.items() if seq > message.seq}
        if shard.moving:
            self._placement.detach(shard)
            self._placement.place_waiting(now_s)
        else:
            self._dispatch.heard(shard, worker)

    def answered(
        self, worker: WorkerRecord, message: Answer, envelope: Envelope[Message], now_s: float
    ) -> None:
        """Pass the answer to a command on to who asked, once."""
        shard = self._fleet.shard_of(worker, message)
        if shard is None:
            return
        session = self._fleet.sessions[message.session]
        asker = shard.pending.pop(message.seq, None)
        if asker is None and shard.owes_answer and message.t == shard.done_t:
            shard.owes_answer = False
            asker = ClientAsker(message.t)
        if asker is None:
            self._fleet.counters["stale"] += 1
            return
        if logged := shard.log.get(message.seq):
            for each in (worker, session):
                each.longest_command_s = max(each.longest_command_s * 0.999, now_s - logged.sent_s)
        if isinstance(message, Stepped):
            session.env_steps += shard.span.num_envs
            self._count_episodes(session, shard, envelope)
        self._dispatch.answered(shard, worker)
        if isinstance(asker, PersonAsker):
            if asker.waits:
                refused = message.message if isinstance(message, Rejected) else ""
                self._out.answer_person(asker.token, None if refused else envelope, refused)
            return
        answer: Message = message
        if isinstance(message, Rejected):
            answer = Refused(
                code=message.code,
                message=message.message,
                remedy=message.remedy,
                session=message.session,
                shard=message.shard,
                t=asker.t,
            )
        shard.done_t = asker.t
        shard.last_answer = (answer, envelope.frames)
        session.waiting_said = ""
        self._out.to_client(session.client, answer, envelope.frames)

    def _count_episodes(
        self, session: SessionRecord, shard: ShardRecord, envelope: Envelope[Message]
    ) -> None:
        ended, episode = envelope.array("ended"), envelope.array("episode")
        if ended is None or ended.dtype != "<i4" or ended.ndim != 1:
            return
        if episode is None or episode.dtype != "<f8" or episode.shape != (len(ended), 4):
            return
        if len(ended) and ended.min() >= 0 and ended.max() < shard.span.num_envs:
            session.statistics.add(ended.astype(np.int64) + shard.span.first_env_id, episode)

    def state(
        self,
        worker: WorkerRecord,
        message: EnvState | ShardState | Scene,
        envelope: Envelope[Message],
    ) -> None:
        """Pass the answer to a question on to who asked."""
        shard = self._fleet.shard_of(worker, message)
        if shard is None or message.request not in shard.questions:
            return
        asker = shard.questions.pop(message.request).asker
        if isinstance(asker, PersonAsker):
            self._out.answer_person(asker.token, envelope)
            return
        answer = msgspec.structs.replace(message, request=asker.t)
        self._out.to_client(self._fleet.sessions[message.session].client, answer, envelope.frames)
