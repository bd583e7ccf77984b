"""Follows the orchestrator: workers and sessions, and how busy the workers are."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter, ValidationError

from websim_dashboard.feed import Feed
from websim_dashboard.messages import SessionSummary, TaskDetail, Worker
from websim_dashboard.upstream import Unreachable, Upstream

WATCHED_S = 1.0
UNWATCHED_S = 5.0

_workers = TypeAdapter(list[Worker])


class FleetFeed(Feed):
    """What is known of the fleet. Belongs to one loop."""

    def __init__(self, upstream: Upstream, watched: Callable[[], bool]) -> None:
        """Follow an orchestrator."""
        super().__init__("orchestrator", watched, WATCHED_S, UNWATCHED_S)
        self.workers: list[Worker] = []
        self.sessions: list[SessionSummary] = []
        self.busy: float | None = None
        """Part of the last turn's time that the workers were stepping; None at first."""
        self._upstream = upstream
        self._tasks: dict[tuple[int, str], TaskDetail] = {}
        self._busy_s: dict[int, tuple[float, float]] = {}

    async def turn(self) -> None:
        """Ask for workers and sessions."""
        try:
            workers, sessions = await asyncio.gather(
                self._upstream.get("/v1/workers"), self._upstream.get("/v1/sessions")
            )
        except Unreachable:
            self.workers, self.sessions, self.busy = [], [], None
            raise
        self.workers = _workers.validate_python(workers)
        self.sessions = [_summary(each) for each in sessions if each["opened"]]
        self._measure_busy()
        known = {(each.session, each.task) for each in self.sessions}
        self._tasks = {key: task for key, task in self._tasks.items() if key in known}

    async def task(self, session: int) -> TaskDetail:
        """Return the task of a session.

        Raises:
            Unreachable: the orchestrator does not answer, or knows no such session, or says what is
                not understood.
        """
        name = next((each.task for each in self.sessions if each.session == session), "")
        if (session, name) not in self._tasks:
            answer = await self._upstream.get(f"/v1/sessions/{session}/task")
            try:
                self._tasks[session, name] = TaskDetail.model_validate(answer)
            except ValidationError:
                raise Unreachable(self.not_understood) from None
        return self._tasks[session, name]

    async def known_task(self, session: int | None) -> TaskDetail | None:
        """Return the task of a session; None where it cannot be had."""
        if session is None:
            return None
        try:
            return await self.task(session)
        except Unreachable:
            return None

    def _measure_busy(self) -> None:
        now_s = time.monotonic()
        shares = []
        for worker in self.workers:
            before = self._busy_s.get(worker.worker_id)
            if before is not None and now_s > before[1]:
                shares.append((worker.busy_s - before[0]) / (now_s - before[1]))
        self._busy_s = {each.worker_id: (each.busy_s, now_s) for each in self.workers}
        self.busy = min(1.0, sum(shares) / len(shares)) if shares else None


def _summary(session: dict[str, Any]) -> SessionSummary:
    names = ("session", "label", "task", "num_envs")
    return SessionSummary(**{name: session[name] for name in names})
