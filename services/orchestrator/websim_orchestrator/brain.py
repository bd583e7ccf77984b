"""The orchestrator's decisions: a pure state machine, `handle(event) -> instructions`.

Called by the runtime for everything that happens. It holds no socket, reads no clock, writes no
log: time arrives in events. It keeps for every shard the last snapshot and every command since, so
that a shard whose worker is gone is rebuilt elsewhere and continues with the outstanding command.
"""

from websim_orchestrator.client_side import ClientSide
from websim_orchestrator.dispatch import Dispatch
from websim_orchestrator.events import (
    ClientMessage,
    ClientUnreachable,
    EnvResetAsked,
    Event,
    Instruction,
    SceneAsked,
    StateAsked,
    Subscribed,
    Ticked,
    WorkerMessage,
    WorkerUnreachable,
)
from websim_orchestrator.fleet import Fleet
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.people import People
from websim_orchestrator.placement import Placement
from websim_orchestrator.questions import Questions
from websim_orchestrator.reclaim import Reclaim
from websim_orchestrator.watching import Watching
from websim_orchestrator.worker_side import WorkerSide


class Brain:
    """The fleet's state and the one function that changes it."""

    def __init__(self, first_session_id: int = 1) -> None:
        """Begin without workers and sessions.

        Args:
            first_session_id: of the first session; after a restart no session may get the number
                of one that was open before.
        """
        self.fleet = Fleet()
        self._out = Outbox()
        self.watching = Watching(self.fleet, self._out)
        dispatch = Dispatch(self.fleet, self._out, self.watching)
        placement = Placement(self.fleet, self._out, dispatch)
        reclaim = Reclaim(self.fleet, self._out)
        self._questions = Questions(self.fleet, self._out, placement)
        self._clients = ClientSide(
            self.fleet, self._out, placement, dispatch, self._questions, reclaim, first_session_id
        )
        self._people = People(self.fleet, self._out, self._questions, self._clients.submit)
        self._workers = WorkerSide(
            self.fleet, self._out, placement, dispatch, reclaim, self._clients, self.watching
        )

    def handle(self, event: Event) -> list[Instruction]:
        """Take in one event and say what is to be done about it, in order."""
        self.fleet.now_s = event.now_s
        match event:
            case WorkerMessage():
                self._workers.message(event)
            case ClientMessage():
                self._clients.message(event)
            case Ticked(now_s=now_s):
                self._workers.tick(now_s)
                self._clients.tick(now_s)
                self._questions.tick(now_s)
                self._people.tick(now_s)
                self.watching.tick(now_s)
            case Subscribed(topic=topic, on=on):
                self.watching.subscribed(topic, on)
            case StateAsked() | EnvResetAsked():
                self._people.ask(event)
            case SceneAsked():
                self._questions.scene(event)
            case WorkerUnreachable(now_s=now_s, identity=identity):
                self.fleet.silenced.pop(identity, None)
                if worker := self.fleet.workers.get(identity):
                    self._workers.lose(worker, "its connection closed", now_s)
            case ClientUnreachable(now_s=now_s, identity=identity):
                self._clients.unreachable(identity, now_s)
        return self._out.take()
