"""Blocks of updates of a training run under way, timed by the run's own clock."""

import time
from typing import Any, NamedTuple

from websim.local.learner_api import LearnerApi

BLOCK_UPDATES = 4
BLOCK_DEADLINE_S = 120.0


def last_record(api: LearnerApi) -> int:
    """Return the number of the newest record."""
    after = 0
    while records := api.events(after):
        after = records[-1]["n"]
    return after


class Block(NamedTuple):
    """Means over the updates of a block."""

    update_s: float
    """All of an update: collecting its steps and learning from them."""
    physics_s: float
    """Of that, waiting for the fleet."""


def block_s(
    api: LearnerApi, first: int, *, after: int | None = None, updates: int = BLOCK_UPDATES
) -> float:
    """Return the mean duration of the updates that follow one; see `block_of`."""
    return block_of(api, first, after=after, updates=updates).update_s


def block_of(
    api: LearnerApi, first: int, *, after: int | None = None, updates: int = BLOCK_UPDATES
) -> Block:
    """Return how long the updates that follow one take.

    Args:
        api: of the run.
        first: the update at whose end the block begins.
        after: the number of a record before that; None where it is still to come.
        updates: of the block.
    """
    after = last_record(api) if after is None else after
    told = dict[int, dict[str, Any]]()
    give_up_s = time.monotonic() + BLOCK_DEADLINE_S
    while len(told) <= updates:
        assert time.monotonic() < give_up_s, f"no {updates} updates in {BLOCK_DEADLINE_S:g} s"
        for record in api.events(after):
            after = record["n"]
            if record["kind"] == "metrics" and record["update"] >= first:
                told[record["update"]] = record
        time.sleep(0.02)
    begin, *rest = sorted(told)[: updates + 1]
    return Block(
        (told[rest[-1]]["wall_s"] - told[begin]["wall_s"]) / updates,
        sum(told[update]["physics_s"] for update in rest) / updates,
    )
