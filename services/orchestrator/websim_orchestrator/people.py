"""What people ask over HTTP about one environment: its state, and its reset.

Part of the brain. A person waits for an answer as long as HTTP does, so that everything here has
an end, whatever the workers do: nothing of it may pile up.
"""

from collections.abc import Callable
from dataclasses import replace

from websim.wire import lifecycle
from websim.wire.messages import ResetEnv
from websim_orchestrator.events import EnvResetAsked, StateAsked
from websim_orchestrator.fleet import Asker, Fleet, PersonAsker, ShardRecord
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.questions import Questions

NO_WORKER = "no sim worker has environment {} just now: it is not reset"
NOT_ANSWERED = "no worker has reset environment {} yet: it is reset as soon as one answers again"

Submit = Callable[[ShardRecord, ResetEnv, Asker], None]
"""Logs a command of a shard and forwards it."""


class People:
    """Takes in what people ask, and gives it up when they no longer wait."""

    def __init__(self, fleet: Fleet, out: Outbox, questions: Questions, submit: Submit) -> None:
        self._fleet = fleet
        self._out = out
        self._questions = questions
        self._submit = submit
        self._held_back: list[EnvResetAsked] = []
        """Resets in shards that no worker has. A command that is in a shard's log stays there, so
        that they get there only with a worker who carries them out."""

    def ask(self, event: StateAsked | EnvResetAsked) -> None:
        """Take in a question about one environment."""
        session = self._fleet.sessions.get(event.session)
        shard = session.shard_of(event.env_id) if session is not None else None
        if session is None or shard is None or not session.opened:
            what = "session" if session is None or not session.opened else "environment"
            number = event.session if what == "session" else event.env_id
            self._out.answer_person(event.token, None, f"there is no {what} {number}")
        elif isinstance(event, StateAsked):
            asker = PersonAsker(event.token, event.now_s)
            self._questions.state(session, event.env_id, asker)
        else:
            self._reset(shard, event)

    def tick(self, now_s: float) -> None:
        """Send what can go now, and give up what nobody waits for any more."""
        held_back, self._held_back = self._held_back, []
        for event in held_back:
            session = self._fleet.sessions.get(event.session)
            shard = session.shard_of(event.env_id) if session is not None else None
            if shard is None:
                self._out.answer_person(event.token, None, "the session was closed")
            elif shard.worker is None and now_s - event.now_s > lifecycle.PERSON_DEADLINE_S:
                self._give_up(event.token, NO_WORKER.format(event.env_id))
            else:
                self._reset(shard, event)
        for session in self._fleet.sessions.values():
            for shard in session.shards:
                for seq, asker in shard.pending.items():
                    if isinstance(asker, PersonAsker) and asker.is_late(now_s):
                        command = shard.log[seq].command
                        assert isinstance(command, ResetEnv)
                        shard.pending[seq] = replace(asker, waits=False)
                        self._give_up(asker.token, NOT_ANSWERED.format(command.env_id))

    def _reset(self, shard: ShardRecord, event: EnvResetAsked) -> None:
        if shard.worker is None:
            self._held_back.append(event)
            return
        command = ResetEnv(session=event.session, shard=shard.index, env_id=event.env_id)
        self._submit(shard, command, PersonAsker(event.token, event.now_s))

    def _give_up(self, token: int, problem: str) -> None:
        self._fleet.counters["questions_given_up"] += 1
        self._out.answer_person(token, None, problem, late=True)
