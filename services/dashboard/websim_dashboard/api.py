"""The page's HTTP: how everything stands, the history, and what is passed on to other services."""

import asyncio
import time
from typing import Annotated

from fastapi import FastAPI, HTTPException, Path, Query, Request, Response

from websim_dashboard.access import (
    SESSION_S,
    cookie_name,
    is_encrypted,
    make_cookie,
    role_of,
    session_of,
)
from websim_dashboard.broadcast import Broadcast
from websim_dashboard.checks import Checker
from websim_dashboard.fleet_feed import FleetFeed
from websim_dashboard.history import History
from websim_dashboard.learner_feed import LearnerFeed
from websim_dashboard.messages import (
    Access,
    Login,
    MetricSeries,
    RewardCheck,
    RewardCheckRequest,
    Status,
    TaskDetail,
    TimelineEvent,
    TrialPoint,
)
from websim_dashboard.sessions import Sessions
from websim_dashboard.status import training_session
from websim_dashboard.upstream import Unreachable

STATUS_AGE_S = 1.0
"""An older status is asked for anew."""

MAX_POINTS = 10_000
MAX_NAMES = 2000
"""Characters."""


def add_access_routes(app: FastAPI, sessions: Sessions) -> None:
    """Add login and logout."""

    @app.get("/api/v1/access", tags=["access"])
    def access(request: Request) -> Access:
        """Answer what the asker may do; with role null a token is needed first."""
        return Access(role=role_of(request))

    @app.post("/api/v1/login", tags=["access"])
    def login(body: Login, request: Request, response: Response) -> Access:
        """Exchange a token for a session cookie; without a token file nothing is needed."""
        tokens = request.scope.get("websim.tokens")
        if tokens is None:
            return Access(role=role_of(request))
        role = tokens.role_of(body.token)
        if role is None:
            raise HTTPException(401, "this token is not good here")
        response.set_cookie(
            cookie_name(request),
            make_cookie(body.token, time.time()),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=is_encrypted(request),
        )
        return Access(role=role)

    @app.post("/api/v1/logout", tags=["access"])
    async def logout(request: Request, response: Response) -> Access:
        """Give the cookie back; WebSockets that it let in are closed."""
        sessions.end(session_of(request))
        response.delete_cookie(
            cookie_name(request), httponly=True, samesite="strict", secure=is_encrypted(request)
        )
        return Access(role=None)


def add_status_routes(
    app: FastAPI, broadcast: Broadcast, learner: LearnerFeed, fleet: FleetFeed, checker: Checker
) -> None:
    """Add the status, and what depends on the running task."""

    @app.get("/api/v1/status", tags=["run"])
    async def status(request: Request) -> Status:
        """Answer how run and fleet stand."""
        await asyncio.gather(learner.fresh(STATUS_AGE_S), fleet.fresh(STATUS_AGE_S))
        return await broadcast.status(role_of(request) or "view")

    @app.get("/api/v1/sessions/{session}/task", tags=["fleet"])
    async def task(session: int) -> TaskDetail:
        """Answer what the task of a session is: fields, knobs, its own reward."""
        return await _task(fleet, session)

    @app.post("/api/v1/rewards/check", tags=["steering"])
    async def check(body: RewardCheckRequest) -> RewardCheck:
        """Say what the language and, where it accepts, reward-gen's gate say to a reward program.

        Only the gate runs it, in reward-gen's sandbox; `judged_by` says whether it did.
        """
        session = body.session
        if session is None:
            await fleet.fresh(STATUS_AGE_S)
            session = training_session(learner.run_name, fleet.sessions)
        if session is None:
            raise HTTPException(409, "no task is being trained, so there are no fields to check by")
        detail = await _task(fleet, session)
        return await checker.check(body.source, detail)


def add_history_routes(app: FastAPI, history: History, learner: LearnerFeed) -> None:
    """Add the curves and the timeline."""

    @app.get("/api/v1/metrics", tags=["history"])
    def metrics(
        names: Annotated[str, Query(max_length=MAX_NAMES)] = "",
        after: Annotated[int, Query(ge=0)] = 0,
        max_points: Annotated[int, Query(ge=2, le=MAX_POINTS)] = 2000,
    ) -> MetricSeries:
        """Answer the run's metrics: those named, joined by commas, or all."""
        wanted = _listed(names)
        return history.series(learner.run_key, learner.run_name, wanted, after, max_points)

    @app.get("/api/v1/events", tags=["history"])
    def events(
        kinds: Annotated[str, Query(max_length=MAX_NAMES)] = "",
        after: Annotated[int, Query(ge=0)] = 0,
    ) -> list[TimelineEvent]:
        """Answer the run's events beyond number `after`, oldest first: at most 1000 of a kind.

        Those of the kinds named, joined by commas, or all. Where there are more, the newest; of
        evaluations evenly spread ones and the newest.
        """
        return history.events(learner.run_key, _listed(kinds), after)

    @app.get("/api/v1/adaptations/{number}/curves", tags=["history"])
    def curves(number: Annotated[int, Path(ge=1)]) -> list[TrialPoint]:
        """Answer how the contenders of a trial did while they trained, as far as it is kept."""
        return history.trial(learner.run_key, number)


def _listed(names: str) -> list[str]:
    return [name for name in names.split(",") if name]


async def _task(fleet: FleetFeed, session: int) -> TaskDetail:
    try:
        return await fleet.task(session)
    except Unreachable as error:
        raise HTTPException(502, str(error)) from None
