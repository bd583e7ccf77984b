"""What tests of several lives or stages of a run share: kills, commands, and what is compared."""

import json

from websim_learner.control import SetNumEnvs, SetTask

STEPS = 24 * 8

LAZY = "def reward(state, action):\n    return -np.sum(np.square(action), axis=1)\n"
FAST = "def reward(state, action):\n    return state.velocity[:, 0]\n"
RIGHT = "def reward(state, action):\n    return 2.0 + 4.0 * state.x\n"
CENTRE = "def reward(state, action):\n    return 2.0 - np.abs(state.x)\n"

TIMES = {
    "n", "time_unix_s", "wall_s", "steps_per_s", "physics_s", "inference_s", "update_s",
    "evaluation_s",
}  # fmt: skip
"""What may differ between rows of metrics.jsonl of two runs that are the same."""


class Killed(BaseException):
    """Stands for a kill: nothing in the code may catch it."""


def die(harness):
    raise Killed


def envs(num_envs):
    return SetNumEnvs(kind="set_num_envs", num_envs=num_envs)


def task(name, num_envs=None):
    return SetTask(kind="set_task", task=name, num_envs=num_envs)


def sends(command):
    return lambda harness: harness.send(command)


def unless_done(command):
    """Send a command where an earlier life has not: a person does it once."""

    def send(harness):
        here = [e.kind for e in harness.run_dir.journal() if e.update == harness.branch.updates]
        if command.kind not in here:
            harness.send(command)

    return send


def rows(harness):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in harness.metrics()]


def kinds(harness):
    return [entry.kind for entry in harness.run_dir.journal()]


def logged(h, kind):
    """Return what the rows of a kind in a run's log of adaptations hold."""
    lines = (h.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    return [row["values"] for row in map(json.loads, lines) if row["kind"] == kind]
