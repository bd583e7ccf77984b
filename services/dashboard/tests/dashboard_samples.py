"""What learner and orchestrator answer: shapes as their own API has them, numbers chosen here."""

import msgspec
import numpy as np

from websim.wire.codec import Decoder, describe, encode
from websim.wire.messages import Figures, Pose, Telemetry


def make_run(**overrides):
    return {
        "run_id": "r1",
        "run_dir": "/runs/r1",
        "task": "HalfCheetah-v5",
        "algo": "ppo",
        "seed": 0,
        "num_envs": 64,
        "state": "running",
        "reason": "",
        "update": 3,
        "env_steps": 3000,
        "total_steps": 9000,
        "wall_s": 1.5,
        "steps_per_s": 2000.0,
        "return_mean": 12.5,
        "length_mean": 1000.0,
        "fitness_mean": 0.5,
        "success_mean": None,
        "improvement_per_million": None,
        "reward_mean": 0.1,
        "reward_id": "task",
        "branches": 1,
        "evaluation": None,
        "time_split": {"physics": 0.5, "inference": 0.125, "update": 0.25, "evaluation": 0.125},
        "adapting": "",
        "fleet": "",
        "speed": 1.0,
        "real_time_factor": 0.75,
    } | overrides


def make_goal(**overrides):
    return {
        "goal": {"n": 0, "description": "run", "kind": "task", "unit": ""},
        "mode": "auto",
        "reached": False,
        "pending": [],
        "adapting": "",
        "banner": "",
        "difficulty": 0.25,
        "knobs": {"gravity": [0.9, 1.1]},
    } | overrides


def make_metrics(n, update=None, **overrides):
    """A metrics record as the learner's event stream has it."""
    update = n if update is None else update
    return {
        "kind": "metrics",
        "n": n,
        "update": update,
        "env_steps": 1000 * update,
        "time_unix_s": 1.7e9 + n,
        "branch": 0,
        "return_mean": 10.0 * update,
        "policy_loss": -0.5,
        "success_mean": None,
        "reward_id": "task",
        "component_shares": {"forward": 0.75, "control": 0.25},
    } | overrides


def make_state(n, state, **overrides):
    record = {"kind": "state", "n": n, "update": n, "env_steps": 1000 * n, "time_unix_s": 1.7e9}
    return record | {"state": state, "reason": ""} | overrides


def make_trial(n, steps, contender="control", **overrides):
    """A point of a trial's curves as the learner's event stream has it."""
    record = {"kind": "trial", "n": n, "update": 6, "env_steps": 6000, "time_unix_s": 1.7e9}
    point = {"adaptation": 1, "contender": contender, "trial_env_steps": steps}
    return record | point | {"return_mean": 2.0 * steps, "fitness_mean": None} | overrides


def make_worker(worker_id=1, **overrides):
    return {
        "worker_id": worker_id,
        "pid": 1000 + worker_id,
        "host": "here",
        "nthread": 1,
        "http_url": "http://127.0.0.1:1",
        "draining": False,
        "shards": 4,
        "num_envs": 32,
        "env_steps": 100,
        "busy_s": 1.0,
        "last_seen_s_ago": 0.1,
    } | overrides


def make_session(session=1, **overrides):
    rest = {"label": "training r1", "task": "HalfCheetah-v5", "num_envs": 64, "opened": True}
    return {"session": session, **rest} | overrides


TASK = {
    "id": "HalfCheetah-v5",
    "description": "run",
    "fields": [
        {"name": "x_velocity", "columns": 0, "unit": "m/s", "description": ""},
        {"name": "obs", "columns": 17, "unit": "", "description": ""},
    ],
    "action_dim": 6,
    "action_names": list("abcdef"),
    "reward_source": "",
    "reward_components": ["forward", "control"],
    "fitness_unit": "m/s",
    "fitness_description": "",
    "has_success": False,
    "dt_s": 0.05,
    "max_episode_steps": 1000,
    "knobs": [],
}


def _travel(message, arrays):
    """Return what arrives of a message: encoded and decoded as on the wire."""
    specs, frames = describe(arrays)
    whole = encode(msgspec.structs.replace(message, arrays=specs), frames)
    return Decoder(Telemetry).decode([bytes(frame) for frame in whole])


def make_figures(shard=0, first_env_id=0, n=2, k=3, session=7, t=1, fill=0):
    points = (np.arange(n * k * 2).reshape(n, k, 2) + fill).astype("<i2")
    message = Figures(
        session=session, shard=shard, epoch=1, t=t, first_env_id=first_env_id, scale_m=0.001
    )
    arrays = {
        "points": points,
        "root_x": np.arange(n, dtype="<f4") + first_env_id,
        "episode_return": np.full(n, 1.5 + fill, "<f4"),
        "episode_length": np.full(n, 9, "<i4"),
        "outcome": np.full(n, 2, "|u1"),
    }
    return _travel(message, arrays)


def make_pose(env_id=5, session=7, g=2, c=1, **more):
    message = Pose(session=session, shard=0, epoch=1, t=1, env_id=env_id, time_s=0.5)
    arrays = {
        "geom_xpos": np.arange(g * 3, dtype="<f4").reshape(g, 3),
        "geom_xquat": np.ones((g, 4), "<f4"),
        "contacts": np.full((c, 4), 2.5, "<f4"),
        **{name: np.asarray(value, "<f8") for name, value in more.items()},
    }
    return _travel(message, arrays)
