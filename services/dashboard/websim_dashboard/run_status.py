"""What the learner says of its run, as far as ours is made of it; pure."""

from collections.abc import Mapping
from typing import Any

from websim_dashboard.messages import Status, TimeSplit

RunStatus = Mapping[str, Any]
"""Body of the learner's `GET /v1/run`."""

COPIED = (
    "task", "algo", "seed", "reason", "update", "env_steps", "total_steps", "wall_s",
    "steps_per_s", "return_mean", "length_mean", "fitness_mean", "success_mean", "num_envs",
    "others", "branches", "reward_id", "adapting", "speed", "real_time_factor",
)  # fmt: skip
"""What the learner's status and ours have in common; a learner may lack some."""


def copied(run: RunStatus) -> dict[str, Any]:
    """Return what both have in common."""
    return {name: run[name] for name in COPIED if name in run}


def key_of(run: RunStatus) -> str:
    """Return what a run is known by.

    Its directory may have had another run before, and a copy of it has the same UUID; a run that
    was begun without one is known by its directory.
    """
    return f"{run['run_dir']} {run.get('run_uuid', '')}".rstrip()


def check_run(run: RunStatus) -> None:
    """See to it that a status can be made of what a learner says.

    Raises:
        KeyError, TypeError, ValueError: it cannot.
    """
    Status(**copied(run), time_split=TimeSplit(**run["time_split"]))
    for name in ("run_id", "run_dir", "state"):
        if not isinstance(run[name], str):
            raise TypeError(f"{name} is no string")
