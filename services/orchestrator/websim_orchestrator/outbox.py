"""Where the brain's parts leave their instructions."""

from websim.wire.codec import Envelope
from websim.wire.messages import Message
from websim_orchestrator.events import (
    AnswerPerson,
    Frames,
    Instruction,
    Publish,
    SendClient,
    SendWorker,
    WriteLog,
)


class Outbox:
    """Instructions of the event being handled, in order."""

    def __init__(self) -> None:
        self._instructions: list[Instruction] = []

    def take(self) -> list[Instruction]:
        """Return the instructions and start over."""
        taken, self._instructions = self._instructions, []
        return taken

    def to_worker(self, identity: bytes, message: Message, frames: Frames = ()) -> None:
        """Send a message to a worker."""
        self._instructions.append(SendWorker(identity, message, frames))

    def to_client(self, identity: bytes, message: Message, frames: Frames = ()) -> None:
        """Send a message to a client."""
        self._instructions.append(SendClient(identity, message, frames))

    def publish(self, topic: bytes, message: Message, frames: Frames) -> None:
        """Publish a message to who looks."""
        self._instructions.append(Publish(topic, message, frames))

    def answer_person(
        self,
        token: int,
        envelope: Envelope[Message] | None,
        problem: str = "",
        *,
        late: bool = False,
    ) -> None:
        """Answer an HTTP question, with an envelope or a problem."""
        self._instructions.append(AnswerPerson(token, envelope, problem, late))

    def log(self, level: str, event: str, **facts: object) -> None:
        """Write a log line."""
        self._instructions.append(WriteLog(level, event, facts))
