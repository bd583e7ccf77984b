"""What is passed on to learner and orchestrator and back, as it is."""

import asyncio
import json
from typing import Annotated

import anyio.to_thread
from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from websim_dashboard.fleet_feed import FleetFeed
from websim_dashboard.history import History
from websim_dashboard.learner_feed import LearnerFeed
from websim_dashboard.messages import Clips
from websim_dashboard.status import learners_sessions, training_session
from websim_dashboard.upstream import Unreachable, Upstream

CONFLICT = 409
BAD_GATEWAY = 502

REPLAY_TIMEOUT_S = 40.0
"""How long decisions may take that are made again: the learner gives up after 30 s."""


def add_learner_routes(
    app: FastAPI, learner: Upstream, feed: LearnerFeed, history: History
) -> None:
    """Add what the learner answers."""

    async def asked_or_kept(name: str) -> Response:
        if feed.error is None:
            return await pass_on(learner, "GET", f"/v1/{name}")
        return JSONResponse(await anyio.to_thread.run_sync(feed.kept, name))

    @app.get("/api/v1/learner", tags=["run"])
    async def run() -> Response:
        """Answer the learner's own status."""
        return await pass_on(learner, "GET", "/v1/run")

    @app.get("/api/v1/goal", tags=["steering"])
    async def goal() -> Response:
        """Answer what the run is for, what is going on, and what waits for a yes.

        While the learner is away, what it said last; null where nothing is kept.
        """
        return await asked_or_kept("goal")

    @app.get("/api/v1/rewards", tags=["steering"])
    async def rewards() -> Response:
        """Answer the rewards of the run and what became of each.

        While the learner is away, what it said last; null where nothing is kept.
        """
        return await asked_or_kept("rewards")

    @app.get("/api/v1/adaptations", tags=["steering"])
    async def adaptations(
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    ) -> Response:
        """Answer the rows of the log of adaptations beyond number `after`.

        While the learner is away, those that are kept of it.
        """
        if feed.error is None:
            return await pass_on(learner, "GET", f"/v1/adaptations?after={after}&limit={limit}")
        rows = await anyio.to_thread.run_sync(history.rows, feed.run_key, after, limit)
        return JSONResponse(rows)

    @app.get("/api/v1/adaptations/replay", tags=["steering"])
    async def replay() -> Response:
        """Answer the decisions of the run, made again from its log alone, and how they compare."""
        return await pass_on(learner, "GET", "/v1/adaptations/replay", timeout_s=REPLAY_TIMEOUT_S)

    @app.get("/api/v1/adaptations/{number}/clips", tags=["steering"])
    async def clips(number: Annotated[int, Path(ge=1)]) -> Response:
        """Answer what the contenders that were left at the end of a trial look like.

        There are none while the learner is away.
        """
        if feed.error is None:
            return await pass_on(learner, "GET", f"/v1/adaptations/{number}/clips")
        return JSONResponse(Clips().model_dump())

    @app.post("/api/v1/run/commands", tags=["steering"])
    async def command(request: Request) -> Response:
        """Have a command applied; answered when it has taken effect."""
        answer = await pass_on(learner, "POST", "/v1/run/commands", await request.body())
        feed.poke()
        return answer


def add_fleet_routes(app: FastAPI, orchestrator: Upstream) -> None:
    """Add what the orchestrator answers."""

    @app.get("/api/v1/workers", tags=["fleet"])
    async def workers() -> Response:
        """List the registered sim workers."""
        return await pass_on(orchestrator, "GET", "/v1/workers")

    @app.get("/api/v1/tasks", tags=["fleet"])
    async def tasks() -> Response:
        """List the tasks that can be trained."""
        return await pass_on(orchestrator, "GET", "/v1/tasks")

    @app.get("/api/v1/sessions", tags=["fleet"])
    async def sessions() -> Response:
        """List the sessions with statistics of their episodes."""
        return await pass_on(orchestrator, "GET", "/v1/sessions")

    @app.get("/api/v1/sessions/{session}/scene", tags=["fleet"])
    async def scene(session: int) -> Response:
        """Answer what the task of a session looks like."""
        return await pass_on(orchestrator, "GET", f"/v1/sessions/{session}/scene")

    @app.get("/api/v1/sessions/{session}/envs/{env_id}", tags=["fleet"])
    async def env(session: int, env_id: int) -> Response:
        """Show one environment."""
        return await pass_on(orchestrator, "GET", f"/v1/sessions/{session}/envs/{env_id}")


def add_reset_route(
    app: FastAPI, learner: Upstream, orchestrator: Upstream, run: LearnerFeed, fleet: FleetFeed
) -> None:
    """Add the reset of an environment: by the learner where it trains, which journals it."""

    @app.post("/api/v1/sessions/{session}/envs/{env_id}/reset", tags=["steering"])
    async def reset(session: int, env_id: int) -> Response:
        """End one environment's episode with its next step; its run's journal knows of it."""
        # As of now: a learner may just have opened the session.
        await asyncio.gather(run.fresh(0.0), fleet.fresh(0.0))
        if session == training_session(run.run_name, fleet.sessions):
            body = json.dumps({"kind": "reset_env", "env_id": env_id}).encode()
            answer = await pass_on(learner, "POST", "/v1/run/commands", body)
            run.poke()
            return answer
        if session in learners_sessions(fleet.sessions):
            # Nobody would journal it, and the run were no function of its journal any more.
            detail = f"what a run becomes depends on session {session}: nothing is reset there"
            return JSONResponse({"detail": detail}, CONFLICT)
        path = f"/v1/sessions/{session}/envs/{env_id}/reset"
        return await pass_on(orchestrator, "POST", path)


async def pass_on(
    upstream: Upstream,
    method: str,
    path: str,
    body: bytes | None = None,
    timeout_s: float | None = None,
) -> Response:
    """Return the answer of a service as it came, or 502 and why there is none."""
    try:
        answer = await upstream.ask(method, path, body, timeout_s)
    except Unreachable as error:
        return JSONResponse({"detail": str(error)}, BAD_GATEWAY)
    return Response(answer.body, answer.status, media_type="application/json")
