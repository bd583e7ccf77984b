"""Well-formed messages that say nonsense: refused or ignored, and nobody else notices."""

from concurrent.futures import Future

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from scripted_fleet import Fleet, make_fleet, step, to_clients, to_workers

from websim.tasks.assets import MAX_ASSETS
from websim.wire.codec import Envelope, describe
from websim.wire.messages import ArraySpec, EnvState, OpenSession, Stepped
from websim_orchestrator.api import add_fleet_routes
from websim_orchestrator.checks import MAX_TASK_FILES


@pytest.mark.parametrize(
    "ended",
    [np.array(1, np.int32), np.zeros((1, 1), np.int32), np.zeros(1), np.array([32], np.int32)],
    ids=["no dimension", "two dimensions", "float", "beyond the shard"],
)
def test_ended_episodes_of_another_shape_are_not_counted(ended):
    fleet = make_fleet(workers=1, num_envs=32)
    [(_, command)] = to_workers(fleet.client(*step(0, 2)))
    specs, frames = describe({"ended": ended, "episode": np.zeros((1, 4))})
    answer = Stepped(session=1, shard=0, epoch=1, seq=command.seq, t=2, arrays=specs)
    told = to_clients(fleet.worker("a", answer, tuple(frame.tobytes() for frame in frames)))
    assert told == [answer]
    assert not fleet.brain.fleet.sessions[1].statistics.episodes.any()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"num_envs": 1 << 62}, "num_envs is"),
        ({"num_envs": 1 << 20, "shard_envs": 1}, "shard_envs is 1"),
        ({"num_envs": 64, "shard_envs": -1}, "shard_envs is -1"),
        ({"arrays": (ArraySpec("snapshot:state", "<f8", (1,)),)}, "no file of a task"),
    ],
)
def test_a_session_of_absurd_numbers_is_refused_before_anything_is_made_of_them(changes, problem):
    request = {"request": 1, "task": "Test-v0", "num_envs": 1, "seed": 0} | changes
    [refusal] = to_clients(Fleet().client(OpenSession(**request)))
    assert refusal.code == "bad_session"
    assert problem in refusal.message


@pytest.mark.parametrize(
    "arrays",
    [
        {"qpos": np.zeros(2)},
        {"qpos": np.array(0.0), "qvel": np.zeros(2)},
        {"qpos": np.zeros(2), "qvel": np.zeros(2), "field:height": np.zeros((2, 2))},
    ],
)
def test_a_state_of_another_shape_is_the_workers_fault(arrays):
    specs, frames = describe(arrays)
    state = EnvState(
        session=1,
        shard=0,
        epoch=1,
        request=1,
        env_id=0,
        time_s=0.0,
        episode_return=0.0,
        episode_length=0,
        arrays=specs,
    )

    class Answering:
        def ask(self, make: object) -> "Future[Envelope[EnvState]]":
            future: Future[Envelope[EnvState]] = Future()
            future.set_result(Envelope(state, [frame.tobytes() for frame in frames]))
            return future

    app = FastAPI()
    add_fleet_routes(app, Answering())
    assert TestClient(app).get("/v1/sessions/1/envs/0").status_code == 502


def test_a_session_may_bring_as_many_files_as_a_task_may_name():
    assert MAX_TASK_FILES == MAX_ASSETS + 2
