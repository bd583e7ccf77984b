"""Training runs as processes, side by side: one per core, each with a sim worker of its own.

What a run decides does not depend on the clock, so runs that share a machine end as they would
alone. A run that has its result is not run again: a bench that is cut off goes on where it was.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from websim.local.child import CHILD_ENVIRONMENT
from websim.service.errors import UserError
from websim.service.shutdown import PARENT_FD_VARIABLE

LIMIT_S = 3600.0
"""A run that takes longer is given up."""

EVAL_EVERY_STEPS = 50_000
"""Of every run: curves of runs that adapt and of those that do not have equally many points."""

Done = TypeVar("Done")


@dataclass(frozen=True)
class Arm:
    """One run."""

    name: str
    task: str
    seed: int
    total_steps: int
    num_envs: int
    reward: str | None = None
    """A program's text; None is the task's own reward."""
    flags: tuple[str, ...] = ()
    """Further flags of `websim train`."""


@dataclass(frozen=True)
class Ran:
    """What came of a run."""

    arm: Arm
    result: dict[str, Any]
    """Its result.json."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Env steps and mean fitness of each evaluation of the policy in training."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of adaptations.jsonl."""


def train(arm: Arm, directory: Path) -> Ran:
    """Run an arm in `directory/name`, unless it has run already.

    Raises:
        UserError: it failed; says how it ended.
    """
    run_dir = directory / arm.name
    if not (run_dir / "result.json").exists():
        arguments = ["train", "--workers", "1"]
        if (run_dir / "config.json").exists():
            arguments += ["--resume", str(run_dir)]
        else:
            arguments += ["--run-dir", str(run_dir), *_flags(arm, directory)]
        websim(*arguments)
    return Ran(
        arm,
        json.loads((run_dir / "result.json").read_text()),
        evaluations(run_dir),
        rows(run_dir),
    )


def websim(*arguments: str) -> None:
    """Run the command line to its end.

    Raises:
        UserError: it failed; with its last lines.
    """
    # Only this process holds the end that is written to: a run stops when it ends, however.
    read_fd, write_fd = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "websim.local", *arguments],
            env=environment() | {PARENT_FD_VARIABLE: str(read_fd)},
            pass_fds=(read_fd,),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(read_fd)
        os.close(write_fd)
    if done.returncode != 0:
        raise UserError(f"websim {' '.join(arguments)}: {done.stderr.strip()[-600:]}")


def environment() -> dict[str, str]:
    """Return what the run's processes see: evaluations at even steps, and no key."""
    own = {**os.environ, **CHILD_ENVIRONMENT}
    own["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = str(EVAL_EVERY_STEPS)
    own.pop("ANTHROPIC_API_KEY", None)
    return own


def rows(run_dir: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's log of adaptations."""
    path = run_dir / "adaptations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def evaluations(run_dir: Path) -> list[tuple[int, float]]:
    """Return env steps and mean fitness of the evaluations that the learner's log tells of."""
    told: dict[int, float] = {}
    for line in (run_dir / "logs" / "learner.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record.get("event") == "evaluated":
            told[record["env_steps"]] = record["fitness_mean"]
    return sorted(told.items())


def side_by_side(work: Callable[[Arm], Done], arms: Iterable[Arm], jobs: int) -> list[Done]:
    """Do the work for every arm, at most so many at a time; results in the arms' order."""
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(work, arms))


def _flags(arm: Arm, directory: Path) -> list[str]:
    flags = ["--task", arm.task, "--seed", str(arm.seed), "--num-envs", str(arm.num_envs)]
    flags += ["--total-steps", str(arm.total_steps), *arm.flags]
    if arm.reward is not None:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{arm.name}.reward.py"
        path.write_text(arm.reward)
        flags += ["--reward", str(path)]
    return flags
