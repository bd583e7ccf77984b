"""The brain's side towards clients: sessions, commands, questions."""

import msgspec

from websim.wire import lifecycle
from websim.wire.codec import Envelope
from websim.wire.messages import (
    ClientHeartbeat,
    CloseSession,
    GetSnapshot,
    GetState,
    Message,
    OpenSession,
    OrchestratorHeartbeat,
    Refused,
    Reset,
    ResetEnv,
    RestoreShard,
    SessionOpened,
    SetKnobs,
    SetState,
    Step,
)
from websim_orchestrator.checks import refuse_command, refuse_session
from websim_orchestrator.dispatch import Dispatch
from websim_orchestrator.events import ClientMessage, Frames
from websim_orchestrator.fleet import (
    Asker,
    ClientAsker,
    Command,
    EpisodeStatistics,
    Fleet,
    Logged,
    PersonAsker,
    SessionRecord,
    ShardRecord,
    default_shard_envs,
    split,
)
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.placement import Placement
from websim_orchestrator.questions import Questions
from websim_orchestrator.reclaim import Reclaim


class ClientSide:
    """Takes in what clients ask."""

    def __init__(
        self,
        fleet: Fleet,
        out: Outbox,
        placement: Placement,
        dispatch: Dispatch,
        questions: Questions,
        reclaim: Reclaim,
        first_session_id: int,
    ) -> None:
        self._fleet = fleet
        self._out = out
        self._placement = placement
        self._dispatch = dispatch
        self._questions = questions
        self._reclaim = reclaim
        self._next_session_id = first_session_id

    # --- clients

    def message(self, event: ClientMessage) -> None:
        """Take in a client's message."""
        message = event.envelope.message
        if isinstance(message, OpenSession):
            self._open(event.identity, message, event.envelope, event.now_s)
            return
        session = self._fleet.sessions.get(message.session)
        if session is None or session.client != event.identity:
            if isinstance(message, ClientHeartbeat) and not message.session:
                self._out.to_client(
                    event.identity, OrchestratorHeartbeat(workers=len(self._fleet.workers))
                )
            elif not isinstance(message, CloseSession):
                self._out.to_client(
                    event.identity,
                    Refused(
                        code="unknown_session",
                        message=f"session {message.session} is not open here",
                        remedy="open a new session; the fleet was restarted or gave this one up",
                        session=message.session,
                    ),
                )
            return
        session.unreachable_since_s = None
        match message:
            case CloseSession():
                self.close(session)
            case ClientHeartbeat():
                self._out.to_client(
                    session.client, OrchestratorHeartbeat(workers=len(self._fleet.workers))
                )
                self._placement.say_waiting(session)
            case GetState():
                self._questions.state(session, message.env_id, ClientAsker(message.request))
            case GetSnapshot():
                self._questions.snapshot(session, message)
            case Step() | Reset() | SetState() | ResetEnv() | SetKnobs() | RestoreShard():
                self._command(session, message, event)

    def _open(
        self, identity: bytes, request: OpenSession, envelope: Envelope[Message], now_s: float
    ) -> None:
        for session in self._fleet.sessions.values():
            if session.client == identity and (
                session.request.request == request.request or session.session_id == request.session
            ):
                self.say_opened(session)
                self._placement.say_waiting(session, always=True)
                return
        refusal = refuse_session(request, len(self._fleet.sessions))
        if refusal is None and request.session in self._fleet.sessions:
            refusal = Refused(
                code="unknown_session",
                message=f"session {request.session} belongs to another client",
                remedy="open a new session",
                request=request.request,
                session=request.session,
            )
        if refusal is not None:
            self._out.to_client(identity, refusal)
            return
        spans = split(request.num_envs, request.shard_envs or default_shard_envs(request.num_envs))
        session_id = request.session or self._next_session_id
        self._next_session_id = max(self._next_session_id, session_id + 1)
        session = SessionRecord(
            session_id=session_id,
            client=identity,
            request=request,
            frames=envelope.frames,
            shards=[ShardRecord(session_id, index, span) for index, span in enumerate(spans)],
            statistics=EpisodeStatistics.empty(request.num_envs),
        )
        self._fleet.sessions[session_id] = session
        if request.session:
            session.reclaim_until_s = now_s + lifecycle.RECLAIM_S
            for shard in session.shards:
                shard.awaited = True
            self._out.log("info", "session asked back", session=session_id)
            self._reclaim.adopt(session)
            self._placement.say_waiting(session)
        self._placement.place_waiting(now_s)

    def _command(self, session: SessionRecord, command: Command, event: ClientMessage) -> None:
        index = command.shard
        shard = session.shards[index] if 0 <= index < len(session.shards) else None
        outstanding = shard.client_t if shard is not None else 0
        if shard is not None and command.t == outstanding != 0:
            return  # the client asks again for what is being done
        if shard is not None and command.t == shard.done_t != 0:
            if shard.last_answer is not None:
                answer, frames = shard.last_answer
                self._out.to_client(session.client, answer, frames)
            return
        refusal = refuse_command(session, shard, outstanding, event.envelope)
        if refusal is not None or shard is None:
            self._fleet.counters["refused_commands"] += 1
            if refusal is not None:
                self._out.to_client(session.client, refusal)
            return
        self.submit(shard, command, ClientAsker(command.t), event.envelope.frames)

    def submit(
        self, shard: ShardRecord, command: Command, asker: Asker, frames: Frames = ()
    ) -> None:
        """Log a command and forward it, if the shard has a worker that can take it."""
        shard.seq += 1
        own = {"watch": None} if isinstance(command, Step) else {}
        numbered = msgspec.structs.replace(
            command, seq=shard.seq, epoch=shard.epoch, replay=False, **own
        )
        shard.log[shard.seq] = Logged(numbered, frames, self._fleet.now_s)
        shard.pending[shard.seq] = asker
        if shard.worker is None:
            self._placement.say_waiting(self._fleet.sessions[shard.session_id])
        else:
            self._dispatch.forward(shard, shard.seq)

    def close(self, session: SessionRecord, refusal: Refused | None = None) -> None:
        """Release a session's shards and forget it; tell the client why, if it did not ask."""
        for shard in session.shards:
            self._placement.release(shard)
            askers = [*shard.pending.values(), *(each.asker for each in shard.questions.values())]
            for asker in askers:
                if isinstance(asker, PersonAsker) and asker.waits:
                    self._out.answer_person(asker.token, None, "the session was closed")
        del self._fleet.sessions[session.session_id]
        if refusal is not None:
            self._out.to_client(session.client, refusal)
        self._out.log("info", "session closed", session=session.session_id)

    def say_opened(self, session: SessionRecord) -> None:
        """Tell the client that its session is open, if it is."""
        if session.opened and session.task is not None:
            opened = SessionOpened(
                request=session.request.request,
                session=session.session_id,
                task=session.task,
                shards=tuple(each.span for each in session.shards),
            )
            self._out.to_client(session.client, opened)
            session.waiting_said = ""

    # --- time

    def unreachable(self, identity: bytes, now_s: float) -> None:
        """Note that a client could not be reached."""
        for session in self._fleet.sessions.values():
            if session.client == identity and session.unreachable_since_s is None:
                session.unreachable_since_s = now_s

    def tick(self, now_s: float) -> None:
        """Probe clients; close the sessions of those that stay unreachable, and lost ones."""
        for lost, refusal in self._reclaim.tick(now_s):
            self.close(lost, refusal)
        for session in list(self._fleet.sessions.values()):
            gone_s = session.unreachable_since_s
            if gone_s is not None and now_s - gone_s > lifecycle.CLIENT_GRACE_S:
                self._fleet.counters["clients_lost"] += 1
                self._out.log("warning", "client lost", session=session.session_id)
                self.close(session)
            elif now_s - session.probed_s > lifecycle.CLIENT_PROBE_S:
                session.probed_s = now_s
                self._out.to_client(
                    session.client, OrchestratorHeartbeat(workers=len(self._fleet.workers))
                )
