"""Commands from outside: they wait here until the trainer stands between two updates."""

import queue
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_PENDING = 64
"""Commands that may wait for the end of an update."""


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pause(_Command):
    """Train no further; envs keep their state. Not journaled: it changes nothing but the time."""

    kind: Literal["pause"]


class Resume(_Command):
    """Go on after a pause."""

    kind: Literal["resume"]


class Stop(_Command):
    """End the run as if its steps were over: last checkpoint, evaluation, result."""

    kind: Literal["stop"]


class TakeCheckpoint(_Command):
    """Write a checkpoint now."""

    kind: Literal["checkpoint"]


class SetReward(_Command):
    """Judge rollouts by another reward from the next one on."""

    kind: Literal["set_reward"]
    source: str | None
    """A reward program; null for the task's own reward."""
    branch: int = 0
    """The branch whose reward it is."""


Command = Annotated[Pause | Resume | Stop | TakeCheckpoint | SetReward, Field(discriminator="kind")]


class Applied(BaseModel):
    """A command took effect."""

    kind: str
    update: int
    """Updates done when it did."""
    env_steps: int
    detail: str = ""
    """What came of it: a reward's id, a checkpoint's name."""


class RunOver(Exception):
    """The run takes no commands any more."""


class TooManyCommands(Exception):
    """Commands are waiting already; send this one again later."""


@dataclass(frozen=True)
class Pending:
    """A command and where its answer is awaited."""

    command: Pause | Resume | Stop | TakeCheckpoint | SetReward
    answer: "Future[Applied]"


class Control:
    """The way from HTTP threads to the trainer."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Pending] = queue.Queue(MAX_PENDING)
        self._over = False

    def submit(self, command: Command, timeout_s: float) -> Applied:
        """Hand a command over and wait until it has taken effect.

        Raises:
            RunOver: there is nobody to apply it.
            TooManyCommands: the queue is full.
            TimeoutError: it still waits for an update to end; it will be applied then.
            UserError: it was refused; says why.
        """
        pending = Pending(command, Future())
        if self._over:
            raise RunOver
        try:
            self._queue.put_nowait(pending)
        except queue.Full:
            raise TooManyCommands from None
        if self._over:
            self.close()
        return pending.answer.result(timeout_s)

    def take(self, timeout_s: float = 0.0) -> Pending | None:
        """Return the next command; None when there is none within the time."""
        try:
            return self._queue.get(timeout=timeout_s) if timeout_s else self._queue.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        """Take no commands any more; those that wait are told so."""
        self._over = True
        while (pending := self.take()) is not None:
            pending.answer.set_exception(RunOver())
