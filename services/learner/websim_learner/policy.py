"""A run's policy as it was checkpointed: for evaluation, export and films, without a trainer."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from websim.service.errors import UserError
from websim.service.logs import get_logger
from websim.wire.messages import TaskInfo
from websim_learner.algorithms.ppo import PPO
from websim_learner.algorithms.state import unprefixed
from websim_learner.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    checkpoint_paths,
    kept_paths,
    newest_checkpoint,
    read_checkpoint,
)
from websim_learner.run_dir import RunConfig, RunDir
from websim_learner.stages import stage_of

log = get_logger("websim_learner")


@dataclass(frozen=True)
class TrainedPolicy:
    """A policy and where it comes from."""

    config: RunConfig
    """With the task, the envs and the settings that it was trained with last."""
    task: TaskInfo
    checkpoint: str
    """Name of the checkpoint it was read from."""
    env_steps: int
    """Training env steps it has learned from."""
    algorithm: PPO


def load_policy(path: Path, checkpoint: str | None = None) -> TrainedPolicy:
    """Read a run's policy.

    Args:
        path: the run's directory.
        checkpoint: name of a checkpoint; the newest that verifies when None.

    Raises:
        UserError: there is no such run or no checkpoint that verifies.
    """
    run_dir = RunDir(path)
    config, task = run_dir.read_config()
    found = _find(run_dir, checkpoint)
    stage = stage_of(found, config)
    config, counters = stage.applied_to(config), found.counters["branches"][0]
    if (kept := found.counters.get("task_info")) is not None:
        task = msgspec.convert(kept, TaskInfo)
    algorithm = PPO(config.ppo, task.obs_dim, task.action_dim, config.num_envs, config.seed, "cpu")
    algorithm.load(unprefixed(f"branch-{stage.branch}", found.arrays), counters["updates"])
    return TrainedPolicy(config, task, found.name, counters["env_steps"], algorithm)


def _find(run_dir: RunDir, name: str | None) -> Checkpoint:
    if name is None:
        newest = newest_checkpoint(run_dir.checkpoints, log.warning)
        if newest is None:
            raise UserError(
                f"{run_dir.path} has no checkpoint that can be used",
                "A run writes its first one after some updates; let it train a little.",
            )
        return newest
    try:
        return read_checkpoint(run_dir.checkpoints / name)
    except DamagedCheckpoint as damage:
        paths = [*checkpoint_paths(run_dir.checkpoints), *kept_paths(run_dir.checkpoints)]
        known = ", ".join(path.name for path in paths)
        raise UserError(
            f"checkpoint {name} cannot be used: {damage}", f"There are: {known or 'none'}."
        ) from None
