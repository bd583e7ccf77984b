"""Learning curves over several seeds: the records, a table, a plot."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from summary import Spread

COLOURS = ("#1f6feb", "#d29922", "#9aa4af", "#8957e5")
MARKS_S = (15.0, 25.0, 30.0, 45.0, 60.0, 120.0, 240.0)
"""Times of training that the table shows, when more were asked for than FEW."""
FEW = 8


@dataclass(frozen=True)
class Point:
    """An evaluation of the policy as it was at some time of training."""

    asked_s: float | None
    """The time asked for; None: the end of the run."""
    trained_s: float
    """Training time until then, evaluations excluded."""
    env_steps: int
    return_mean: float
    return_std: float


@dataclass(frozen=True)
class SeedCurve:
    """One run."""

    seed: int
    points: list[Point]
    steps_per_s: float
    steps_per_cpu_s: float
    """Evaluations' CPU time included."""
    foreign_share: float
    """Of all cores, used by others during the run."""


@dataclass
class Curve:
    """All runs of one learner."""

    key: str
    label: str
    seeds: list[SeedCurve] = field(default_factory=list)
    why_not: str = ""
    """Why it was not measured, or not to the end."""

    @property
    def steps_per_s(self) -> Spread | None:
        """Training speed over the seeds; None without any."""
        speeds = [seed.steps_per_s for seed in self.seeds]
        return Spread.of(speeds) if speeds else None

    @property
    def env_steps(self) -> int:
        """Length of the shortest run."""
        return min(seed.points[-1].env_steps for seed in self.seeds)

    @property
    def foreign_share(self) -> float:
        """What others used of the machine in the median run."""
        return median(seed.foreign_share for seed in self.seeds)

    @property
    def final(self) -> Spread | None:
        """Return at the end of the runs over the seeds; None where a run has no end of its own."""
        return self.after(None)

    def after(self, asked_s: float | None) -> Spread | None:
        """Return over the seeds after a time of training; None if a seed was not asked then."""
        found = [
            point.return_mean
            for seed in self.seeds
            for point in seed.points
            if point.asked_s == asked_s
        ]
        return Spread.of(found) if self.seeds and len(found) == len(self.seeds) else None


def print_curves(console: Console, task: str, curves: Sequence[Curve]) -> None:
    """Print the returns at the marked times, median and range over the seeds."""
    asked = {p.asked_s for c in curves for seed in c.seeds for p in seed.points if p.asked_s}
    marks = sorted(asked if len(asked) <= FEW else asked & set(MARKS_S))
    table = Table(
        title=f"{task}: evaluation return, median (lowest..highest) of the seeds",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    table.add_column("training")
    for curve in curves:
        table.add_column(curve.label, justify="right")
    for mark in marks:
        table.add_row(f"{mark:g} s", *(_text(curve.after(mark)) for curve in curves))
    table.add_row("end", *(_text(curve.final) for curve in curves))
    table.add_row("steps/s", *(_text(curve.steps_per_s) for curve in curves))
    console.print(table)
    for curve in curves:
        if curve.why_not:
            console.print(f"  [dim]{curve.label}: {curve.why_not}[/]")


def draw_curves(task: str, curves: Sequence[Curve], machine: str, path: Path) -> None:
    """Write a PNG: return over training time and over env steps, median and range of the seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (by_time, by_steps) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for curve, colour in zip(curves, COLOURS, strict=False):
        rows = [_row(column) for column in _columns(curve)]
        times, steps = [row[0] for row in rows], [row[1] for row in rows]
        middle, low, high = ([row[k] for row in rows] for k in (2, 3, 4))
        for axis, x in ((by_time, times), (by_steps, [step / 1e6 for step in steps])):
            axis.plot(x, middle, color=colour, marker=".", label=curve.label)
            axis.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    by_time.set(xlabel="training time (s)", ylabel="evaluation return")
    by_steps.set(xlabel="env steps (millions)")
    for axis in (by_time, by_steps):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    by_time.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{task}   {machine}", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _columns(curve: Curve) -> list[list[Point]]:
    """Return the points of all seeds, one list per time asked for, in order of time."""
    by_time: dict[float, list[Point]] = {}
    for seed in curve.seeds:
        for point in seed.points:
            by_time.setdefault(float("inf") if point.asked_s is None else point.asked_s, []).append(
                point
            )
    return [by_time[asked] for asked in sorted(by_time) if len(by_time[asked]) == len(curve.seeds)]


def _row(points: Sequence[Point]) -> tuple[float, float, float, float, float]:
    """Return time, steps, and the return's median, lowest, highest."""
    spread = Spread.of([point.return_mean for point in points])
    time_s = Spread.of([point.trained_s for point in points]).median
    steps = Spread.of([point.env_steps for point in points]).median
    return time_s, steps, spread.median, spread.low, spread.high


def _text(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.median:,.0f} ({spread.low:,.0f}..{spread.high:,.0f})"
