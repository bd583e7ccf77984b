"""The bench: `make bench`, `websim bench`. Measures the fleet, tier by tier, and its peers.

    make bench ARGS="--quick"
    make bench ARGS="--task Hopper-v5 --only fleet"
    make bench ARGS="--check --peers-python ~/peers/bin/python"

docs/benchmarks.md says how it measures and how to read it. COMMANDS are benches of their own:
`websim bench curves`, and so on.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path

from interleave import Plan
from machine import commit, describe_machine, versions
from report import Bench, TaskFigures, make_console, print_task, print_verdicts, write
from rich.console import Console
from sections import Bencher, Conditions, Progress, compiled
from targets import judge

from websim.client import DEFAULT_NUM_ENVS
from websim.local.child import CHILD_ENVIRONMENT
from websim.local.fleet import available_cores
from websim.service.errors import UserError
from websim.service.main import run_service
from websim.tasks import TaskError

CHECKOUT = Path(__file__).resolve().parents[2]

TASKS = ("HalfCheetah-v5", "Hopper-v5", "Humanoid-v5", "HumanoidFast-v0", "Ant-v5")
QUICK_TASKS = ("HalfCheetah-v5",)
TRAINING_TASKS = ("HalfCheetah-v5", "Hopper-v5", "Humanoid-v5")
"""Of TASKS, those that are also trained on when no task is named."""

COMMANDS = {
    "curves": "curves",
    "exactness": "bench_exactness",
    "rescue": "rescue",
    "hacks": "hacks",
    "adapting": "adapting",
}
"""Benches of their own, by module."""

PARTS = ("fleet", "peers", "training")

STEPPING = Plan(rounds=7, block_s=1.0, short_block_s=1.0, warm_up_s=2.0, max_attempts=3)
QUICK_STEPPING = Plan(rounds=3, block_s=0.5, short_block_s=0.5, warm_up_s=0.5, max_attempts=2)
TRAINING = Plan(rounds=3, block_s=6.0, short_block_s=1.0, warm_up_s=2.0, max_attempts=2)
QUICK_TRAINING = Plan(rounds=2, block_s=3.0, short_block_s=0.5, warm_up_s=0.5, max_attempts=1)

REPEAT_UNTIL_S = 14 * 60.0
"""Noisy blocks are not repeated after this time, so that a full bench ends within 20 minutes."""
QUICK_REPEAT_UNTIL_S = 40.0

EXIT_MISSED = 1


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="websim bench",
        description="Measure MuJoCo alone, the fleet tier by tier, training, and the peers that "
        "are installed, all in turn in one run.",
    )
    add = parser.add_argument
    add("--task", action="append", help="a task or a task file; repeatable; default: all five")
    add("--num-envs", type=int, default=DEFAULT_NUM_ENVS, help="environments (default 1024)")
    add("--quick", action="store_true", help="about a minute: one task, few short blocks")
    add(
        "--only",
        action="append",
        choices=PARTS,
        help="leave out the other parts; repeatable. MuJoCo alone is always measured; peers are "
        "vector environments, other learners belong to training",
    )
    add("--rounds", type=int, help="blocks of each subject")
    add("--workers", type=int, help="sim workers of the fleet (default: one per core)")
    add(
        "--shard-envs",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="also measure send/recv with shards of these sizes",
    )
    add("--keys", action="store_true", help="also measure send/recv of a fleet with CURVE keys")
    add("--seed", type=int, default=0, help="of actions and environments")
    add(
        "--peers-python",
        default=sys.executable,
        metavar="PATH",
        help="the Python of an environment that has tests/bench/requirements-peers.txt",
    )
    add("--out", type=Path, default=CHECKOUT / "bench", help="where figures and plot go")
    add("--check", action="store_true", help="judge the throughput targets; exit 1 on a miss")
    options = parser.parse_args(argv)
    for name in ("num_envs", "rounds", "workers"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} {value} must be at least 1")
    for size in options.shard_envs:
        if not 1 <= size <= options.num_envs:
            raise UserError(f"--shard-envs {size} must be 1 to --num-envs")
    return options


def main(argv: list[str]) -> int:
    """Run a bench; return the exit code.

    Raises:
        UserError: the command line asks for what is not there.
    """
    if argv and argv[0] in COMMANDS:
        command: Callable[[list[str]], int] = import_module(COMMANDS[argv[0]]).main
        return command(argv[1:])
    options = parse(argv)
    conditions = _conditions(options)
    tasks = options.task or (QUICK_TASKS if options.quick else TASKS)
    for task in tasks:
        try:
            compiled(task)
        except TaskError as error:
            raise UserError(str(error)) from None
    started = datetime.now().astimezone()
    began_s = time.monotonic()
    console = make_console()
    console.print(f"[bold]{describe_machine(conditions.cores)}[/]")
    bencher, measured = _bench(options, conditions, tasks, console, began_s)
    bench = Bench(
        started=started.isoformat(timespec="seconds"),
        seconds=time.monotonic() - began_s,
        machine=describe_machine(conditions.cores),
        versions=versions(),
        peer_versions=bencher.peer_versions,
        commit=commit(CHECKOUT),
        settings={
            "num_envs": conditions.num_envs,
            "workers": conditions.workers,
            "seed": conditions.seed,
            "stepping": vars(conditions.stepping),
            "training": vars(conditions.training),
            "parts": sorted(conditions.wants),
        },
        tasks=measured,
        verdicts=judge({figures.task: figures.rows for figures in measured}),
    )
    return _publish(bench, options, console, f"{started:%Y%m%d-%H%M%S}")


def _conditions(options: argparse.Namespace) -> Conditions:
    stepping, training = (QUICK_STEPPING, QUICK_TRAINING) if options.quick else (STEPPING, TRAINING)
    if options.rounds is not None:
        stepping = Plan(**{**vars(stepping), "rounds": options.rounds})
        training = Plan(**{**vars(training), "rounds": options.rounds})
    cores = available_cores()
    return Conditions(
        num_envs=options.num_envs,
        cores=cores,
        workers=options.workers or cores,
        seed=options.seed,
        peers_python=options.peers_python,
        stepping=stepping,
        training=training,
        wants=frozenset(options.only or PARTS),
        shard_sizes=tuple(dict.fromkeys(options.shard_envs)),
        keys=options.keys,
    )


def _bench(
    options: argparse.Namespace,
    conditions: Conditions,
    tasks: list[str],
    console: Console,
    began_s: float,
) -> tuple[Bencher, list[TaskFigures]]:
    """Measure task by task, showing each one's table as soon as it is there."""
    repeat_until_s = QUICK_REPEAT_UNTIL_S if options.quick else REPEAT_UNTIL_S
    measured: list[TaskFigures] = []
    with console.status("") as status:

        def note(text: str) -> None:
            elapsed = time.strftime("%M:%S", time.gmtime(time.monotonic() - began_s))
            status.update(f"{elapsed}  task {len(measured) + 1} of {len(tasks)}  {text}")

        progress = Progress(
            note=note, may_repeat=lambda: time.monotonic() - began_s < repeat_until_s
        )
        bencher = Bencher(conditions, progress)
        for task in tasks:
            figures = TaskFigures(task)
            if conditions.wants & {"fleet", "peers"}:
                bencher.stepping(task, figures)
            if "training" in conditions.wants and (options.task or task in TRAINING_TASKS):
                bencher.training(task, figures)
            measured.append(figures)
            print_task(console, figures, conditions.num_envs)
    return bencher, measured


def _publish(bench: Bench, options: argparse.Namespace, console: Console, name: str) -> int:
    path = write(bench, options.out, name)
    picture = path.with_suffix(".png")
    from plot import draw

    draw(bench, picture)
    console.print(f"{bench.seconds:.0f} s; wrote {path}, {path.with_suffix('.md')} and {picture}")
    if not options.check:
        return 0
    print_verdicts(console, bench.verdicts)
    return EXIT_MISSED if any(verdict.passed is False for verdict in bench.verdicts) else 0


def _with_child_environment() -> None:
    """Start over with the environment that our services run in, if this is not it.

    `websim bench` has done so already; the client's memory and threads are then as a learner's.
    """
    if any(os.environ.get(name) != value for name, value in CHILD_ENVIRONMENT.items()):
        environment = {**os.environ, **CHILD_ENVIRONMENT}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


if __name__ == "__main__":
    _with_child_environment()
    run_service(main)
