"""A bad start, rescued: `websim bench rescue`. Writes rescue.json and a plot; docs/adaptation.md.

Each task is trained for the same number of env steps, candidates' steps counted, in four ways: on
its own reward and on a reward that teaches nothing of use, each without and with adaptation (the
built-in library writes). Judged is the fitness of the last policy.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from arms import Arm, Ran, side_by_side, train
from machine import describe_machine, versions

from websim.local.fleet import available_cores
from websim.service.main import run_service

NUM_ENVS = 256
ARMS = ("own", "bad", "adapted", "own_adapted")
LABELS = {
    "own": "the task's own reward",
    "bad": "bad reward",
    "adapted": "bad reward, adapting",
    "own_adapted": "the task's own reward, adapting",
}
COLOURS = {"own": "#9aa4af", "bad": "#d29922", "adapted": "#1f6feb", "own_adapted": "#3fb950"}
NAMES = {"bad": "bad", "adapted": "adapted", "own_adapted": "own, adapted"}
"""Heads of the table."""
RESCUED, LEFT = 0.8, 0.1
"""Shares of the own reward's fitness: at least with adaptation, at most without."""
MISSED = " (missed)"

BAD = {
    "HalfCheetah-v5": ("zero", "def reward(state, action):\n    return 0.0 * state.x_velocity\n"),
    "Hopper-v5": ("alive only", "def reward(state, action):\n    return 1.0 * state.healthy\n"),
}
TOTAL_STEPS = {"HalfCheetah-v5": 1_500_000, "Hopper-v5": 2_000_000}


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="websim bench rescue", description=__doc__)
    add = parser.add_argument
    add("--task", nargs="+", default=list(BAD), choices=list(BAD))
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--arms", nargs="+", default=list(ARMS[1:]), choices=ARMS[1:], help="beside own")
    add("--jobs", type=int, default=available_cores(), help="runs at the same time")
    add("--out", type=Path, default=Path("bench/rescue"), help="where runs and figures go; runs "
        "that are there are not run again")  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Train all arms, print the table, write the figures; 1 where a share is missed."""
    options = parse(argv)
    arms = [
        make_arm(task, arm, seed)
        for task in options.task
        for seed in options.seeds
        for arm in ARMS
        if arm == "own" or arm in options.arms
    ]
    began_s = time.monotonic()

    def work(arm: Arm) -> Ran:
        ran = train(arm, options.out / "runs")
        fitness = ran.result["eval_fitness_mean"]
        print(f"{time.monotonic() - began_s:6.0f} s  {arm.name:<28} {fitness:8.3f}", flush=True)
        return ran

    done = side_by_side(work, arms, options.jobs)
    figures = [figure_of(ran) for ran in done]
    record = {
        "machine": str(describe_machine(available_cores())),
        "versions": versions(),
        "seconds": time.monotonic() - began_s,
        "runs": figures,
    }
    (options.out / "rescue.json").write_text(json.dumps(record, indent=1))
    draw(figures, options.out / "rescue.png")
    told = table(figures)
    print(told)
    return 1 if MISSED in told else 0


def make_arm(task: str, arm: str, seed: int) -> Arm:
    """Return one of a task's arms."""
    return Arm(
        name=f"{task}-{arm}-{seed}",
        task=task,
        seed=seed,
        total_steps=TOTAL_STEPS[task],
        num_envs=NUM_ENVS,
        reward=None if arm.startswith("own") else BAD[task][1],
        flags=("--adapt", "auto" if arm.endswith("adapted") else "off"),
    )


def figure_of(ran: Ran) -> dict[str, Any]:
    """Return what is told of a run."""
    return {
        "task": ran.arm.task,
        "arm": ran.arm.name.split("-")[-2],
        "seed": ran.arm.seed,
        "fitness": ran.result["eval_fitness_mean"],
        "env_steps": ran.result["env_steps"],
        "wall_s": ran.result["wall_s"],
        "curve": ran.curve,
        "changes": [
            (row["env_steps"], row["kind"], row["values"].get("why", ""))
            for row in ran.rows
            if row["kind"] in ("adopted", "rolled_back")
        ],
    }


def fitness_of(figures: Sequence[dict[str, Any]], task: str, arm: str) -> dict[int, float]:
    """Return the last fitness of a task's arm by seed."""
    return {f["seed"]: f["fitness"] for f in figures if (f["task"], f["arm"]) == (task, arm)}


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Return the table for docs/adaptation.md."""
    arms = [arm for arm in ARMS if any(f["arm"] == arm for f in figures)]
    shares = "".join(f" {NAMES[arm]} | share |" for arm in arms if arm != "own")
    lines = [
        f"| task, reward at the start | steps | seed | own |{shares}",
        "|---|---|---|---|" + "---|---|" * (len(arms) - 1),
    ]
    for task in dict.fromkeys(f["task"] for f in figures):
        of = [fitness_of(figures, task, arm) for arm in arms]
        head = f"| {task}, {BAD[task][0]} | {TOTAL_STEPS[task]:,} "
        seeds = sorted(set.intersection(*(set(fitness) for fitness in of)))
        told = [(str(seed), [fitness[seed] for fitness in of]) for seed in seeds]
        if len(seeds) > 1:
            told.append(("mean", [mean(fitness[seed] for seed in seeds) for fitness in of]))
        lines += [head + _row(seed, dict(zip(arms, row, strict=True))) for seed, row in told]
    return "\n".join(lines)


def _row(seed: str, fitness: dict[str, float]) -> str:
    own = fitness["own"]
    cells = [f"| {seed} | {own:.2f} |"]
    for arm, reached in list(fitness.items())[1:]:
        share = reached / own
        as_it_should_be = share <= LEFT if arm == "bad" else share >= RESCUED
        cells.append(f" {reached:.2f} | {share:.0%}{'' if as_it_should_be else MISSED} |")
    return "".join(cells)


def draw(figures: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw fitness over env steps, a task beside the other."""
    tasks = list(dict.fromkeys(f["task"] for f in figures))
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(4.6 * len(tasks), 3.2), squeeze=False, layout="constrained"
    )
    for axis, task in zip(axes[0], tasks, strict=True):
        labelled: set[str] = set()
        for each in (f for f in figures if f["task"] == task):
            x, y = zip(*each["curve"], strict=True)
            label = None if each["arm"] in labelled else LABELS[each["arm"]]
            labelled.add(each["arm"])
            axis.plot([v / 1e6 for v in x], y, color=COLOURS[each["arm"]], lw=1.2, label=label)
            for env_steps, kind, _ in each["changes"]:
                height = max((f for s, f in each["curve"] if s <= env_steps), default=0.0)
                mark = "^" if kind == "adopted" else "v"
                axis.plot(env_steps / 1e6, height, mark, color=COLOURS[each["arm"]], ms=5)
        axis.set_title(f"{task}, {BAD[task][0]}", fontsize=9)
        axis.set_xlabel("million env steps, candidates' included", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("fitness [m/s]", fontsize=8)
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    run_service(main)
