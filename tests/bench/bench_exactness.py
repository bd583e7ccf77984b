"""What exactness costs: snapshots, the fixed tile and the order, each as a share of throughput.

    make bench ARGS="exactness"

All ways are measured in turn in one run, block by block, as docs/benchmarks.md says. A cost is
taken between the blocks of one round; beside it stands the same by CPU time, which hardly depends
on who else uses the machine.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from exactness import NEVER, OrderTier, SnapshotFleet, SnapshotTier, TileTier, WholeTier
from fleet import PrivateFleet, SendRecvTier
from interleave import Block, Plan, interleave, kept, measure
from machine import commit, describe_machine, versions
from subject import Subject
from summary import Spread

from websim.client import DEFAULT_NUM_ENVS
from websim.local.fleet import available_cores
from websim.service.errors import UserError
from websim.service.main import run_service
from websim.wire import lifecycle

CHECKOUT = Path(__file__).resolve().parents[2]

INTERVALS = (16, 64, 256)
"""Commands between two snapshots that are compared with none at all, unless others are named."""

DEFAULT_ROUNDS = 15
DEFAULT_BLOCK_S = 2.0
WARM_UP_S = 2.0
MAX_ATTEMPTS = 3

TARGET = 0.05
"""What the parts may cost together."""


@dataclass(frozen=True)
class Cost:
    """What a part of exactness costs, as shares of throughput: 0.01 is one percent."""

    part: str
    throughput: Spread
    """Over the rounds."""
    cpu: float
    """Of env-steps per CPU-second, over all blocks."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="websim bench exactness", description="Measure what exactness costs, part by part."
    )
    add = parser.add_argument
    add("--task", default="HalfCheetah-v5", help="a task (default HalfCheetah-v5)")
    add("--num-envs", type=int, default=DEFAULT_NUM_ENVS, help="environments (default 1024)")
    add("--workers", type=int, default=available_cores(), help="workers (default: one per core)")
    add(
        "--intervals",
        type=int,
        nargs="+",
        default=INTERVALS,
        metavar="K",
        help="compare a snapshot every K commands with none at all (default 16 64 256)",
    )
    add("--rounds", type=int, default=DEFAULT_ROUNDS, help="blocks of each way")
    add("--block-s", type=float, default=DEFAULT_BLOCK_S, help="seconds of a block")
    add("--seed", type=int, default=0, help="of actions and environments")
    add("--out", type=Path, default=CHECKOUT / "bench", help="where the figures go")
    options = parser.parse_args(argv)
    for name in ("num_envs", "workers", "rounds", "block_s"):
        if getattr(options, name) <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be above 0")
    if min(options.intervals) < 1:
        raise UserError(f"--intervals {min(options.intervals)} must be at least 1")
    options.intervals = sorted({*options.intervals, lifecycle.SNAPSHOT_EVERY})
    return options


def main(argv: Sequence[str]) -> int:
    """Measure, print the costs and write them; return the exit code."""
    options = parse(argv)
    plan = Plan(
        rounds=options.rounds,
        block_s=options.block_s,
        short_block_s=options.block_s,
        warm_up_s=min(WARM_UP_S, options.block_s),
        max_attempts=MAX_ATTEMPTS,
    )
    started = datetime.now().astimezone()
    with ExitStack() as stack:
        subjects = _subjects(stack, options)
        blocks, failed = interleave(subjects, plan, partial(measure, cores=available_cores()))
    if failed:
        raise UserError(f"not measured: {failed}")
    costs = [_cost(part, exact, base, blocks) for part, exact, base in _parts(options.intervals)]
    _print(costs, blocks)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"exactness-{started:%Y%m%d-%H%M%S}.json"
    figures = {
        "started": started.isoformat(timespec="seconds"),
        "machine": asdict(describe_machine(available_cores())),
        "versions": versions(),
        "commit": commit(CHECKOUT),
        "settings": {key: str(value) for key, value in vars(options).items()},
        "costs": [asdict(cost) for cost in costs],
        "blocks": [asdict(block) for block in blocks],
    }
    path.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"wrote {path}")
    return 0


def _subjects(stack: ExitStack, options: argparse.Namespace) -> list[Subject]:
    """Open a fleet for each interval and return all ways; what has no interval is on the usual."""
    subjects: list[Subject] = []
    for every in (*options.intervals, NEVER):
        fleet = stack.enter_context(
            PrivateFleet(
                options.task,
                options.num_envs,
                options.workers,
                options.seed,
                local=SnapshotFleet(options.workers, every),
            )
        )
        session = fleet.sessions[0]
        subjects.append(SnapshotTier(session, every))
        if every == lifecycle.SNAPSHOT_EVERY:
            subjects += [TileTier(session), WholeTier(session), OrderTier(session)]
            subjects.append(SendRecvTier(session))
    return subjects


def _parts(intervals: Sequence[int]) -> list[tuple[str, str, str]]:
    """Return what is compared: name, key of the exact way, key of the way that leaves it out."""
    snapshots = [
        (f"snapshots every {every}", f"snapshots_every_{every}", "snapshots_never")
        for every in intervals
    ]
    return [
        *snapshots,
        ("fixed tile", TileTier.key, WholeTier.key),
        ("order", OrderTier.key, SendRecvTier.key),
    ]


def _cost(part: str, exact: str, base: str, blocks: Sequence[Block]) -> Cost:
    """Return what the exact way loses against the other, round by round."""
    of: dict[str, dict[int, Block]] = {exact: {}, base: {}}
    for block in kept(blocks):
        if block.subject in of:
            of[block.subject][block.round] = block
    shares = [
        1 - of[exact][number].steps_per_s / of[base][number].steps_per_s for number in of[base]
    ]
    return Cost(
        part, Spread.of(shares), 1 - _per_cpu_s(of[exact].values()) / _per_cpu_s(of[base].values())
    )


def _per_cpu_s(blocks: Iterable[Block]) -> float:
    blocks = list(blocks)
    return sum(block.all_env_steps for block in blocks) / sum(block.cpu_s for block in blocks)


def _print(costs: Sequence[Cost], blocks: Sequence[Block]) -> None:
    print(f"{'part':<22} {'throughput':>10} {'low..high':>18} {'CPU':>8}")
    for cost in costs:
        spread = cost.throughput
        low_high = f"{spread.low:.1%}..{spread.high:.1%}"
        print(f"{cost.part:<22} {spread.median:>10.1%} {low_high:>18} {cost.cpu:>8.1%}")
    usual = {f"snapshots every {lifecycle.SNAPSHOT_EVERY}", "fixed tile", "order"}
    total = sum(cost.throughput.median for cost in costs if cost.part in usual)
    cpu = sum(cost.cpu for cost in costs if cost.part in usual)
    print(f"{'together, as set':<22} {total:>10.1%} {f'at most {TARGET:.0%}':>18} {cpu:>8.1%}")
    chosen = kept(blocks)
    print(f"{sum(block.quiet for block in chosen)} of {len(chosen)} blocks were quiet")


if __name__ == "__main__":
    run_service(main)
