"""What the adapter stands on: state, books, policies, trajectories, and its part of checkpoints."""

import abc
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.books import Books
from websim_learner.adaptation.examiner import Examiner, point_of
from websim_learner.adaptation.gate import Checked, check_reward
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.adaptation.points import EvalPoint, Trajectory
from websim_learner.adaptation.policies import Policies
from websim_learner.adaptation.preference import TrajectoryBank
from websim_learner.adaptation.questions import Questions
from websim_learner.adaptation.signals import (
    ENTROPY_FLOOR_NATS_PER_ACTION,
    TriggerSettings,
    after_adaptation,
)
from websim_learner.adaptation.state import (
    AdaptState,
    Candidate,
    Origin,
    RewardEntry,
    Waiting,
)
from websim_learner.adaptation.trial import Trials
from websim_learner.algorithms.state import Arrays, prefixed, unprefixed
from websim_learner.branch import Branch
from websim_learner.evaluation import Evaluation
from websim_learner.ledger import Ledger

TRAJECTORIES = 3
"""Episodes of an evaluation that are kept to see which behaviour a reward prefers."""


OVERRULE = "Adopt it all the same with --force; on the page: “even if it prefers worse behaviour”."
"""What a person does who knows better than a preference among trajectories."""


class TaskShares(Protocol):
    """Who shares a run's envs out to tasks."""

    @property
    def others(self) -> Mapping[str, int]:
        """Tasks that some of the envs have instead of the run's own, and how many."""

    @property
    def next_tasks(self) -> tuple[str, ...]:
        """Tasks that some of the envs may be given, in that order."""

    def give(self, task: str, share: float) -> str:
        """Give a share of the envs another task, 0 for none; return what there is now."""


class AdapterCore(abc.ABC):
    """State and tools of an adapter. The first branch is the incumbent."""

    def __init__(
        self,
        branches: list[Branch],
        ledger: Ledger,
        state: AdaptState,
        books: Books,
        examiner: Examiner,
        trials: Trials,
        questions: Questions,
        settings: TriggerSettings,
    ) -> None:
        self.state = state
        self.books = books
        self.examiner = examiner
        self.policies = Policies()
        self.bank = TrajectoryBank()
        self.questions = questions
        self._probed = False
        """Whether the bank holds behaviours that want nothing."""
        self._trying = False
        """Whether candidates are at the gate or in their trial."""
        self._evaluated: tuple[tuple[str, ...], Evaluation] | None = None
        """What the last evaluation outside of the run's own was of, and what came of it."""
        self._branches = branches
        self._ledger = ledger
        self._trials = trials
        self._run_settings = settings
        self.tasks: TaskShares
        """Set by the trainer before anything is done."""

    @property
    def _branch(self) -> Branch:
        return self._branches[0]

    @property
    def task(self) -> TaskInfo:
        """What the incumbent's envs simulate."""
        return self._branch.client.task

    @property
    def adapting(self) -> bool:
        """Whether evaluations are what decisions rest on, not measurements alone."""
        return self.state.mode != "off"

    @property
    def trajectories(self) -> int:
        """Episodes that an evaluation is to record."""
        return TRAJECTORIES if self.adapting else 0

    @property
    def _settings(self) -> TriggerSettings:
        """When the run asks for a change, by its present goal and task."""
        return msgspec.structs.replace(
            self._run_settings,
            by_fitness=self.state.goal.by_fitness,
            entropy_floor_nats=ENTROPY_FLOOR_NATS_PER_ACTION * self.task.action_dim,
        )

    @property
    def _trial_fits(self) -> bool:
        """Whether a trial fits into what is left of the run."""
        needed = self._trials.env_steps(self._branch, 2)
        return self._ledger.env_steps + needed <= self._ledger.total_steps

    @property
    def _asks_first(self) -> bool:
        """Whether nothing is changed without a person's yes."""
        return self.state.mode == "approve" or not self.state.goal.by_fitness

    def _require_on(self) -> None:
        if self.state.mode == "off":
            raise UserError(
                "this run does not adapt", "Turn it on: `websim adapt auto`, or approve."
            )

    def _require_idle(self) -> None:
        """Refuse what would begin an adaptation while the candidates of another one are there.

        Raises:
            UserError: the run does not adapt; or candidates are to be tried, or wait for a yes.
        """
        self._require_on()
        if self.state.proposal is not None or self.state.waiting is not None:
            raise UserError("an adaptation is under way", "Wait for it, or answer what it asks.")

    def _checked(self, source: str, *, force: bool, untried: bool = False) -> Checked:
        """Let a reward pass the gate; `force` overrides what it prefers, nothing else.

        Args:
            source: its text.
            force: whether a person insists.
            untried: whether no trial follows.

        Raises:
            UserError: it is refused; says why.
        """
        checked = self._verdict(source, untried=untried)
        if not checked.accepted and not (force and checked.tier == "preference"):
            remedy = OVERRULE if checked.tier == "preference" else ""
            raise UserError(f"the reward is refused: {checked.message}", remedy)
        return checked

    def _verdict(self, source: str, *, untried: bool = False) -> Checked:
        """Return what the gate says of a reward; without a trial it is all that is said."""
        known, gamma = self._known_behaviours(), self._branch.settings.gamma
        if untried and self.state.goal.by_fitness and not self.bank.has_own:
            # A run that has only begun to adapt has shown nothing yet: how it moves now does.
            known = [*known, *self._evaluate_now().trajectories]
        return check_reward(source, self.task, known, self.bank.trajectories, gamma=gamma)

    def _known_behaviours(self) -> list[Trajectory]:
        """Return what a reward is to rank as fitness does; nothing where a person judges."""
        if not self.state.goal.by_fitness:
            return []
        if not self._probed:
            for probe in self.examiner.probes():
                self.bank.add(probe, probe=True)
            self._probed = True
        return self.bank.trajectories

    @abc.abstractmethod
    def lose_measure(self, why: str, within: str = "") -> None:
        """Let a person judge from now on: the goal's measure gives no numbers any more."""

    def _judged(self, act: Callable[[], str]) -> str:
        """Do what is journaled; where the goal's measure fails in it, a person judges that too.

        Args:
            act: measures before it changes anything.
        """
        try:
            return act()
        except MeasureFailed as error:
            self.lose_measure(error.message, within="command")
            return act()

    def _baseline(self) -> EvalPoint:
        """Return what the incumbent is worth: its last whole evaluation, else one made now.

        Whoever says yes waits for the swap, so nothing is measured anew that is known.
        """
        whole = [point for point in self.state.points if point.whole]
        return whole[-1] if whole else self._look()

    @property
    def is_measured(self) -> bool:
        """Whether it is known what the incumbent is worth."""
        return any(point.whole for point in self.state.points)

    def _look(self) -> EvalPoint:
        """Evaluate the incumbent now, and keep what it shows."""
        update, env_steps = self.books.when
        evaluation, self._evaluated = self._evaluate_now(), None
        for trajectory in evaluation.trajectories:
            self.bank.add(trajectory)
        return point_of(evaluation, self._branch, update, env_steps, self.state.stats)

    def _evaluate_now(self) -> Evaluation:
        """Evaluate the incumbent, unless that was done for this very policy: it comes out alike."""
        branch, goal = self._branch, self.state.goal
        what = (branch.weights_sha256(), branch.reward.id, self.task.id, str(goal.n))
        if self._evaluated is None or self._evaluated[0] != what:
            self._evaluated = what, self.examiner.examine(branch, self.trajectories)
        return self._evaluated[1]

    def _begin_probation(self, *, overruled: bool = False) -> None:
        """Let the guards hold lost fitness against what a person adopted.

        Args:
            overruled: whether its preference spoke against it.
        """
        state, env_steps = self.state, self._ledger.env_steps
        count = state.triggers.adaptations
        after = after_adaptation(state.triggers, env_steps, adopted=True)
        state.triggers = msgspec.structs.replace(after, adaptations=count, overruled=overruled)

    def _wait(self, waiting: Waiting) -> None:
        self.state.waiting = msgspec.structs.replace(waiting, before=self.state.waiting)
        self.books.row("waiting", waiting)
        self.books.tell("waiting", f"waits for a yes: {waiting.sentence}")

    def _waiting(self, adaptation: int) -> Waiting:
        waiting = self.state.waiting
        before = waiting and waiting.before
        if waiting and before and before.adaptation == adaptation:
            raise UserError(
                f"adaptation {waiting.adaptation} came after it and waits too",
                f"Answer that one first, then {adaptation} again.",
            )
        if waiting is None or waiting.adaptation != adaptation:
            raise UserError(
                f"adaptation {adaptation} waits for nothing", "`websim goal` shows what waits."
            )
        return waiting

    def _answered(self, chosen: str, why: str) -> None:
        """Forget what waited last; those not chosen have lost, and the next author reads why."""
        waiting = self.state.waiting
        self.state.waiting = before = waiting and waiting.before
        if before is not None and before.what == "reward":
            return  # They wait again.
        self.policies.proposed = {}
        for entry in self.state.rewards:
            if entry.outcome == "proposed" and entry.name != chosen:
                self.state.note(entry.id, outcome="lost", reason=why)

    def _want_no_candidates(self) -> None:
        """Let a question for candidates, or a trial that is to come, come to nothing."""
        self.state.asked = self.state.proposal = None
        self.questions.forget()

    def _remember_first(self) -> None:
        reward = self._branch.reward
        origin: Origin = "task" if reward.source is None else "person"
        name = "the task's own" if reward.source is None else "given at the start"
        self.state.add(
            RewardEntry(
                id=reward.id, name=name, origin=origin, outcome="in_force", source=reward.source
            )
        )

    def _remember(self, candidate: Candidate, checked: Checked, adaptation: int) -> None:
        self.state.add(
            RewardEntry(
                id=checked.program_id or f"refused-{adaptation}-{candidate.name}",
                name=candidate.name,
                origin=candidate.origin,
                outcome="candidate" if checked.accepted else "refused",
                source=candidate.source,
                hypothesis=candidate.hypothesis,
                reason=checked.message,
                adaptation=adaptation,
                update=self._ledger.updates,
                goal=self.state.goal.n,
            )
        )

    def counters(self) -> dict[str, Any]:
        """Return what is not arrays, for a checkpoint."""
        return {
            "state": self.state.as_json(),
            "policies": self.policies.counters(),
            "bank": self.bank.counters(),
            "probed": self._probed,
        }

    def arrays(self) -> dict[str, Arrays]:
        """Return arrays by part, for a checkpoint."""
        kept = self.bank.arrays()
        bank = {"trajectories": kept} if kept else {}
        return prefixed("adapter", {**self.policies.arrays(), **bank})

    def kept(self) -> tuple[dict[str, Any], dict[str, Arrays]]:
        """Return both, as they go into a run's checkpoint."""
        return {"adapter": self.counters()}, self.arrays()

    def load(self, counters: dict[str, Any] | None, arrays: dict[str, Arrays]) -> None:
        """Take over what `counters` and `arrays` returned; None where there was no adapter yet."""
        if counters is None:
            return
        parts = unprefixed("adapter", arrays)
        loaded = msgspec.convert(counters["state"], AdaptState)
        for name in AdaptState.__struct_fields__:
            # In place: books and status look at the same state.
            setattr(self.state, name, getattr(loaded, name))
        self.policies.load(counters["policies"], parts)
        self.bank.load(parts.get("trajectories", {}), counters["bank"])
        self._probed = counters["probed"]
