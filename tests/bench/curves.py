"""Learning curves: `websim bench curves --task HalfCheetah-v5 --seeds 1 2 3`.

Trains as `websim train` does and takes a checkpoint at each time of training asked for; once a run
is over, evaluates each checkpoint by 20 episodes with the mean action. Beside it, when installed,
Stable-Baselines3's PPO, evaluated alike. Runs follow one another: each has the machine to itself.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import load
import peers
from curve_report import Curve, Point, SeedCurve, draw_curves, print_curves
from machine import commit, describe_machine, versions
from report import make_console, print_verdicts
from subject import NotMeasured
from targets import judge_curve

from websim.local.fleet import LocalFleet, available_cores
from websim.local.learner_api import LearnerApi, LearnerUnreachableError
from websim.local.options import RunOptions
from websim.local.run import Run
from websim.service.errors import UserError
from websim_learner.evaluation import evaluate
from websim_learner.fleet import open_session
from websim_learner.policy import load_policy

CHECKOUT = Path(__file__).resolve().parents[2]
TIMES_S = (5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 75, 90, 105, 120, 150, 180)
PEER_TIMES_S = (30, 60, 120, 240)
EPISODES = 20
EVALUATION_SEED = 20_000
"""The same for all runs: every policy begins from the same states."""
POLL_S = 0.1
EXIT_MISSED = 1

Note = Callable[[str], None]


@dataclass(frozen=True)
class _Taken:
    """A checkpoint taken during training."""

    asked_s: float
    name: str


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="websim bench curves",
        description="Train a task with several seeds and evaluate the policy at times of training.",
    )
    add = parser.add_argument
    add("--task", default="HalfCheetah-v5", help="a task or a task file (default HalfCheetah-v5)")
    add("--seeds", type=int, nargs="+", default=[1, 2, 3], help="default: 1 2 3")
    add("--total-steps", type=int, help="env steps of a run (default: the task's)")
    add("--num-envs", type=int, help="environments (default 1024)")
    add("--workers", type=int, help="sim workers (default: one per core)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="as of websim train")
    add("--times", type=float, nargs="+", default=list(TIMES_S), help="seconds of training")
    add("--peers", action="store_true", help="also train with Stable-Baselines3's PPO")
    add("--peer-times", type=float, nargs="+", default=list(PEER_TIMES_S), help="as --times")
    add(
        "--peers-python",
        default=sys.executable,
        metavar="PATH",
        help="the Python of an environment that has tests/bench/requirements-peers.txt",
    )
    add("--out", type=Path, default=CHECKOUT / "bench", help="where figures and plot go")
    add("--check", action="store_true", help="judge the training targets; exit 1 on a miss")
    options = parser.parse_args(argv)
    options.times.sort()
    options.peer_times.sort()
    for pair in options.set:
        if "=" not in pair:
            raise UserError(f"--set {pair} is not KEY=VALUE", "As in ppo.learning_rate=3e-4.")
    return options


def main(argv: list[str]) -> int:
    """Measure curves; return the exit code.

    Raises:
        UserError: a run cannot be started, or ended other than by finishing.
    """
    options = parse(argv)
    console = make_console()
    cores = available_cores()
    machine = describe_machine(cores)
    console.print(f"[bold]{machine}[/]")
    started = datetime.now().astimezone()
    with console.status("") as status:
        ours = Curve("websim", "WebSim PPO")
        for seed in options.seeds:
            ours.seeds.append(_train(options, seed, cores, status.update))
        curves = [ours, *(_peer_curves(options, cores, status.update) if options.peers else ())]
    print_curves(console, options.task, curves)
    verdicts = judge_curve(options.task, ours)
    name = Path(options.task).parent.name if "/" in options.task else options.task
    path = options.out / f"curves-{name}-{started:%Y%m%d-%H%M%S}.json"
    _write(
        path,
        {
            "schema": 1,
            "started": started.isoformat(timespec="seconds"),
            "task": options.task,
            "machine": asdict(machine),
            "versions": versions(),
            "commit": commit(CHECKOUT),
            "settings": {k: str(v) if k == "out" else v for k, v in vars(options).items()},
            "curves": [asdict(curve) for curve in curves],
            "verdicts": [asdict(verdict) for verdict in verdicts],
        },
    )
    draw_curves(options.task, curves, str(machine), path.with_suffix(".png"))
    console.print(f"wrote {path} and {path.with_suffix('.png')}")
    if not options.check:
        return 0
    print_verdicts(console, verdicts)
    return EXIT_MISSED if any(verdict.passed is False for verdict in verdicts) else 0


def _train(options: argparse.Namespace, seed: int, cores: int, note: Note) -> SeedCurve:
    """Train once and evaluate what was kept."""
    # Evaluations and checkpoints come when this asks for them; the learner reads this at its start.
    os.environ["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = "0"
    os.environ["WEBSIM_LEARNER_CHECKPOINT_EVERY_STEPS"] = "0"
    with tempfile.TemporaryDirectory(prefix="websim-curves-") as folder:
        directory = Path(folder) / "run"
        keep = Path(folder) / "kept"
        run_options = RunOptions(
            task=options.task,
            num_envs=options.num_envs,
            seed=seed,
            total_steps=options.total_steps,
            workers=options.workers,
            settings=dict(pair.split("=", 1) for pair in options.set),
            run_dir=directory,
        )
        before = load.read()
        with Run(run_options) as run:
            run.wait_ready()
            taken = _follow(run, options.times, keep, lambda text: note(f"seed {seed}: {text}"))
            result = run.result()
            usage = load.between(before, load.read(), cores)
        for checkpoint in taken:
            source = keep / checkpoint.name
            shutil.copytree(source, directory / "checkpoints" / checkpoint.name, dirs_exist_ok=True)
        note(f"seed {seed}: evaluating {len(taken)} checkpoints")
        points = _evaluate(directory, taken, options.workers)
        points.append(
            Point(
                asked_s=None,
                trained_s=result["wall_s"],
                env_steps=result["env_steps"],
                return_mean=result["eval_return_mean"],
                return_std=result["eval_return_std"],
            )
        )
        return SeedCurve(
            seed=seed,
            points=points,
            steps_per_s=result["steps_per_s"],
            steps_per_cpu_s=result["env_steps"] / usage.own_cpu_s,
            foreign_share=usage.foreign_share,
        )


def _follow(run: Run, times_s: Sequence[float], keep: Path, note: Note) -> list[_Taken]:
    """Take a checkpoint at each time of training, at the last update that ends before it."""
    api = LearnerApi(run.http_url)
    taken: list[_Taken] = []
    left = list(times_s)
    update_s = 0.0
    seen = (0, 0.0)
    while left and not run.ended and run.failure is None:
        status = run.status()
        trained_s = status.get("wall_s", 0.0)
        if status.get("update", 0) > seen[0]:
            update_s = (trained_s - seen[1]) / (status["update"] - seen[0])
            seen = (status["update"], trained_s)
        note(f"{trained_s:.0f} s trained, {status.get('env_steps', 0):,} steps")
        # The command waits for the update under way, which is to end before the time is over.
        if trained_s < left[0] - update_s - POLL_S:
            time.sleep(POLL_S)
            continue
        asked_s = left.pop(0)
        try:
            name = api.command("checkpoint")["detail"]
        except (LearnerUnreachableError, UserError):
            break  # the run is over: what is left of the times lies beyond its end
        if all(name != other.name for other in taken):
            shutil.copytree(run.directory / "checkpoints" / name, keep / name)
            taken.append(_Taken(asked_s, name))
    run.raise_failure()
    return taken


def _evaluate(directory: Path, taken: Sequence[_Taken], workers: int | None) -> list[Point]:
    points: list[Point] = []
    if not taken:
        return points
    with LocalFleet(workers) as fleet:
        config = load_policy(directory, taken[0].name).config
        client = open_session(
            config,
            EPISODES,
            EVALUATION_SEED,
            fleet=fleet.client_address,
            workers=None,
            label="curves",
        )
        try:
            for checkpoint in taken:
                policy = load_policy(directory, checkpoint.name)
                evaluation = evaluate(client, policy.algorithm.actor, EVALUATION_SEED)
                counters = json.loads(
                    (directory / "checkpoints" / checkpoint.name / "counters.json").read_bytes()
                )
                points.append(
                    Point(
                        asked_s=checkpoint.asked_s,
                        trained_s=counters["wall_s"],
                        env_steps=policy.env_steps,
                        return_mean=float(evaluation.episode_return.mean()),
                        return_std=float(evaluation.episode_return.std()),
                    )
                )
        finally:
            client.close()
    return points


def _peer_curves(options: argparse.Namespace, cores: int, note: Note) -> list[Curve]:
    curves = []
    for kind in peers.TRAINING_PEERS:
        curve = Curve(kind.key, f"{kind.label} N={kind.num_envs}")
        for seed in options.seeds:
            note(f"{curve.label}, seed {seed}: starting")
            try:
                curve.seeds.append(_train_peer(options, kind, seed, cores, note))
            except NotMeasured as reason:
                note(f"{curve.label}: {reason}")
                curve.why_not = str(reason)
                break
        curves.append(curve)
    return curves


def _train_peer(
    options: argparse.Namespace, kind: peers.PeerKind, seed: int, cores: int, note: Note
) -> SeedCurve:
    peer = peers.Peer(kind, options.task, 0, cores, seed, options.peers_python)
    try:
        peer.open()
        before = load.read()
        points = []
        for answer in peer.curve(options.peer_times, EPISODES):
            returns = answer.pop("returns")
            mean = sum(returns) / len(returns)
            spread = (sum((value - mean) ** 2 for value in returns) / len(returns)) ** 0.5
            points.append(Point(**answer, return_mean=mean, return_std=spread))
            note(f"{kind.label}, seed {seed}: {answer['trained_s']:.0f} s trained, {mean:,.0f}")
        usage = load.between(before, load.read(), cores)
    finally:
        peer.close()
    last = points[-1]
    return SeedCurve(
        seed=seed,
        points=points,
        steps_per_s=last.env_steps / last.trained_s,
        steps_per_cpu_s=last.env_steps / usage.own_cpu_s,
        foreign_share=usage.foreign_share,
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
