"""The messages by which a worker answers, made from what its shards return."""

import numpy as np

from websim.service.logs import get_logger
from websim.wire.codec import Array
from websim.wire.messages import (
    AssignShard,
    KeepShard,
    Rejected,
    Reset,
    ResetEnv,
    RestoreShard,
    SetKnobs,
    SetState,
    ShardFailed,
    ShardReady,
    Step,
    TaskInfo,
)
from websim_sim_worker.results import ShardStep

log = get_logger("websim_sim_worker")

Command = Step | Reset | SetState | ResetEnv | SetKnobs | RestoreShard


def ready(message: AssignShard | KeepShard, epoch: int, task: TaskInfo) -> ShardReady:
    """A shard is there, under this epoch."""
    return ShardReady(session=message.session, shard=message.shard, epoch=epoch, task=task)


def failed(message: AssignShard | Command, code: str, error: Exception) -> ShardFailed:
    """A shard could not be built, or did not survive a command."""
    why = str(error)
    log.error("shard failed", session=message.session, shard=message.shard, why=why[:500])
    return ShardFailed(
        session=message.session,
        shard=message.shard,
        epoch=message.epoch,
        code=code,
        message=why[:2000],
    )


def rejected(command: Command, error: Exception) -> Rejected:
    """A command was not carried out and changed nothing."""
    return Rejected(
        session=command.session,
        shard=command.shard,
        epoch=command.epoch,
        seq=command.seq,
        t=command.t,
        code="bad_command",
        message=str(error)[:2000],
    )


def step_arrays(step: ShardStep) -> dict[str, Array]:
    """The arrays of a Stepped; what is empty does not travel."""
    arrays: dict[str, Array] = {
        "obs": step.obs,
        "reward": step.reward,
        "terminated": step.terminated,
        "truncated": step.truncated,
    }
    if step.invalid.any():
        arrays["invalid"] = step.invalid
    if len(step.ended):
        arrays["ended"] = step.ended
        arrays["final_obs"] = step.final_obs
        columns = (
            step.episode_return,
            step.episode_length,
            step.episode_fitness,
            step.episode_success,
        )
        arrays["episode"] = np.stack(columns, axis=1, dtype=np.float64)
    for name, value in step.fields.items():
        arrays[f"field:{name}"] = value
    return arrays
