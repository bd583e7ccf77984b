"""A contest: forks of one policy train under different rewards on live groups of environments.

The incumbent's fork is the control. All start from the same policy and optimiser, with the same
seeds, on as many envs and for as many steps each; all are evaluated from the same starts. Who
stays and who wins is decided elsewhere, by pure functions.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from websim.client import FleetError
from websim.service.errors import UserError
from websim_learner.adaptation.points import EvalPoint
from websim_learner.advance import Advance
from websim_learner.branch import Branch
from websim_learner.defaults import PPOSettings
from websim_learner.fleet import FleetClient
from websim_learner.policy_state import PolicyState

CONTROL = "control"
"""Name of the incumbent's fork."""

TOLD_PER_ROUND = 50
"""How often it is told how a contender does, in a round of many updates."""

MIN_GROUP_ENVS = 16
"""A group is never smaller: a batch of fewer says nothing."""


@dataclass(frozen=True)
class Round:
    """What came of one round."""

    points: dict[str, EvalPoint | None]
    """By contender; None for one that failed."""
    reasons: dict[str, str]
    """Why contenders failed."""


class Contest:
    """Groups of environments on which contenders train; closed in the end, whatever happened."""

    def __init__(
        self,
        make_fork: Callable[[FleetClient, str | None], Branch],
        open_group: Callable[[str], FleetClient],
        evaluate: Callable[[str, Branch, Advance], EvalPoint],
        between: Callable[[], None],
        note_advance: Callable[[Advance], None],
        tell: Callable[[str, Branch, int], None] = lambda _name, _fork, _steps: None,
    ) -> None:
        """Make ready; nothing is opened yet.

        Args:
            make_fork: makes a branch on a session that stands where the incumbent stands, for a
                reward's source (None: the task's own).
            open_group: opens a session of as many envs as a group has, for the contender named.
            evaluate: evaluates the fork of the contender named after its last update, from the
                same starts each time.
            between: called between two updates of any fork; may raise to abandon the contest.
            note_advance: called with each update of any fork.
            tell: called now and then with the contender named and its training steps so far.
        """
        self._make_fork = make_fork
        self._open_group = open_group
        self._evaluate = evaluate
        self._between = between
        self._note_advance = note_advance
        self._tell = tell
        self._forks: dict[str, Branch] = {}
        self._failed: dict[str, str] = {}
        self.env_steps = 0
        """Training steps of all forks so far: they count as the run's."""

    def enter(self, sources: Mapping[str, str | None]) -> None:
        """Give every contender its group of envs.

        Raises:
            UserError: a reward is refused, or there is no fleet.
        """
        for name, source in sources.items():
            client = self._open_group(name)
            try:
                fork = self._make_fork(client, source)
            except BaseException:
                client.close()
                raise
            self._forks[name] = fork
            fork.start()

    def train(self, names: Sequence[str], steps: int) -> Round:
        """Let contenders train for about as many steps each, in turn; then evaluate them."""
        reasons: dict[str, str] = {}
        points: dict[str, EvalPoint | None] = {}
        for name in names:
            fork = self._forks[name]
            updates = updates_of(steps, fork.steps_per_update)
            points[name] = None
            last = self._advance(name, fork, updates)
            if last is None:
                reasons[name] = self._failed[name]
            else:
                points[name] = self._evaluate(name, fork, last)
        return Round(points, reasons)

    def _advance(self, name: str, fork: Branch, updates: int) -> Advance | None:
        """Train one contender; return its last update, or None if it failed."""
        advance: Advance | None = None
        every = math.ceil(updates / TOLD_PER_ROUND)
        for done in range(updates):
            if name in self._failed:
                return None
            self._between()
            advance = fork.advance(last=done == updates - 1)
            self.env_steps += fork.steps_per_update
            self._note_advance(advance)
            if advance.reward_failure:
                self._failed[name] = advance.reward_failure
            elif not math.isfinite(advance.stats.policy_loss + advance.stats.value_loss):
                self._failed[name] = "its losses are not finite numbers"
            elif (done + 1) % every == 0 or done == updates - 1:
                self._tell(name, fork, fork.updates * fork.steps_per_update)
        return None if name in self._failed else advance

    def policy(self, name: str) -> PolicyState:
        """Return where a contender stands."""
        return self._forks[name].policy_state()

    def close(self) -> None:
        """Give all groups back."""
        for fork in self._forks.values():
            try:
                fork.close()
            except (FleetError, UserError):
                # The fleet forgets sessions of clients that are gone.
                continue
        self._forks.clear()


def group_envs(num_envs: int, contenders: int) -> int:
    """Return the envs of each group when a session's envs are divided over contenders."""
    return max(MIN_GROUP_ENVS, num_envs // max(1, contenders))


def updates_of(steps: int, steps_per_update: int) -> int:
    """Return the whole updates that a round of so many env steps takes."""
    return max(1, math.ceil(steps / steps_per_update))


def group_settings(settings: PPOSettings, num_envs: int, group: int) -> PPOSettings:
    """Return a run's settings as they suit a smaller group of envs.

    Nothing is collected ahead: groups take turns.
    """
    return replace(settings.scaled_to(group, num_envs), overlap=False)
