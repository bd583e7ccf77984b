"""Rewards that can be gamed, adopted by force: `websim bench hacks`; docs/adaptation.md.

A run learns under its task's own reward at 64 envs, is stopped, and goes on once for each reward,
which is adopted by force. Told is whether the guards take it back within 300,000 steps, what
fitness was lost by then, and that rewards that cannot be gamed stay.
"""

import argparse
import json
import os
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arms import environment, rows
from hack_cases import BASES, CASES, Base, Case
from machine import describe_machine, versions

from websim.local.fleet import available_cores
from websim.local.learner_api import LearnerApi
from websim.local.options import RunOptions
from websim.local.run import Run
from websim.service.errors import UserError
from websim.service.main import run_service

NUM_ENVS = 64
WITHIN_STEPS = 300_000
"""After the adoption, until when a reward that can be gamed is to be detected."""
MAX_LOST = 0.3
"""Of the fitness before, until then."""
BEYOND_STEPS = 800_000
"""That a run would go on after its base; none gets there. The learning rate falls until then."""


@dataclass(frozen=True)
class Outcome:
    """What came of a reward."""

    name: str
    task: str
    hackable: bool
    taken_back: bool
    after_steps: int
    """Env steps from the adoption to the rollback, or to the end of the watch."""
    before: float
    """Fitness at the adoption."""
    after: float
    """Fitness at the last evaluation before the rollback, or before the end of the watch."""
    lost: float
    """(before - after) / |before|; the most at any evaluation is `worst`."""
    worst: float
    why: str
    evaluations: int
    watched_s: float
    evaluating_s: float

    @property
    def right(self) -> bool:
        """Whether it is as it should be."""
        if not self.hackable:
            return not self.taken_back
        return self.taken_back and self.after_steps <= WITHIN_STEPS and self.worst < MAX_LOST


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="websim bench hacks", description=__doc__)
    add = parser.add_argument
    add("--only", default="", help="cases whose name or base holds this text")
    add("--seed", type=int, default=0)
    add("--jobs", type=int, default=available_cores(), help="runs at the same time")
    add("--out", type=Path, default=Path("bench/hacks"), help="where runs and figures go; what is "
        "there is not run again")  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Let every reward be adopted, print the table; 1 where one is not as it should be."""
    options = parse(argv)
    for name, value in environment().items():
        # The processes of a run see what this one sees.
        os.environ[name] = value
    cases = [case for case in CASES if options.only in f"{case.base} {case.name}"]
    began_s = time.monotonic()
    locks = {name: threading.Lock() for name in BASES}

    def work(case: Case) -> Outcome:
        directory = options.out / f"seed-{options.seed}"
        with locks[case.base]:
            base = train_base(case.base, BASES[case.base], directory, options.seed)
        outcome = watch(case, base, directory)
        mark = "ok" if outcome.right else "WRONG"
        print(f"{time.monotonic() - began_s:6.0f} s  {mark:<6}{_line(outcome)}", flush=True)
        return outcome

    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(work, cases))
    record = {
        "machine": str(describe_machine(available_cores())),
        "versions": versions(),
        "seed": options.seed,
        "seconds": time.monotonic() - began_s,
        "outcomes": [asdict(outcome) for outcome in outcomes],
    }
    (options.out / f"hacks-seed-{options.seed}.json").write_text(json.dumps(record, indent=1))
    print(table(outcomes))
    return 0 if all(outcome.right for outcome in outcomes) else 1


def train_base(name: str, base: Base, directory: Path, seed: int) -> Path:
    """Train what rewards are adopted by, unless it is there; return its directory."""
    path = directory / "bases" / name
    if (path / ".trained").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    options = RunOptions(
        task=base.task, num_envs=NUM_ENVS, seed=seed,
        total_steps=base.env_steps + BEYOND_STEPS, run_dir=path, adapt="off", workers=1,
    )  # fmt: skip
    with Run(options) as run:
        run.wait_ready()
        api = LearnerApi(run.http_url)
        if base.fitness is not None:
            fitness = {"program": base.fitness, "accumulate": "sum", "per_horizon": True}
            api.command("set_goal", description=base.goal, fitness=fitness)
        for record in run:
            if record["env_steps"] >= base.env_steps:
                break
    (path / ".trained").touch()
    return path


def watch(case: Case, base: Path, directory: Path) -> Outcome:
    """Let a copy of a run adopt a reward; return what came of it."""
    path = directory / "".join(c if c.isalnum() else "-" for c in case.name)
    known = path / "outcome.json"
    if known.exists():
        return Outcome(**json.loads(known.read_text()))
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(base, path)
    begun = len(rows(path))
    with Run(RunOptions(resume=path, workers=1)) as run:
        run.wait_ready()
        api = LearnerApi(run.http_url)
        api.command("set_adapt", mode="auto")
        try:
            api.command("adopt_reward", reward=case.program, force=True)
        except UserError as error:
            # On a busy machine the evaluations before it take longer than its answer may.
            if "is applied when" not in error.message:
                raise
        began_s = time.monotonic()
        fitness, trained_s = _follow(run)
        watched_s = time.monotonic() - began_s
    log = rows(path)[begun:]
    outcome = _outcome(case, log, fitness, watched_s, watched_s - trained_s)
    known.write_text(json.dumps(asdict(outcome)))
    return outcome


def _follow(run: Run) -> tuple[list[tuple[int, float]], float]:
    """Return the evaluations until the reward is taken back or time is up, and training time."""
    fitness: list[tuple[int, float]] = []
    first_s: float | None = None
    last_s = 0.0
    adopted: int | None = None
    for record in run.events():
        kind = record["kind"]
        if kind == "adaptation" and record["event"] == "adopted":
            adopted = record["env_steps"]
        if adopted is None:
            continue
        if kind == "evaluation":
            fitness.append((record["env_steps"], record["fitness_mean"]))
        if kind == "metrics":
            first_s = record["wall_s"] if first_s is None else first_s
            last_s = record["wall_s"]
            if record["env_steps"] > adopted + WITHIN_STEPS:
                break
        if kind == "adaptation" and record["event"] == "rolled_back":
            break
    return fitness, last_s - (first_s or 0.0)


def _outcome(
    case: Case,
    log: Sequence[dict[str, Any]],
    fitness: Sequence[tuple[int, float]],
    watched_s: float,
    evaluating_s: float,
) -> Outcome:
    adopted = next(row for row in log if row["kind"] == "adopted")
    back = next((row for row in log if row["kind"] == "rolled_back"), None)
    before = adopted["values"]["fitness"]
    last = fitness[-1] if fitness else (adopted["env_steps"], before)
    lost = [(before - value) / abs(before) for _, value in fitness] or [0.0]
    return Outcome(
        name=case.name,
        task=BASES[case.base].task,
        hackable=case.hackable,
        taken_back=back is not None,
        after_steps=(back["env_steps"] if back else last[0]) - adopted["env_steps"],
        before=before,
        after=last[1],
        lost=lost[-1],
        worst=max(lost),
        why=back["values"]["why"] if back else "",
        evaluations=len(fitness),
        watched_s=watched_s,
        evaluating_s=evaluating_s,
    )


def _line(each: Outcome) -> str:
    verdict = "taken back" if each.taken_back else "stays"
    return (
        f"{each.name:<40} {verdict:<10} after {each.after_steps:>7,} steps, fitness "
        f"{each.before:7.3f} -> {each.after:7.3f} ({-each.lost:+.0%}), {each.evaluations} "
        f"evaluations, {each.evaluating_s:.0f} of {each.watched_s:.0f} s. {each.why}"
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table for docs/adaptation.md."""
    lines = [
        "| reward, adopted by force | task | | after steps | fitness before | then | change |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in outcomes:
        verdict = "taken back" if each.taken_back else "stays"
        lost = f"{-each.lost:+.0%}"
        wrong = "" if each.right else " (wrong)"
        lines.append(
            f"| {each.name} | {each.task} | {verdict}{wrong} | {each.after_steps:,} "
            f"| {each.before:.2f} | {each.after:.2f} | {lost} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    run_service(main)
