"""What the tests of reward-gen share: tasks, requests, and answers of a model."""

import functools
import json
import subprocess
import sys

from pydantic import SecretStr

from websim_reward_gen.bodies import RewardRequest, TaskBody
from websim_reward_gen.claude.client import ClaudeClient
from websim_reward_gen.prices import PRICES
from websim_reward_gen.settings import RewardGenSettings

KEY = "sk-canary-0123456789"
MODEL = "claude-haiku-5-5"

FIELDS = (
    ("x_position", 0, "m"),
    ("x_velocity", 0, "m/s"),
    ("torso_height", 0, "m"),
    ("pitch", 0, "rad"),
    ("pitch_velocity", 0, "rad/s"),
    ("joint_velocities", 6, "rad/s"),
    ("healthy", 0, ""),
    ("obs", 17, ""),
    ("previous_obs", 17, ""),
    ("previous_action", 6, ""),
    ("time_s", 0, "s"),
)

GOOD = """\
def reward(state, action):
    speed_weight = 1.0
    effort_weight = 0.1
    speed = speed_weight * state.x_velocity
    effort = -effort_weight * np.mean(np.square(action), axis=1)
    return speed + effort, {"speed": speed, "effort": effort}
"""
ALSO_GOOD = GOOD.replace("0.1", "0.2")
BROKEN = "def reward(state, action):\n    return state.velocity\n"
HACKABLE = "def reward(state, action):\n    return np.where(state.healthy > 0.5, 1.0, 0.0)\n"


def make_task(**overrides):
    body = {
        "id": "Runner-v0",
        "description": "A planar runner.",
        "action_low": [-1.0] * 6,
        "action_high": [1.0] * 6,
        "dt_s": 0.05,
        "max_episode_steps": 1000,
        "fields": [{"name": n, "columns": c, "unit": u} for n, c, u in FIELDS],
        "fitness_unit": "m/s",
        "fitness_description": "net forward displacement of the episode",
    }
    return TaskBody.model_validate(body | overrides)


def make_request(**overrides):
    body = {"task": make_task(), "description": "run forward", "num_candidates": 2, "run": "r1"}
    return RewardRequest.model_validate(body | overrides)


def written(name, program=GOOD, **overrides):
    """A candidate as a model writes it."""
    return {
        "name": name,
        "hypothesis": "it may work",
        "expected_failure": "none",
        "program": program,
        "weights": [],
    } | overrides


def answer_text(*candidates, **overrides):
    """The text of a model's answer."""
    body = {
        "diagnosis": "slow",
        "action": "new_reward",
        "candidates": list(candidates),
        "env_changes": [],
        "not_understood": [],
    }
    return json.dumps(body | overrides)


def make_client(api, ledger, **overrides):
    """A client of the fake API."""
    values = {
        "base_url": api.url,
        "model": MODEL,
        "attempt_timeout_s": 5.0,
        "deadline_s": 20.0,
        "max_output_tokens": 2000,
    } | overrides
    settings = RewardGenSettings.model_construct(
        **{name: info.default for name, info in RewardGenSettings.model_fields.items()} | values
    )
    return ClaudeClient(settings, SecretStr(KEY), PRICES[MODEL], ledger)


@functools.cache
def bundled_tasks():
    """The tasks that the sim worker brings, as it describes them."""
    told = subprocess.run(
        [sys.executable, "-m", "websim_sim_worker", "tasks", "--json"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return {task["id"]: TaskBody.model_validate(task) for task in json.loads(told.stdout)}
