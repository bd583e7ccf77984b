"""Follows the learner: status and goal for the page; what outlives it for the history."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import ValidationError

from websim.service.logs import get_logger
from websim_dashboard.feed import Feed
from websim_dashboard.history import History
from websim_dashboard.messages import (
    Goal,
    MetricPoint,
    TaskDetail,
    TimelineEvent,
    TrialPoint,
)
from websim_dashboard.records import split_records, trial_points
from websim_dashboard.run_status import check_run, key_of
from websim_dashboard.upstream import Upstream

log = get_logger(__name__)

WATCHED_S = 0.5
UNWATCHED_S = 1.0
"""A learner that ends waits a little longer than this for who reads its records."""

RECORDS = 1000
"""Records, or rows of the log, asked for at once."""

GOAL_EVERY = 10
"""Goal, rewards and log are asked for when an adaptation or the run's end is told, and every so
many turns."""

FINAL = frozenset({"finished", "stopped", "failed"})
"""States of the learner that its end does not change."""


class LearnerFeed(Feed):
    """What is known of the learner's run. Belongs to one loop."""

    def __init__(self, upstream: Upstream, history: History, watched: Callable[[], bool]) -> None:
        """Follow a learner, and go on with what the history has of its run."""
        super().__init__("learner", watched, WATCHED_S, UNWATCHED_S)
        self.goal: Goal | None = None
        self.final: str | None = None
        """`finished`, `stopped` or `failed`, once the run said so."""
        self.arrived: Callable[[Sequence[MetricPoint], Sequence[TimelineEvent]], None] = (
            lambda points, events: None
        )
        """Called with what is new."""
        self.tried: Callable[[Sequence[TrialPoint]], None] = lambda points: None
        """Called with new points of a trial's curves."""
        self._upstream = upstream
        self._history = history
        self._reader = f"dashboard-{os.getpid()}"
        latest = history.latest_run()
        self.run_key, self.run_name = latest if latest is not None else ("", "")
        self.status = history.last_status(self.run_key)
        """Body of `GET /v1/run`, as it was last; None before the first."""
        self._last = history.last_number(self.run_key)
        self._goal_due = 0
        self._kept: dict[str, dict[str, Any]] = {}
        self.goal = self._kept_goal()
        self._note_states(history.events(self.run_key, ["state"], 0))

    async def turn(self) -> None:
        """Ask for status, new records and, where due, goal, rewards and log."""
        status = await self._upstream.get("/v1/run")
        check_run(status)
        if (key := key_of(status)) != self.run_key:
            await self._begin(key, status["run_id"])
        self.status = status
        # A pause is to be seen at once, before further questions and writes to a disk.
        self.answered()
        while await self._read_on(status) == RECORDS:
            pass
        self._goal_due -= 1
        if self._goal_due <= 0:
            goal = await self._upstream.get("/v1/goal")
            self.goal = Goal.model_validate(goal)
            await self._keep_answer("goal", goal)
            await self._keep_answer("rewards", await self._upstream.get("/v1/rewards"))
            while await self._read_log() == RECORDS:
                pass
            self._goal_due = GOAL_EVERY

    async def _begin(self, key: str, name: str) -> None:
        self._last = await asyncio.to_thread(self._history.last_number, key)
        self.run_key, self.run_name = key, name
        self._goal_due, self.final = 0, None
        self._kept = {}

    async def _read_on(self, status: dict[str, Any]) -> int:
        """Take in the next records; return how many there were."""
        query = f"after={self._last}&limit={RECORDS}&reader={self._reader}"
        records = await self._upstream.get(f"/v1/events?{query}")
        if not records:
            return 0
        points, events = split_records(records, log.warning)
        trials = trial_points(records, log.warning)
        last = int(records[-1]["n"])
        kept = self._history.add, self.run_key, status, last, points, events, trials
        if not await self._keep(*kept):
            return 0
        self._last = last
        self._note_states(events)
        if any(event.kind in ("adaptation", "command", "state") for event in events):
            self._goal_due = 0
        self.arrived(points, events)
        self.tried(trials)
        return len(records)

    async def _read_log(self) -> int:
        """Keep the next rows of the log of adaptations; return how many there were."""
        after = await asyncio.to_thread(self._history.last_row, self.run_key)
        rows = await self._upstream.get(f"/v1/adaptations?after={after}&limit={RECORDS}")
        if not rows or not await self._keep(self._history.add_rows, self.run_key, rows):
            return 0
        return len(rows)

    async def keep_task(self, task: TaskDetail) -> None:
        """Keep the task that the run trains on: its own reward's program is told with it."""
        await self._keep_answer("task", task.model_dump())

    def kept(self, name: str) -> dict[str, Any] | None:
        """Return what is kept of the learner's goal or rewards, for when it is away."""
        answer = self._history.answer(self.run_key, name)
        if name == "rewards" and answer is not None:
            task = self._history.answer(self.run_key, "task") or {}
            for reward in answer["rewards"]:
                if reward["source"] is None:
                    reward["source"] = task.get("reward_source")
        return answer

    def _kept_goal(self) -> Goal | None:
        try:
            return Goal.model_validate(self._history.answer(self.run_key, "goal"))
        except ValidationError:
            return None

    async def _keep_answer(self, name: str, answer: dict[str, Any]) -> None:
        if self._kept.get(name) != answer and await self._keep(
            self._history.set_answer, self.run_key, name, answer
        ):
            self._kept[name] = answer

    async def _keep(self, add: Callable[..., None], *what: object) -> bool:
        """Return whether the history has taken it in; what it has not is asked for once more."""
        try:
            await asyncio.to_thread(add, *what)
        except sqlite3.Error as error:
            log.warning("history not written", why=str(error))
            return False
        return True

    def _note_states(self, events: Sequence[TimelineEvent]) -> None:
        for event in events:
            if event.kind == "state":
                self.final = event.title if event.title in FINAL else None
