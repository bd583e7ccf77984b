"""Blocks of updates of a training run under way, timed by the run's own clock."""

import time

from websim.local.learner_api import LearnerApi

BLOCK_UPDATES = 4
BLOCK_DEADLINE_S = 120.0


def last_record(api: LearnerApi) -> int:
    """Return the number of the newest record."""
    after = 0
    while records := api.events(after):
        after = records[-1]["n"]
    return after


def block_s(
    api: LearnerApi, first: int, *, after: int | None = None, updates: int = BLOCK_UPDATES
) -> float:
    """Return the mean duration of the updates that follow one.

    Args:
        api: of the run.
        first: the update at whose end the block begins.
        after: the number of a record before that; None where it is still to come.
        updates: of the block.
    """
    after, walls = last_record(api) if after is None else after, dict[int, float]()
    give_up_s = time.monotonic() + BLOCK_DEADLINE_S
    while len(walls) <= updates:
        assert time.monotonic() < give_up_s, f"no {updates} updates in {BLOCK_DEADLINE_S:g} s"
        for record in api.events(after):
            after = record["n"]
            if record["kind"] == "metrics" and record["update"] >= first:
                walls[record["update"]] = record["wall_s"]
        time.sleep(0.02)
    begin, *_, end = sorted(walls)[: updates + 1]
    return (walls[end] - walls[begin]) / updates
