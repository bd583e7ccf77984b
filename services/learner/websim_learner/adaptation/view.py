"""How a run's adaptation stands, for people and pages; it only looks."""

import math
import threading
import time
from typing import Any

from pydantic import BaseModel

from websim.service.adaptation_log import Row
from websim.service.errors import UserError
from websim_learner.adaptation.books import Books, LazyLog
from websim_learner.adaptation.chain import read_rows
from websim_learner.adaptation.questions import Questions
from websim_learner.adaptation.replay import decide_again
from websim_learner.adaptation.rows import as_values
from websim_learner.adaptation.shelf import Shelf
from websim_learner.adaptation.state import AdaptState, Waiting
from websim_learner.adaptation.trend import mean_of

REPLAY_S = 30.0
"""How long making decisions again may take: training goes on beside it, in the same process."""


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


class DecisionView(BaseModel):
    """One decision, made again from its row of the log."""

    n: int
    """Of the row."""
    adaptation: int
    kind: str
    decided: str
    """As the log has it, for people."""
    again: str
    """As it comes out now, for people."""
    same: bool


class ReplayView(BaseModel):
    """All decisions of a run, made again from its log alone."""

    rows: int
    """Of the log, whose chain holds where there is no problem."""
    decisions: list[DecisionView] = []
    problem: str = ""
    """Why they cannot be made again, for people: the log was changed, or there was no time."""


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
        self._replaying = threading.Lock()

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
            adapting=self._books.adapting,
            banner=self._questions.banner or _trouble(state),
            difficulty=state.difficulty,
            knobs=state.ranges,
        )

    def rows(self, after: int, limit: int) -> list[dict[str, Any]]:
        """Return rows of adaptations.jsonl beyond number `after`."""
        return self._log.rows(after, limit)

    def replay(self) -> ReplayView:
        """Make all decisions again from the file of the log; one caller at a time.

        Raises:
            BlockingIOError: somebody else has that done just now.
        """
        if not self._replaying.acquire(blocking=False):
            raise BlockingIOError
        try:
            return _replayed(self._log)
        finally:
            self._replaying.release()

    def clips(self, adaptation: int) -> bytes:
        """Return what the contenders of a trial look like, as JSON."""
        return self._shelf.read(adaptation)


def _replayed(log: LazyLog) -> ReplayView:
    if not log.position:
        return ReplayView(rows=0)
    rows: list[Row] = []
    try:
        rows = read_rows(log.path)
        replayed = decide_again(rows, time.monotonic() + REPLAY_S)
    except UserError as error:
        return ReplayView(rows=len(rows), problem=str(error))
    return ReplayView(
        rows=len(rows),
        decisions=[
            DecisionView(
                n=each.row["n"], adaptation=each.row["adaptation"], kind=each.row["kind"],
                decided=each.decided, again=each.again, same=each.same,
            )
            for each in replayed
        ],
    )  # fmt: skip


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
