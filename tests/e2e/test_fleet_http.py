"""What people ask the orchestrator and the workers over HTTP, on a real fleet."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
        return json.loads(text) if "json" in response.headers["content-type"] else text


def post(url: str) -> object:
    request = urllib.request.Request(url, method="POST")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def session_of(fleet, env) -> int:
    views = get(f"{fleet.http_url}/v1/sessions")
    return max(view["session"] for view in views)


def test_workers_are_listed_with_their_own_addresses(fleet):
    workers = get(f"{fleet.http_url}/v1/workers")
    assert len(workers) == 2
    for worker in workers:
        assert get(f"{worker['http_url']}/healthz") == "ok\n"
        assert get(f"{worker['http_url']}/readyz") == "ready\n"


def test_a_sessions_episodes_are_counted(fleet, make_env):
    env = make_env(num_envs=40, label="mine")
    env.reset(seed=0)
    env.reset_env(3)
    env.step(np.zeros((40, 6), np.float32))
    view = get(f"{fleet.http_url}/v1/sessions/{session_of(fleet, env)}")
    assert (view["label"], view["task"], view["num_envs"]) == ("mine", "HalfCheetah-v5", 40)
    assert (view["env_steps"], view["episodes"], view["length_mean"]) == (40, 1, 1.0)


def test_one_environments_state_is_shown_and_reset(fleet, make_env):
    env = make_env(num_envs=40, obs_dtype="float64")
    env.reset(seed=0)
    env.set_state(35, np.full(9, 0.125), np.zeros(9))
    url = f"{fleet.http_url}/v1/sessions/{session_of(fleet, env)}/envs/35"
    state = get(url)
    assert state["qpos"] == [0.125] * 9
    assert state["qvel"] == [0.0] * 9
    assert (state["time_s"], state["episode_length"], state["episodes"]) == (0.0, 0, 0)
    assert len(state["fields"]["obs"]) == 17
    assert post(f"{url}/reset")["effect"].startswith("the environment is truncated")
    _, _, _, truncated, _ = env.step(np.zeros((40, 6), np.float32))
    assert list(np.flatnonzero(truncated)) == [35]
    assert get(url)["episodes"] == 1


def test_tasks_are_listed_with_their_words(fleet):
    tasks = {task["name"]: task["description"] for task in get(f"{fleet.http_url}/v1/tasks")}
    assert len(tasks) >= 14
    assert tasks["InvertedPendulum-v5"] == "A cart keeps the pole on top of it upright."


def test_a_sessions_task_is_shown_with_what_rewards_may_read(fleet, make_env):
    env = make_env(num_envs=40)
    view = get(f"{fleet.http_url}/v1/sessions/{session_of(fleet, env)}/task")
    assert (view["id"], view["action_dim"], view["fitness_unit"]) == ("HalfCheetah-v5", 6, "m/s")
    fields = {field["name"]: field for field in view["fields"]}
    assert fields["x_velocity"]["unit"] == "m/s"
    assert fields["obs"]["columns"] == 17
    assert {"name", "nominal", "low", "high"} <= set(view["knobs"][0])


def test_the_scene_of_a_session_is_its_tasks(fleet, make_env):
    env = make_env(num_envs=40)
    scene = get(f"{fleet.http_url}/v1/sessions/{session_of(fleet, env)}/scene")
    assert (scene["task"], scene["plane"], scene["ground_z_m"]) == ("HalfCheetah-v5", "xz", 0.0)
    assert [geom["type"] for geom in scene["geoms"]] == ["plane"] + ["capsule"] * 8
    assert len(scene["bones"]) == len(scene["bone_radii_m"]) == 8
    assert scene["content_sha256"] == env.task.content_sha256


MISSING = ["sessions/9999", *(f"sessions/9999/{what}" for what in ("envs/0", "task", "scene"))]


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_is_404_in_words(fleet, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"{fleet.http_url}/v1/{path}")
    assert caught.value.code == 404
    assert "there is no session 9999" in caught.value.read().decode()


def test_metrics_are_prometheus_text_and_move(fleet, make_env):
    def read(url: str) -> dict[str, float]:
        families = text_string_to_metric_families(get(f"{url}/metrics"))
        return {
            sample.name: sample.value
            for family in families
            for sample in family.samples
            if not sample.labels
        }

    env = make_env(num_envs=64)
    env.reset(seed=0)
    worker = get(f"{fleet.http_url}/v1/workers")[0]["http_url"]
    before = read(worker)["websim_sim_worker_env_steps_total"]
    for _ in range(3):
        env.step(np.zeros((64, 6), np.float32))
    assert read(worker)["websim_sim_worker_env_steps_total"] >= before + 3 * 32
    readings = read(fleet.http_url)
    assert readings["websim_orchestrator_workers"] == 2
    assert readings["websim_orchestrator_shards_waiting"] == 0
