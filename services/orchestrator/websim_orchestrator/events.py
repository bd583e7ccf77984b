"""What the brain is told (events) and what it tells the runtime to do (instructions)."""

from collections.abc import Sequence
from typing import Any

import msgspec

from websim.wire.codec import Envelope
from websim.wire.messages import FromClient, FromWorker, Message

Frames = Sequence[Any]
"""Array frames as they were received: forwarded, never decoded."""


class WorkerMessage(msgspec.Struct, frozen=True):
    """A message of the worker behind a routing identity arrived."""

    now_s: float
    identity: bytes
    envelope: Envelope[FromWorker]


class ClientMessage(msgspec.Struct, frozen=True):
    """A message of the client behind a routing identity arrived."""

    now_s: float
    identity: bytes
    envelope: Envelope[FromClient]


class WorkerUnreachable(msgspec.Struct, frozen=True):
    """A send to a worker failed: its connection is gone."""

    now_s: float
    identity: bytes


class ClientUnreachable(msgspec.Struct, frozen=True):
    """A send to a client failed: its connection is gone."""

    now_s: float
    identity: bytes


class StateAsked(msgspec.Struct, frozen=True):
    """A person asks for one environment's state over HTTP. `token` names the question."""

    now_s: float
    token: int
    session: int
    env_id: int


class EnvResetAsked(msgspec.Struct, frozen=True):
    """A person asks for one environment to be reset over HTTP. `token` names the question."""

    now_s: float
    token: int
    session: int
    env_id: int


class SceneAsked(msgspec.Struct, frozen=True):
    """Somebody asks over HTTP how a session's environments are drawn. `token` names it."""

    now_s: float
    token: int
    session: int


class Subscribed(msgspec.Struct, frozen=True):
    """Somebody subscribed to a topic of the telemetry, or, if not `on`, nobody does any more."""

    now_s: float
    topic: bytes
    on: bool


class Ticked(msgspec.Struct, frozen=True):
    """Time has passed: heartbeats are due, silences are judged."""

    now_s: float


Event = (
    WorkerMessage
    | ClientMessage
    | WorkerUnreachable
    | ClientUnreachable
    | StateAsked
    | EnvResetAsked
    | SceneAsked
    | Subscribed
    | Ticked
)


class SendWorker(msgspec.Struct, frozen=True):
    """Send a message to the worker behind an identity."""

    identity: bytes
    message: Message
    frames: Frames = ()


class SendClient(msgspec.Struct, frozen=True):
    """Send a message to the client behind an identity."""

    identity: bytes
    message: Message
    frames: Frames = ()


class Publish(msgspec.Struct, frozen=True):
    """Publish a message to who subscribed to its topic."""

    topic: bytes
    message: Message
    frames: Frames = ()


class AnswerPerson(msgspec.Struct, frozen=True):
    """Answer the HTTP question `token`: with an envelope, or with what went wrong."""

    token: int
    envelope: Envelope[Message] | None
    problem: str = ""
    late: bool = False
    """The problem is that no worker answered in time."""


class WriteLog(msgspec.Struct, frozen=True):
    """Write one structured log line."""

    level: str
    event: str
    facts: dict[str, object]


Instruction = SendWorker | SendClient | Publish | AnswerPerson | WriteLog
