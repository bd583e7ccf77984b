"""What clients and people ask about shards: forwarded to their workers, until one answers.

Part of the brain. A question changes nothing and is no command: what becomes of it does not matter
to anybody but its asker.
"""

from websim.wire import lifecycle
from websim.wire.messages import GetSnapshot, Refused
from websim_orchestrator.events import SceneAsked
from websim_orchestrator.fleet import (
    Asker,
    ClientAsker,
    Fleet,
    PersonAsker,
    Question,
    SessionRecord,
    ShardRecord,
    Wanted,
)
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.placement import Placement


class Questions:
    """Puts questions and gives them up; AnswerSide takes in their answers."""

    def __init__(self, fleet: Fleet, out: Outbox, placement: Placement) -> None:
        self._fleet = fleet
        self._out = out
        self._placement = placement
        self._next_request = 1

    def scene(self, event: SceneAsked) -> None:
        """Take in an HTTP question for a session's scene: any of its shards' workers knows it."""
        session = self._fleet.sessions.get(event.session)
        if session is None or not session.opened:
            self._out.answer_person(event.token, None, f"there is no session {event.session}")
            return
        placed = [shard for shard in session.shards if shard.worker is not None]
        self._ask((placed or session.shards)[0], "scene", PersonAsker(event.token, event.now_s))

    def snapshot(self, session: SessionRecord, question: GetSnapshot) -> None:
        """Take in a client's question for a shard's whole state."""
        if not 0 <= question.shard < len(session.shards):
            refusal = Refused(
                code="unknown_shard",
                message=f"there is no shard {question.shard}",
                remedy=f"shard is 0 to {len(session.shards) - 1}",
                request=question.request,
                session=session.session_id,
            )
            self._out.to_client(session.client, refusal)
            return
        self._ask(session.shards[question.shard], "snapshot", ClientAsker(question.request))

    def state(self, session: SessionRecord, env_id: int, asker: Asker) -> None:
        """Take in a question for one environment's state."""
        shard = session.shard_of(env_id)
        if shard is None:
            refusal = Refused(
                code="unknown_env",
                message=f"there is no environment {env_id}",
                remedy=f"env_id is 0 to {session.request.num_envs - 1}",
                request=asker.t if isinstance(asker, ClientAsker) else 0,
                session=session.session_id,
            )
            self._out.to_client(session.client, refusal)
            return
        self._ask(shard, env_id, asker)

    def tick(self, now_s: float) -> None:
        """Give up what nobody waits for any more; a client that does asks again."""
        for session in self._fleet.sessions.values():
            for shard in session.shards:
                for request, question in list(shard.questions.items()):
                    asker = question.asker
                    if isinstance(asker, PersonAsker):
                        late = asker.is_late(now_s)
                    else:
                        late = now_s - question.asked_s > lifecycle.FLEET_DEADLINE_S
                    if late:
                        del shard.questions[request]
                        self._fleet.counters["questions_given_up"] += 1
                        if isinstance(asker, PersonAsker):
                            problem = "no worker answered"
                            self._out.answer_person(asker.token, None, problem, late=True)

    def _ask(self, shard: ShardRecord, wanted: Wanted, asker: Asker) -> None:
        if any(each.wanted == wanted and each.asker == asker for each in shard.questions.values()):
            return  # the client asks again for what is on its way
        request = self._next_request
        self._next_request += 1
        shard.questions[request] = Question(wanted, asker, self._fleet.now_s)
        self._placement.ask(shard, request)
