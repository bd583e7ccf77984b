"""What the entries of a run's journal mean to a later life of it.

An entry counts the updates done when it took effect. A life that begins at a checkpoint does again
what came after it: entries beyond the checkpoint's position take effect at the same updates.
"""

from collections.abc import Sequence

from websim_learner.records import JournalEntry

REPLAYED = frozenset(
    {"set_reward", "goal_asked", "goal", "ask", "candidates", "adopt", "rollback", "approve"}
    | {"goal_refused", "measure_failed", "reject", "adapt_mode", "knobs", "set_num_envs"}
    | {"set_task", "reset_env", "trial", "put_off"}
)
"""Kinds of entries that take effect again where they did."""

LIVES = ("start", "resume")
"""Kinds of entries of which each life of a run writes one."""


def is_stopped(journal: Sequence[JournalEntry]) -> bool:
    """Return whether a run was told to end, and nobody has taken that back since."""
    return _stop(journal) is not None


def to_replay(journal: Sequence[JournalEntry], position: int) -> list[JournalEntry]:
    """Return the entries that take effect again, in the order in which they do.

    A life that catches up may add entries of updates that others ahead of it are past.

    Args:
        journal: all entries.
        position: how many had taken effect when the checkpoint was taken.
    """
    rewards = [entry for entry in journal[position:] if entry.kind in REPLAYED]
    # A checkpoint is taken when a run was stopped, before it is evaluated: its end may be missing.
    stop = _stop(journal)
    entries = rewards if stop is None else [*rewards, stop]
    return sorted(entries, key=lambda entry: entry.update)


def _stop(journal: Sequence[JournalEntry]) -> JournalEntry | None:
    stop = None
    for entry in journal:
        if entry.kind == "stop":
            stop = entry
        elif entry.values.get("goes_on"):
            stop = None
    return stop
