"""What a second sim worker gains: `python tests/bench/bench_workers.py`; docs/scaling.md.

Two fleets, of one worker and of two, each with a session of its own, are driven in turn by
send/recv with random actions. Told is the ratio of their speeds, round by round.
"""

import argparse
import statistics
from contextlib import ExitStack
from functools import partial

from fleet import PrivateFleet, SendRecvTier
from interleave import Plan, interleave, kept, measure
from machine import describe_machine

from websim.client import DEFAULT_NUM_ENVS
from websim.local.fleet import available_cores

PLAN = Plan(rounds=9, block_s=4.0, short_block_s=4.0, warm_up_s=3.0, max_attempts=3)
FLEETS = (1, 2)


class WorkersTier(SendRecvTier):
    """A fleet of so many workers."""

    def __init__(self, fleet: PrivateFleet, workers: int) -> None:
        super().__init__(fleet.sessions[0])
        self.key = f"workers_{workers}"


def main() -> None:
    """Print each task's speeds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", nargs="+", default=["HalfCheetah-v5", "Humanoid-v5"])
    parser.add_argument("--num-envs", type=int, default=DEFAULT_NUM_ENVS)
    options = parser.parse_args()
    print(describe_machine(available_cores()))
    for task in options.task:
        with ExitStack() as stack:
            tiers = [
                WorkersTier(stack.enter_context(PrivateFleet(task, options.num_envs, n, 0)), n)
                for n in FLEETS
            ]
            blocks, failed = interleave(tiers, PLAN, partial(measure, cores=available_cores()))
        if failed:
            raise SystemExit(f"not measured: {failed}")
        speeds = {
            tier.key: [b.steps_per_s for b in kept(blocks) if b.subject == tier.key]
            for tier in tiers
        }
        one, two = speeds.values()
        ratios = [b / a for a, b in zip(one, two, strict=True)]
        print(
            f"{task}: {statistics.median(one):,.0f} steps/s with 1 worker, "
            f"{statistics.median(two):,.0f} with 2: "
            f"{statistics.median(ratios):.2f} times ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
