"""Commands from outside: they wait here until the trainer stands between two updates."""

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from websim.programs.limits import MAX_SOURCE_BYTES
from websim.service.errors import UserError

AdaptMode = Literal["auto", "approve", "off"]
"""Whether a run adapts by itself, only after a person's yes, or not at all."""

MAX_GOAL = 2000
"""Characters of a goal."""

MAX_TASK = 400
"""Characters of a task's name."""

MAX_PENDING = 16
"""Commands that may wait for the end of an update. Each one's sender holds one of the 40 threads of
the HTTP server, which health and status need too."""


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
    """Judge rollouts by another reward from the next one on, in a run that does not adapt."""

    kind: Literal["set_reward"]
    source: str | None
    """A reward program; null for the task's own reward."""
    branch: int = 0
    """The branch whose reward it is."""


class ResetEnv(_Command):
    """End an env's episode, cut short, with its next step."""

    kind: Literal["reset_env"]
    env_id: int = Field(ge=0)
    """Those of other tasks are numbered after the run's own."""


class SetNumEnvs(_Command):
    """Train on another number of envs: the same policy, new episodes."""

    kind: Literal["set_num_envs"]
    num_envs: int


class SetTask(_Command):
    """Go on with another task: a branch of its own, and its own purpose as the goal.

    With a number of envs the run keeps its task, and its policy, and so many envs get the other.
    """

    kind: Literal["set_task"]
    task: str = Field(max_length=MAX_TASK)
    """A bundled task's id, or a task that the run began with."""
    num_envs: int | None = None
    """Envs that simulate the other task from now on, 0 for none; null: all, it is the run's."""


class SetSpeed(_Command):
    """Go on at a speed. Not journaled: it changes nothing but the time."""

    kind: Literal["set_speed"]
    speed: float | None
    """Simulated seconds of each env per second of the wall clock; null: as fast as it goes."""


class FitnessProgram(BaseModel):
    """A measure that a person writes for a goal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    program: str = Field(max_length=MAX_SOURCE_BYTES)
    """def fitness(state, action): evaluated each step."""
    accumulate: Literal["sum", "last", "max"] = "sum"
    per_horizon: bool = False
    """Divided by the nominal horizon: an early end then freezes it."""
    unit: str = Field(default="", max_length=64)


class SetGoal(_Command):
    """Say what the run is for: what it learned before stays with the goal before."""

    kind: Literal["set_goal"]
    description: str = Field(max_length=MAX_GOAL)
    fitness: FitnessProgram | None = None
    """How it is measured; null: as reward-gen says from the words."""
    target: float | None = Field(default=None, allow_inf_nan=False)
    """Fitness at which the goal is reached."""


class Ask(_Command):
    """Ask for candidates now, without another trigger."""

    kind: Literal["ask"]
    reason: str = Field(default="", max_length=400)


class TryReward(_Command):
    """Try a person's reward: the gate, then a trial beside the one in force."""

    kind: Literal["try_reward"]
    source: str = Field(max_length=4 * MAX_SOURCE_BYTES)
    name: str = Field(default="by hand", max_length=100)


class AdoptReward(_Command):
    """Adopt a reward without a trial; the gate holds, and the guards watch what comes of it."""

    kind: Literal["adopt_reward"]
    reward: str = Field(max_length=4 * MAX_SOURCE_BYTES)
    """Id of a known reward ("task" is the task's own), or a program's text."""
    force: bool = False
    """Adopt it although it prefers worse behaviour."""
    name: str = Field(default="", max_length=100)
    """What people call a program that is not known yet; empty: "by hand"."""


class Rollback(_Command):
    """Take back the last adoption: reward, policy and optimiser, in one step."""

    kind: Literal["rollback"]
    reward: str = ""
    """Id of what is taken back, refused where another reward is in force; empty takes any."""


class Approve(_Command):
    """Say yes to what waits for it."""

    kind: Literal["approve"]
    adaptation: int = Field(ge=1)
    name: str = Field(default="", max_length=100)
    """Which candidate, where a person chooses between several."""


class Reject(_Command):
    """Say no to what waits for a yes."""

    kind: Literal["reject"]
    adaptation: int = Field(ge=1)
    reason: str = Field(default="", max_length=400)


class SetAdapt(_Command):
    """Adapt by itself, only after a yes, or not at all."""

    kind: Literal["set_adapt"]
    mode: AdaptMode


Bound = Annotated[float, Field(allow_inf_nan=False)]


class SetKnobs(_Command):
    """Draw knobs of the environments from ranges, from each one's next episode on."""

    kind: Literal["set_knobs"]
    knobs: dict[str, Bound | tuple[Bound, Bound]] = Field(min_length=1, max_length=64)
    """Knob -> [low, high], or one number for both; those not named keep theirs."""


class SetDifficulty(_Command):
    """Turn all knobs to a difficulty: 0 is nominal, 1 the task's hard ranges."""

    kind: Literal["set_difficulty"]
    difficulty: float = Field(ge=0.0, le=1.0)


AdaptCommand = (
    SetGoal
    | Ask
    | TryReward
    | AdoptReward
    | Rollback
    | Approve
    | Reject
    | SetAdapt
    | SetKnobs
    | SetDifficulty
)
"""Commands that the adapter carries out."""

ClockCommand = Pause | Resume | SetSpeed
"""Commands that change nothing but the time, and so take effect in the middle of an update."""

StageCommand = SetNumEnvs | SetTask
"""Commands that change what is trained on."""

AnyCommand = (
    ClockCommand | StageCommand | Stop | TakeCheckpoint | SetReward | ResetEnv | AdaptCommand
)

Command = Annotated[AnyCommand, Field(discriminator="kind")]


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


class TakesEffectLater(UserError):
    """A command is journaled and half done: it takes effect when the run goes on, sent once."""


class TooManyCommands(Exception):
    """Commands are waiting already; send this one again later."""


@dataclass(frozen=True)
class Pending:
    """A command and where its answer is awaited."""

    command: AnyCommand
    answer: "Future[Applied]"


class Control:
    """The way from HTTP threads to the trainer."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Pending] = queue.Queue(MAX_PENDING)
        # The trainer sets commands aside: the queue alone does not bound how many senders wait.
        self._senders = threading.BoundedSemaphore(MAX_PENDING)
        self._over = False

    def submit(self, command: Command, timeout_s: float) -> Applied:
        """Hand a command over and wait until it has taken effect.

        Raises:
            RunOver: there is nobody to apply it.
            TooManyCommands: so many wait already.
            TimeoutError: it still waits for an update to end; it will be applied then.
            TakesEffectLater: the fleet failed in the midst of it.
            UserError: it was refused; says why.
        """
        if self._over:
            raise RunOver
        if not self._senders.acquire(blocking=False):
            raise TooManyCommands
        try:
            return self._put(command).answer.result(timeout_s)
        finally:
            self._senders.release()

    def _put(self, command: Command) -> Pending:
        pending = Pending(command, Future())
        try:
            self._queue.put_nowait(pending)
        except queue.Full:
            raise TooManyCommands from None
        if self._over:
            self.close()
        return pending

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
