"""Draw a bench: how much of MuJoCo alone each way of stepping reaches, task by task."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from report import Bench, TaskFigures
from summary import Row

OURS = "#1f6feb"
THEIRS = "#9aa4af"
LIMIT = "#24292f"
ROOM = 0.15
"""Of the ratio axis, for the figure beside the longest bar."""


def draw(bench: Bench, path: Path) -> None:
    """Write a PNG."""
    tasks = [figures for figures in bench.tasks if any(row.ratio for row in figures.rows)]
    if not tasks:
        return
    heights = [sum(row.ratio is not None for row in figures.rows) for figures in tasks]
    figure, axes = plt.subplots(
        len(tasks),
        1,
        figsize=(9, 0.32 * sum(heights) + 0.75 * len(tasks) + 0.6),
        gridspec_kw={"height_ratios": heights},
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, figures in zip(axes[:, 0], tasks, strict=True):
        _draw_task(axis, figures)
    furthest = max(row.ratio.high for figures in tasks for row in figures.rows if row.ratio)
    axes[0, 0].set_xlim(0, furthest + ROOM)
    axes[-1, 0].set_xlabel("env-steps/s as a ratio to MuJoCo alone; whiskers: lowest to highest")
    figure.suptitle(str(bench.machine), fontsize=8, color=LIMIT)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _draw_task(axis: plt.Axes, figures: TaskFigures) -> None:
    rows = [row for row in figures.rows if row.ratio is not None]
    for place, row in enumerate(rows):
        ratio = row.ratio
        assert ratio is not None
        whiskers = [[ratio.median - ratio.low], [ratio.high - ratio.median]]
        axis.barh(place, ratio.median, color=_colour(row), height=0.72)
        axis.errorbar(ratio.median, place, xerr=whiskers, color=LIMIT, lw=0.8, capsize=2)
        text = f"{row.steps_per_s.median:,.0f}/s"
        axis.text(max(ratio.high, ratio.median) + 0.01, place, text, va="center", fontsize=7)
    axis.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.axvline(1.0, color=LIMIT, lw=0.6, ls=":")
    noisy = any(2 * row.num_quiet <= row.num_blocks for row in rows)
    title = f"{figures.task} (on a busy machine)" if noisy else figures.task
    axis.set_title(title, loc="left", fontsize=9, fontweight="bold")
    axis.spines[["top", "right"]].set_visible(False)


def _colour(row: Row) -> str:
    if row.subject == "mujoco":
        return LIMIT
    return OURS if row.subject.startswith("fleet") else THEIRS
