"""How a run's adaptation stands, for people and pages; it only looks."""

import math
from typing import Any

from pydantic import BaseModel

from websim_learner.adaptation.books import Books, LazyLog
from websim_learner.adaptation.questions import Questions
from websim_learner.adaptation.rows import as_values
from websim_learner.adaptation.shelf import Shelf
from websim_learner.adaptation.state import AdaptState, Waiting
from websim_learner.adaptation.trend import mean_of


class RewardsView(BaseModel):
    """The rewards of a run."""

    in_force: str
    rewards: list[dict[str, Any]]
    """Each with id, name, origin, outcome, source, hypothesis, reason, adaptation, update, goal,
    fitness_gain and its lower confidence bound fitness_gain_low."""


class GoalView(BaseModel):
    """What a run is for, and what its adaptation is doing."""

    goal: dict[str, Any]
    mode: str
    reached: bool
    pending: list[dict[str, Any]]
    """What waits for a person's yes."""
    adapting: str
    """What is going on, for people; empty when nothing is."""
    banner: str
    """Why reward-gen does not answer, or why nothing measures the goal; empty while all is well."""
    difficulty: float
    """Of the environments: 0 nominal, 1 the task's hard ranges."""
    knobs: dict[str, tuple[float, float]]
    """Ranges of the knobs that were turned, which episodes draw from."""


class AdaptationView:
    """Reads an adapter's state for HTTP threads."""

    def __init__(
        self, state: AdaptState, books: Books, questions: Questions, log: LazyLog, shelf: Shelf
    ) -> None:
        self._state = state
        self._books = books
        self._questions = questions
        self._log = log
        self._shelf = shelf

    def rewards(self) -> RewardsView:
        """Return all rewards of the run."""
        entries = list(self._state.rewards)
        in_force = next((each.id for each in entries if each.outcome == "in_force"), "task")
        return RewardsView(in_force=in_force, rewards=[as_values(each) for each in entries])

    def goal(self) -> GoalView:
        """Return what the run is for."""
        state = self._state
        waiting = state.waiting
        return GoalView(
            goal=as_values(state.goal),
            mode=state.mode,
            reached=state.triggers.reached,
            pending=[_of(waiting)] if waiting is not None else [],
            adapting=self._books.adapting or _asking(state.asked_goal),
            banner=self._questions.banner or _trouble(state),
            difficulty=state.difficulty,
            knobs=state.ranges,
        )

    def rows(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return rows of adaptations.jsonl beyond number `after`."""
        return self._log.rows(after, limit)

    def clips(self, adaptation: int) -> bytes:
        """Return what the contenders of a trial look like, as JSON."""
        return self._shelf.read(adaptation)


def _asking(goal: str | None) -> str:
    return "" if goal is None else f'asking how "{goal}" is measured'


def _trouble(state: AdaptState) -> str:
    """Return why fitness decides nothing although it was to; empty where it does."""
    points = state.points
    if state.goal.by_fitness and points and math.isnan(mean_of(points[-1].fitness)):
        return (
            "fitness is a finite number in no episode, so nothing is decided by it: set the goal "
            "again with another measure if it stays so"
        )
    return state.goal.trouble


def _of(waiting: Waiting) -> dict[str, Any]:
    """Return what waits, without what it was put before: one thing is answered at a time."""
    values = as_values(waiting)
    del values["before"]
    return values
