"""The adapter's questions to reward-gen, and what comes of them."""

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.answers import Exchange, GoalAnswer, RewardAnswer
from websim_learner.adaptation.author import Answered, Author, AuthorFailed
from websim_learner.adaptation.books import Books
from websim_learner.adaptation.curriculum import Ranges
from websim_learner.adaptation.feedback import make_feedback
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.outlook import slope_low_per_million
from websim_learner.adaptation.proposals import goal_of, measure_of, proposal_of
from websim_learner.adaptation.requests import (
    KnobBounds,
    Remembered,
    goal_request,
    reward_request,
)
from websim_learner.adaptation.state import AdaptState, Proposal
from websim_learner.branch import Branch

NUM_CANDIDATES = 3
"""Candidates that are asked for: groups of environments are divided over them and the control."""

ASK_AGAIN_S = 60.0
"""Pause before a goal that got no answer is asked again; the author has tried for long by then."""

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


@dataclass(frozen=True)
class GoalRefused:
    """reward-gen does not take the question how a goal is measured: asking again is no use."""

    message: str


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
        self._goal_question: dict[str, Any] | None = None
        """The open question, where that is one for a goal's measure."""
        self._problem = ""
        """Why the goal that is asked for got no answer the last time."""
        self._again_s = 0.0
        """When it is asked for again, by the monotonic clock."""

    @property
    def banner(self) -> str:
        """Why nobody answers just now; empty while all is well."""
        return self._problem or (self._author.banner if self._author is not None else "")

    @property
    def anybody(self) -> bool:
        """Whether there is anybody to ask."""
        return self._author is not None

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
        if self._author is not None:
            self._author.give_up()

    def ask_goal(self, description: str, task: TaskInfo) -> None:
        """Ask how a goal in words is measured; where another question is open, after that.

        Raises:
            UserError: there is nobody to ask.
        """
        if self._author is None:
            raise UserError(NOBODY, "`websim up` starts one; or give the goal a fitness program.")
        body = goal_request(self._run, task, description)
        if self._author.busy:
            # `poll` asks it as soon as no other answer is to come.
            if body != self._goal_question:
                self.forget()
            self._again_s = 0.0
            return
        if body != self._goal_question:
            self._problem = ""
        self._goal_question = body
        self._author.ask("/v1/goals", body)

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
        self._goal_question = None
        self._author.ask("/v1/rewards", body)

    def poll(self, state: AdaptState, branch: Branch) -> Goal | Proposal | GoalRefused | None:
        """Return what has come of the open question; None while nothing has."""
        if state.asked_goal is None:
            self._problem = ""
        if self._author is None:
            if state.asked_goal is not None:
                self._problem = f"the goal waits for an answer: {NOBODY}"
            if state.asked is not None and state.adaptations not in self._kept:
                return Proposal(
                    adaptation=state.adaptations, candidates=(), reason=NOBODY, unanswered=True
                )
            return None
        outcome = self._author.poll()
        if outcome is not None and self._forgotten:
            if isinstance(outcome, Answered):
                self._note_exchange(outcome.body, {"unwanted": True})
            self._forgotten, outcome = False, None
        if outcome is None:
            # Another question was open when this one arose, or it got no answer.
            again = time.monotonic() >= self._again_s
            if state.asked_goal is not None and not self._author.busy and again:
                self.ask_goal(state.asked_goal, branch.client.task)
            if state.asked is not None and not self._author.busy:
                self.ask_rewards(state, branch)
            return None
        if isinstance(outcome, AuthorFailed):
            return self._failed(outcome, state)
        body = outcome.body
        if isinstance(body, GoalAnswer) and state.asked_goal is not None:
            self._note_exchange(body, {"question": self._goal_question, "answer": measure_of(body)})
            return goal_of(body, state)
        if isinstance(body, RewardAnswer) and state.asked is not None:
            verdicts = [{"name": each.name, "verdict": each.verdict} for each in body.candidates]
            self._note_exchange(body, {"diagnosis": body.diagnosis, "verdicts": verdicts})
            return proposal_of(body, state)
        return None

    def close(self) -> None:
        """Give up an open question."""
        if self._author is not None:
            self._author.close()

    def _note_exchange(self, body: GoalAnswer | RewardAnswer, more: dict[str, Any]) -> None:
        shared = {
            "provider": body.provider,
            "understood": body.understood,
            "not_understood": body.not_understood,
            "failures": body.failures,
            "usage": body.usage,
            "exchanges": [self._noted(each) for each in body.exchanges],
        }
        self._books.row("exchange", {**shared, **more})

    def _noted(self, exchange: Exchange) -> dict[str, Any]:
        """Return an exchange as the log has it: its system prompt is there once."""
        values = msgspec.structs.asdict(exchange)
        system = values.pop("system")
        return values | {"system_sha256": self._books.note_prompt(system) if system else ""}

    def _failed(self, failed: AuthorFailed, state: AdaptState) -> Proposal | GoalRefused | None:
        """Return what comes of a question without an answer.

        A goal waits for one, unless the question itself is refused; an adaptation ends.
        """
        if self._goal_question is not None:
            if state.asked_goal is None:
                return None
            if failed.kind == "refused":
                return GoalRefused(failed.message)
            self._wait_for_goal(failed)
            return None
        if state.asked is None:
            return None
        self._note_unanswered("/v1/rewards", failed.kind, failed.message)
        return Proposal(
            adaptation=state.adaptations, candidates=(), reason=failed.message, unanswered=True
        )

    def _wait_for_goal(self, failed: AuthorFailed) -> None:
        """Ask for the goal again after a pause; what is said already is not said again."""
        self._again_s = time.monotonic() + ASK_AGAIN_S
        problem = f"the goal waits for an answer and is asked again: {failed.message}"
        if problem != self._problem:
            self._problem = problem
            self._note_unanswered("/v1/goals", failed.kind, problem)

    def _note_unanswered(self, path: str, kind: str, message: str) -> None:
        self._books.row("unanswered", {"path": path, "kind": kind, "message": message})
        self._books.tell("unanswered", message)


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
