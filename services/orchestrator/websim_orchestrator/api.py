"""HTTP for people: the workers, the sessions, one environment's state, and its reset."""

from concurrent.futures import Future
from typing import TypeVar

import numpy as np
from fastapi import FastAPI, HTTPException
from numpy.typing import NDArray
from pydantic import BaseModel

from websim.wire import lifecycle
from websim.wire.codec import Array, Envelope
from websim.wire.messages import EnvState, Message
from websim_orchestrator.brain import Brain
from websim_orchestrator.events import EnvResetAsked, SceneAsked, StateAsked
from websim_orchestrator.fleet import Quarantine
from websim_orchestrator.runtime import Runtime, TooManyQuestions
from websim_orchestrator.scene_view import SceneView, view_scene
from websim_orchestrator.task_view import TaskSummaryView, TaskView, view_task, view_tasks

ANSWER_DEADLINE_S = lifecycle.PERSON_DEADLINE_S + 2.0
"""How long an HTTP question waits: the brain, which knows why there is no answer, says so first."""

T = TypeVar("T")


class WorkerView(BaseModel):
    """A sim worker."""

    worker_id: int
    pid: int
    host: str
    nthread: int
    http_url: str
    package_version: str
    mujoco_version: str
    draining: bool
    shards: int
    num_envs: int
    env_steps: int
    busy_s: float
    last_seen_s_ago: float


class QuarantineView(BaseModel):
    """A step that was not simulated because it ended one worker after another."""

    first_env_id: int
    num_envs: int
    t: int
    evidence: list[str]
    """How each worker ended."""


class SessionView(BaseModel):
    """A session; the means are over the environments' last ended episodes, null before any."""

    session: int
    label: str
    task: str
    num_envs: int
    shards: int
    shards_placed: int
    seed: int
    opened: bool
    env_steps: int
    episodes: int
    return_mean: float | None
    length_mean: float | None
    fitness_mean: float | None
    success_rate: float | None
    quarantines: list[QuarantineView]


class EnvView(BaseModel):
    """One environment, now."""

    session: int
    env_id: int
    time_s: float
    qpos: list[float | None]
    qvel: list[float | None]
    fields: dict[str, float | list[float | None] | None]
    episode_return: float | None
    episode_length: int
    episodes: int
    last_return: float | None
    last_length: int | None


class ResetView(BaseModel):
    """What was done."""

    session: int
    env_id: int
    effect: str = "the environment is truncated and reset at its next step"


def add_fleet_routes(app: FastAPI, runtime: Runtime) -> None:
    """Add /v1/workers and /v1/sessions to the application."""

    @app.get("/v1/workers", tags=["fleet"])
    def workers() -> list[WorkerView]:
        """List the registered sim workers."""
        return _wait(runtime.read(_view_workers))

    @app.get("/v1/sessions", tags=["fleet"])
    def sessions() -> list[SessionView]:
        """List the sessions with statistics of their episodes."""
        return _wait(runtime.read(_view_sessions))

    @app.get("/v1/sessions/{session}", tags=["fleet"])
    def session_(session: int) -> SessionView:
        """Show one session."""
        for view in _wait(runtime.read(_view_sessions)):
            if view.session == session:
                return view
        raise HTTPException(404, f"there is no session {session}")

    @app.get("/v1/tasks", tags=["fleet"])
    def tasks() -> list[TaskSummaryView]:
        """List the tasks that every worker has by name."""
        return _wait(runtime.read(view_tasks))

    @app.get("/v1/sessions/{session}/task", tags=["fleet"])
    def task(session: int) -> TaskView:
        """Show the task of a session: its fields with their units, its knobs, its own reward."""
        return _wait(runtime.read(lambda brain: view_task(brain, session)))

    @app.get("/v1/sessions/{session}/envs/{env_id}", tags=["fleet"])
    def env(session: int, env_id: int) -> EnvView:
        """Show one environment: time, qpos, qvel, fields, return so far."""
        envelope = _wait(
            runtime.ask(lambda now_s, token: StateAsked(now_s, token, session, env_id))
        )
        return _view_env(runtime, session, env_id, envelope)

    @app.get("/v1/sessions/{session}/scene", tags=["fleet"])
    def scene(session: int) -> SceneView:
        """Show how a session's environments are drawn: what telemetry moves. Never changes."""
        envelope = _wait(runtime.ask(lambda now_s, token: SceneAsked(now_s, token, session)))
        return view_scene(envelope)

    @app.post("/v1/sessions/{session}/envs/{env_id}/reset", tags=["fleet"])
    def reset(session: int, env_id: int) -> ResetView:
        """Truncate one environment at its next step, where it is reset.

        504 says whether it will be all the same, when a worker does not answer in time.
        """
        _wait(runtime.ask(lambda now_s, token: EnvResetAsked(now_s, token, session, env_id)))
        return ResetView(session=session, env_id=env_id)


def _wait(future: "Future[T]") -> T:
    try:
        return future.result(ANSWER_DEADLINE_S)
    except LookupError as error:
        raise HTTPException(404, str(error.args[0])) from None
    except TooManyQuestions:
        raise HTTPException(503, "too many questions wait; ask again later") from None
    except TimeoutError as error:
        raise HTTPException(504, str(error) or "the orchestrator did not answer") from None


def _view_workers(brain: Brain) -> list[WorkerView]:
    return [
        WorkerView(
            worker_id=each.worker_id,
            pid=each.pid,
            host=each.host,
            nthread=each.nthread,
            http_url=each.http_url,
            package_version=each.package_version,
            mujoco_version=each.mujoco_version,
            draining=each.draining,
            shards=len(each.shards),
            num_envs=sum(brain.fleet.sessions[s].shards[i].span.num_envs for s, i in each.shards),
            env_steps=each.env_steps,
            busy_s=each.busy_s,
            last_seen_s_ago=brain.fleet.now_s - each.last_seen_s,
        )
        for each in brain.fleet.workers.values()
    ]


def _view_quarantine(quarantine: Quarantine) -> QuarantineView:
    return QuarantineView(
        first_env_id=quarantine.span.first_env_id,
        num_envs=quarantine.span.num_envs,
        t=quarantine.t,
        evidence=list(quarantine.evidence),
    )


def _view_sessions(brain: Brain) -> list[SessionView]:
    views = []
    for each in brain.fleet.sessions.values():
        statistics = each.statistics
        episodes = int(statistics.episodes.sum())
        has_success = each.task is not None and each.task.has_success
        views.append(
            SessionView(
                session=each.session_id,
                label=each.request.label,
                task=each.request.task,
                num_envs=each.request.num_envs,
                shards=len(each.shards),
                shards_placed=sum(shard.worker is not None for shard in each.shards),
                seed=each.request.seed,
                opened=each.opened,
                env_steps=each.env_steps,
                episodes=episodes,
                return_mean=_mean(statistics.last_return),
                length_mean=_mean(statistics.last_length),
                fitness_mean=_mean(statistics.last_fitness),
                success_rate=int(statistics.successes.sum()) / episodes
                if has_success and episodes
                else None,
                quarantines=[_view_quarantine(every) for every in each.quarantines],
            )
        )
    return views


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _number(value: float) -> float | None:
    """JSON knows no NaN or infinity."""
    return value if np.isfinite(value) else None


def _numbers(values: Array) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _view_env(runtime: Runtime, session: int, env_id: int, envelope: Envelope[Message]) -> EnvView:
    state = envelope.message
    if not isinstance(state, EnvState):
        raise HTTPException(502, "the worker answered something else")
    arrays = envelope.arrays()
    vectors = {name: array for name, array in arrays.items() if array.ndim == 1}
    if {"qpos", "qvel"} - vectors.keys() or any(array.ndim > 1 for array in arrays.values()):
        raise HTTPException(502, "the worker's answer has arrays of another shape")

    def last(brain: Brain) -> tuple[int, float, float]:
        statistics = brain.fleet.sessions[session].statistics
        return (
            int(statistics.episodes[env_id]),
            float(statistics.last_return[env_id]),
            float(statistics.last_length[env_id]),
        )

    episodes, last_return, last_length = _wait(runtime.read(last))
    fields: dict[str, float | list[float | None] | None] = {}
    for name, array in arrays.items():
        if name.startswith("field:"):
            fields[name[6:]] = _numbers(array) if array.ndim else _number(float(array))
    return EnvView(
        session=session,
        env_id=env_id,
        time_s=state.time_s,
        qpos=_numbers(vectors["qpos"]),
        qvel=_numbers(vectors["qvel"]),
        fields=fields,
        episode_return=_number(state.episode_return),
        episode_length=state.episode_length,
        episodes=episodes,
        last_return=_number(last_return),
        last_length=int(last_length) if np.isfinite(last_length) else None,
    )
