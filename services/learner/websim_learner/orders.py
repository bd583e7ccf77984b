"""Commands from outside: when each takes effect, what it does, and what its sender is told.

Called by the trainer between two updates, and in the midst of what takes long.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from websim.client import FleetError
from websim.service.errors import UserError
from websim_learner.adaptation.adapter import Adapter
from websim_learner.adaptation.commands import carry_out
from websim_learner.adaptation.tryouts import TrialAbandoned
from websim_learner.branch import Branch
from websim_learner.changes import Changes
from websim_learner.control import (
    MAX_PENDING,
    AdoptReward,
    Applied,
    Approve,
    ClockCommand,
    Control,
    Pause,
    Pending,
    ResetEnv,
    Resume,
    Rollback,
    RunOver,
    SetAdapt,
    SetNumEnvs,
    SetReward,
    SetSpeed,
    SetTask,
    Stop,
    TakeCheckpoint,
    TakesEffectLater,
)
from websim_learner.fleet import RunStopped
from websim_learner.ledger import Ledger
from websim_learner.pace import Pace
from websim_learner.rewards import Reward
from websim_learner.writing import WriteFailed

AT_ANY_TIME = (ClockCommand, Stop, TakeCheckpoint)
"""Commands that touch nothing of what the journal still holds for a later life."""

PAUSE_POLL_S = 0.2
"""How often a paused run looks whether it is to go on or to stop."""


@dataclass
class Place:
    """Where the loop stands just now: the trainer says, and commands go by it."""

    over: bool = False
    """Whether a person ends the run."""
    working: bool = False
    """Whether an update, an evaluation or a trial is under way, which a pause may hold up."""
    tending: bool = False
    """Whether that may be a trial."""
    between: bool = False
    """Whether all branches stand between two updates, where a checkpoint can be taken, and nothing
    that was decided there is half done."""


class Orders:
    """Takes commands from HTTP threads, carries them out in the trainer's, and answers."""

    def __init__(
        self,
        control: Control,
        place: Place,
        branches: list[Branch],
        changes: Changes,
        pace: Pace,
        ledger: Ledger,
        adapter: Adapter,
        stop: Callable[[], bool],
    ) -> None:
        """Make ready.

        Args:
            control: where commands come from.
            place: where the loop stands.
            branches: what is trained.
            changes: lets the run go on with other envs or another task.
            pace: holds the run up, by the wall clock.
            ledger: where everything is written.
            adapter: changes what is learned from.
            stop: whether the process was told to stop.
        """
        self._control = control
        self._place = place
        self._branches = branches
        self._changes = changes
        self._pace = pace
        self._ledger = ledger
        self._adapter = adapter
        self._stop = stop
        self._deferred: list[Pending] = []
        """Commands that came during an update or a trial, and wait for a place to take effect."""

    @property
    def waiting(self) -> bool:
        """Whether a command waits for a place to take effect."""
        return bool(self._deferred)

    def press(self) -> bool:
        """Return whether somebody waits for another reward, who need not wait for an evaluation.

        It may take longer than the update that follows. What adopts a reward compares with the last
        evaluation: where there is none, one has to be made.
        """
        adapter, waiting = self._adapter, self._adapter.state.waiting
        for command in (each.command for each in self._deferred):
            match command:
                case SetReward() if not adapter.adapting:
                    return True
                case Rollback() if adapter.state.undo:
                    return True
                case AdoptReward() if adapter.is_measured:
                    return True
                case Approve() if adapter.is_measured and waiting and waiting.what == "reward":
                    return True
        return False

    def dismiss(self) -> None:
        """Tell those whose commands wait that the run is over."""
        while self._deferred:
            self._deferred.pop(0).answer.set_exception(RunOver())

    def set_reward(self, branch: Branch, reward: Reward) -> None:
        """Judge by a person's reward from the next rollout on; the adapter's books say so too."""
        branch.set_reward(reward)
        self._adapter.note_reward()

    @property
    def hurried(self) -> bool:
        """Whether nothing may be held up: a command waits for a place to take effect."""
        return not self._place.working or bool(self._deferred)

    def obey(self) -> None:
        """Let what came and concerns the wall clock take effect now; the rest waits."""
        while len(self._deferred) < MAX_PENDING:
            pending = self._control.take()
            if pending is None:
                return
            if isinstance(pending.command, ClockCommand):
                self.apply(pending)
            else:
                self._deferred.append(pending)

    def during_trial(self) -> None:
        """Obey between two updates of a contender.

        A trial takes minutes, and nobody waits that long for an answer: what does not touch its
        outcome is done at once, everything else is refused.

        Raises:
            RunStopped: the process is to stop.
            TrialAbandoned: the run is to end.
        """
        self._pace.rest()
        if self._stop():
            raise RunStopped
        while self._place.tending and self._deferred:
            if isinstance(self._deferred[0].command, Stop):
                raise TrialAbandoned
            pending = self._deferred.pop(0)
            if isinstance(pending.command, TakeCheckpoint | SetAdapt):
                self.apply(pending)
            else:
                pending.answer.set_exception(_trial_is_held(self._adapter.books.adapting))

    def next(self, timeout_s: float = 0.0) -> Pending | None:
        """Return the command whose turn it is; None when there is none within the time."""
        return self._deferred.pop(0) if self._deferred else self._control.take(timeout_s)

    def wait_out_pause(self) -> None:
        """Take commands until the run goes on or ends.

        Raises:
            RunStopped: the process is to stop.
        """
        with self._ledger.clock.stopped():
            self._ledger.enter("paused")
            while self._pace.paused and not self._place.over:
                if self._stop():
                    raise RunStopped
                if (pending := self.next(PAUSE_POLL_S)) is not None:
                    self.apply(pending)
        self._ledger.enter("running")

    def apply(self, pending: Pending) -> None:
        """Let a command take effect, or tell its sender why it cannot."""
        kind, entries = pending.command.kind, self._ledger.entries
        try:
            detail = self._carry_out(pending)
        except WriteFailed as error:
            # Nobody can say how much of it is done, and the run cannot go on.
            self._place.between = False
            pending.answer.set_exception(error)
            raise
        except UserError as error:
            if isinstance(error, FleetError) and self._ledger.entries > entries:
                # It is journaled and half done: it is done from the checkpoint before.
                self._place.between = False
                pending.answer.set_exception(_is_half_done(error))
                raise
            pending.answer.set_exception(error)
            return
        except RunStopped:
            # It may be journaled and not done, likewise.
            self._place.between = False
            pending.answer.set_exception(RunOver())
            raise
        self._ledger.note_command(kind, detail)
        update, env_steps = self._ledger.updates, self._ledger.env_steps
        applied = Applied(kind=kind, update=update, env_steps=env_steps, detail=detail)
        pending.answer.set_result(applied)

    def _carry_out(self, pending: Pending) -> str:
        """Do what a command says; return what came of it."""
        ahead = self._ledger.ahead
        if ahead and not isinstance(pending.command, AT_ANY_TIME):
            # What is new comes after what the journal still holds.
            raise _is_catching_up(ahead[-1].update)
        match pending.command:
            case Pause():
                self._pace.paused = True
            case Resume():
                self._pace.paused = False
            case SetSpeed(speed=speed):
                return self._set_speed(speed)
            case SetNumEnvs(num_envs=num_envs):
                return self._changes.set_num_envs(num_envs)
            case SetTask(task=task, num_envs=num_envs):
                if num_envs is None:
                    return self._changes.set_task(task)
                return self._changes.set_other_task(task, num_envs)
            case Stop():
                self._ledger.journal("stop", {})
                self._place.over, self._pace.paused = True, False
            case SetReward(source=source, branch=index):
                if not 0 <= index < len(self._branches):
                    raise UserError(f"there is no branch {index}", "Branch 0 always exists.")
                self._adapter.require_off()
                reward = self._branches[index].make_reward(source)
                values = {"branch": index, "source": source, "reward_id": reward.id}
                self._ledger.journal("set_reward", values)
                self.set_reward(self._branches[index], reward)
                return reward.id
            case ResetEnv(env_id=env_id):
                return self._reset_env(env_id)
            case TakeCheckpoint():
                self._ledger.journal("checkpoint", {})
                return self._ledger.write_checkpoint()
            case adapt:
                return carry_out(self._adapter, adapt)
        return ""

    def _reset_env(self, env_id: int) -> str:
        """End an env's episode with its next step."""
        branch = self._branches[0]
        if env_id >= branch.num_envs:
            raise UserError(
                f"there is no environment {env_id}", f"They are 0 to {branch.num_envs - 1}."
            )
        self._ledger.journal("reset_env", {"env_id": env_id})
        branch.reset_env(env_id)
        return f"environment {env_id}"

    def _set_speed(self, speed: float | None) -> str:
        """Go on at a speed from the next step on."""
        if speed is not None and not (math.isfinite(speed) and speed > 0.0):
            raise UserError(
                f"{speed:g} is no speed", "1 is real time, 0.25 a quarter; null is full speed."
            )
        self._pace.speed = speed
        self._ledger.clock.measure_anew()
        return "as fast as it goes" if speed is None else f"{speed:g} times real time"


def _trial_is_held(what: str) -> UserError:
    remedy = "Send it again when the trial has ended: the page and `websim goal` tell."
    return UserError(f"a trial is under way ({what})", remedy)


def _is_half_done(error: FleetError) -> TakesEffectLater:
    return TakesEffectLater(
        f"the fleet failed while it took effect: {error.message}",
        "Do not send it again: it is journaled, and takes effect when the run goes on.",
    )


def _is_catching_up(update: int) -> UserError:
    return UserError(
        f"the run was interrupted and is doing again what it did up to update {update:,}",
        "Send it again when it has passed that update.",
    )
