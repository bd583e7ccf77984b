"""How many environments of a task one message can hold: asked before a shard is built."""

from weakref import WeakKeyDictionary

from websim.tasks import TaskError
from websim.wire.codec import MAX_MESSAGE_BYTES
from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.shard import Shard

USUAL_SHARD_ENVS = 256
"""Most environments of a shard whose size nobody chose (docs/architecture.md)."""


_bytes_of_one: WeakKeyDictionary[CompiledTask, dict[str, tuple[int, int]]] = WeakKeyDictionary()
"""Snapshot and answer of a shard of one environment, by obs_dtype; gone with the task."""


def check_room(task: CompiledTask, num_envs: int, obs_dtype: str, files_bytes: int) -> None:
    """Raise TaskError if a shard is too large to be told whole.

    What does not fit would be dropped on its way: a snapshot, without which the shard's log grows
    for ever, or the assignment that brings snapshot and task to another worker.

    Args:
        task: the shard's.
        num_envs: environments of the shard.
        obs_dtype: of its observations.
        files_bytes: size of the task's files, which travel beside a snapshot.
    """
    most = most_envs(task, obs_dtype, files_bytes)
    if num_envs > most:
        raise TaskError(
            f"a shard of {num_envs} environments does not fit into a message",
            where=task.info.id,
            remedy=f"choose shard_envs of at most {most}" if most else "make the model smaller",
        )


def most_envs(task: CompiledTask, obs_dtype: str, files_bytes: int) -> int:
    """Most environments of a shard whose messages are within their bound."""
    known = _bytes_of_one.setdefault(task, {})
    if obs_dtype not in known:
        # Larger shards have no more for each of their environments.
        one = Shard(task, seed=0, first_env_id=0, num_envs=1, obs_dtype=obs_dtype)
        known[obs_dtype] = one.snapshot_bytes, one.answer_bytes
    snapshot_bytes, answer_bytes = known[obs_dtype]
    return min(
        (MAX_MESSAGE_BYTES - files_bytes) // snapshot_bytes, MAX_MESSAGE_BYTES // answer_bytes
    )
