"""The adapter's questions to reward-gen, and its answers in the adapter's own terms."""

from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.answers import GoalAnswer, RewardAnswer
from websim_learner.adaptation.author import Author, AuthorFailed
from websim_learner.adaptation.books import Books
from websim_learner.adaptation.curriculum import Ranges
from websim_learner.adaptation.feedback import make_feedback
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.outlook import slope_low_per_million
from websim_learner.adaptation.requests import (
    KnobBounds,
    Remembered,
    goal_request,
    reward_request,
)
from websim_learner.adaptation.state import AdaptState, Candidate, Proposal
from websim_learner.branch import Branch

NUM_CANDIDATES = 3
"""Candidates that are asked for: groups of environments are divided over them and the control."""

NOBODY = "no reward-gen is set up (--reward-gen)"

REMEMBERED = {
    "adopted": "adopted",
    "in_force": "adopted",
    "lost": "lost",
    "failed": "lost",
    "refused": "refused",
    "rolled_back": "rolled_back",
}
"""Outcomes as reward-gen knows them."""


class Questions:
    """Asks in the background; at most one question is open."""

    def __init__(self, run: str, author: Author | None, books: Books) -> None:
        """Make ready.

        Args:
            run: the run's name, whose budget is charged.
            author: asks; None: there is nobody to ask.
            books: where exchanges are written.
        """
        self._run = run
        self._author = author
        self._books = books
        self._kept: set[int] = set()
        self._forgotten = False
        """Whether nobody waits for the answer to the open question any more."""

    @property
    def banner(self) -> str:
        """Why nobody answers just now; empty while all is well."""
        return self._author.banner if self._author is not None else ""

    @property
    def busy(self) -> bool:
        """Whether a question is open."""
        return self._author is not None and self._author.busy

    def expect(self, adaptations: set[int]) -> None:
        """Name the adaptations whose candidates the journal holds: they are not asked for anew."""
        self._kept = adaptations

    def forget(self) -> None:
        """Want no answer to the question that is open, if one is."""
        self._forgotten = self.busy

    def ask_goal(self, description: str, task: TaskInfo) -> None:
        """Ask how a goal in words is measured.

        Raises:
            UserError: there is nobody to ask.
        """
        if self._author is None:
            raise UserError(NOBODY, "`websim up` starts one; or give the goal a fitness program.")
        if self._author.busy:
            raise UserError("another question is open", "Set the goal again in a moment.")
        self._author.ask("/v1/goals", goal_request(self._run, task, description))

    def ask_rewards(self, state: AdaptState, branch: Branch) -> None:
        """Ask for candidates for `state.asked`, unless the journal holds them."""
        assert state.asked is not None
        if state.adaptations in self._kept:
            return
        if self._author is None or self._author.busy:
            return
        trigger = state.asked
        body = reward_request(
            self._run,
            branch.client.task,
            state.goal,
            branch.reward.source,
            make_feedback(
                state.points,
                trigger.kind,
                trigger.sentence,
                target=state.goal.target,
                by_fitness=state.goal.by_fitness,
                slope_low_per_million=slope_low_per_million(state.points),
            ),
            _memory(state),
            NUM_CANDIDATES,
            _knobs(branch.client.task, state.ranges),
        )
        self._books.row("question", body)
        self._author.ask("/v1/rewards", body)

    def poll(self, state: AdaptState, branch: Branch) -> Goal | Proposal | None:
        """Return what has come of the open question; None while nothing has."""
        if self._author is None:
            if state.asked is not None and state.adaptations not in self._kept:
                return Proposal(adaptation=state.adaptations, candidates=(), reason=NOBODY)
            return None
        outcome = self._author.poll()
        if outcome is not None and self._forgotten:
            self._forgotten, outcome = False, None
        if outcome is None:
            # Another question was open when this one arose.
            if state.asked_goal is not None and not self._author.busy:
                self.ask_goal(state.asked_goal, branch.client.task)
            if state.asked is not None and not self._author.busy:
                self.ask_rewards(state, branch)
            return None
        if isinstance(outcome, AuthorFailed):
            return self._failed(outcome.message, state)
        body = outcome.body
        if isinstance(body, GoalAnswer) and state.asked_goal is not None:
            return Goal(
                description=state.asked_goal,
                kind=body.kind,
                program=body.program,
                accumulate=body.accumulate or "sum",
                per_horizon=body.per_horizon,
                unit=body.unit,
                fitness_description=body.description,
                target=state.goal_target,
            )
        if isinstance(body, RewardAnswer) and state.asked is not None:
            self._books.row("exchange", {
                "provider": body.provider,
                "diagnosis": body.diagnosis,
                "failures": body.failures,
                "usage": body.usage,
                "exchanges": body.exchanges,
            })  # fmt: skip
            return _proposal(body, state)
        return None

    def close(self) -> None:
        """Give up an open question."""
        if self._author is not None:
            self._author.close()

    def _failed(self, message: str, state: AdaptState) -> Proposal | None:
        self._books.tell("unanswered", message)
        if state.asked_goal is not None:
            state.asked_goal = None
            return None
        return Proposal(adaptation=state.adaptations, candidates=(), reason=message)


def _proposal(body: RewardAnswer, state: AdaptState) -> Proposal:
    """Return an answer's accepted candidates, each with a name of its own."""
    candidates: list[Candidate] = []
    names: set[str] = {"control"}
    for each in body.candidates:
        if not each.verdict.accepted:
            continue
        name, number = each.name[:60] or "candidate", 2
        while name in names:
            name, number = f"{each.name[:56]} {number}", number + 1
        names.add(name)
        known = {"claude": "claude", "library": "library", "replay": "replay"}
        candidates.append(
            Candidate(
                name=name,
                source=each.program,
                origin=known.get(each.provenance.provider, "library"),  # type: ignore[arg-type]
                hypothesis=each.hypothesis,
            )
        )
    ranges = {}
    if body.action == "env_change":
        ranges = {each.name: (each.low, each.high) for each in body.env_changes}
    reason = (
        ""
        if candidates or ranges
        else "; ".join(f.message for f in body.failures) or "none was written"
    )
    return Proposal(
        adaptation=state.adaptations,
        candidates=tuple(candidates),
        diagnosis=body.diagnosis,
        reason=reason,
        ranges=ranges,
    )


def _knobs(task: TaskInfo, ranges: Ranges) -> list[KnobBounds]:
    """Return what of the environment may be changed: within the task's hard ranges."""
    bounds = []
    for knob in task.knobs:
        low, high = ranges.get(knob.name, (knob.nominal, knob.nominal))
        bounds.append(
            KnobBounds(
                name=knob.name,
                low=min(knob.hard_low, knob.nominal, low),
                high=max(knob.hard_high, knob.nominal, high),
                current_low=low,
                current_high=high,
                unit=knob.unit,
                description=knob.description,
            )
        )
    return bounds


def _memory(state: AdaptState) -> list[Remembered]:
    """Return what became of earlier candidates for the present goal."""
    return [
        Remembered(
            name=each.name,
            program=each.source or "",
            outcome=REMEMBERED[each.outcome],  # type: ignore[arg-type]
            reason=each.reason,
            fitness_gain=each.fitness_gain,
        )
        for each in state.rewards
        if each.goal == state.goal.n and each.source is not None and each.outcome in REMEMBERED
    ]
