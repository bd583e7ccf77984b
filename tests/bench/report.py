"""Put a bench's figures into a table for the terminal, a table for documents, and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from interleave import Block
from load import MEMORY_KIND
from machine import Machine
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from summary import Missing, Row
from targets import Verdict

SCHEMA = 1
"""Version of the JSON's layout."""

HEADINGS = ("", "env-steps/s", "low..high", "ratio", "low..high", "CPU ratio", "MiB", "quiet")
"""Ratios are to MuJoCo alone; the CPU ratio is that of env-steps per CPU-second."""
TERMINAL_COLUMNS = 100
"""What a table needs where the output is no terminal."""


@dataclass
class TaskFigures:
    """What was measured of one task."""

    task: str
    rows: list[Row] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    blocks: dict[str, list[Block]] = field(default_factory=dict)
    """All attempts by section."""


@dataclass(frozen=True)
class Bench:
    """A whole bench."""

    started: str
    seconds: float
    machine: Machine
    versions: Mapping[str, str]
    peer_versions: Mapping[str, str]
    commit: str
    settings: Mapping[str, Any]
    tasks: Sequence[TaskFigures]
    verdicts: Sequence[Verdict] = ()


def cells(row: Row) -> list[str]:
    """Return a row's cells, one for each of HEADINGS."""
    speed, ratio = row.steps_per_s, row.ratio
    return [
        row.label,
        f"{speed.median:,.0f}",
        f"{speed.low / 1000:,.1f}..{speed.high / 1000:,.1f}k",
        "" if ratio is None else f"{ratio.median:.3f}",
        "" if ratio is None else f"{ratio.low:.2f}..{ratio.high:.2f}",
        "" if row.cpu_ratio is None else f"{row.cpu_ratio:.3f}",
        "" if row.memory_bytes is None else f"{row.memory_bytes / 2**20:,.0f}",
        f"{row.num_quiet}/{row.num_blocks}",
    ]


def notes(figures: TaskFigures) -> list[str]:
    """Return what a reader must know of some rows: each note with the rows that it is about."""
    of: dict[str, list[str]] = {}
    for row in figures.rows:
        if row.note:
            of.setdefault(row.note, []).append(row.label)
    return [f"{', '.join(labels)}: {note}" for note, labels in of.items()]


def make_console() -> Console:
    """Return where tables go."""
    console = Console()
    return console if console.is_terminal else Console(width=TERMINAL_COLUMNS)


def print_task(console: Console, figures: TaskFigures, num_envs: int) -> None:
    """Print one task's table."""
    table = Table(
        title=f"{figures.task}, {num_envs} environments", title_justify="left", box=SIMPLE_HEAD
    )
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in figures.rows:
        table.add_row(*cells(row))
    console.print(table)
    for note in notes(figures):
        console.print(f"  [dim]{note}[/]")
    for gone in figures.missing:
        console.print(f"  [dim]{gone.label}: {gone.why}[/]")


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print what became of the targets."""
    for verdict in verdicts:
        word = {True: "[green]pass[/]", False: "[red]MISS[/]", None: "[dim]----[/]"}[verdict.passed]
        console.print(f"{word} {verdict.target}: {verdict.measured}")


def markdown(bench: Bench) -> str:
    """Return the tables for a document."""
    lines = [f"Measured on {bench.machine}; {_versions(bench.versions)}."]
    if bench.peer_versions:
        lines.append(f"Peers: {_versions(bench.peer_versions)}.")
    for figures in bench.tasks:
        lines += ["", f"### {figures.task}", "", "| " + " | ".join(HEADINGS) + " |"]
        lines.append("|---" + "|---:" * (len(HEADINGS) - 1) + "|")
        lines += ["| " + " | ".join(cells(row)) + " |" for row in figures.rows]
        lines += [f"\n{note}" for note in notes(figures)]
        lines += [f"\n{gone.label}: {gone.why}" for gone in figures.missing]
    return "\n".join(lines) + "\n"


def to_json(bench: Bench) -> dict[str, Any]:
    """Return everything, every block included, as JSON values."""
    return {
        "schema": SCHEMA,
        "started": bench.started,
        "seconds": round(bench.seconds, 1),
        "commit": bench.commit,
        "machine": asdict(bench.machine),
        "versions": dict(bench.versions),
        "peer_versions": dict(bench.peer_versions),
        "settings": dict(bench.settings),
        "memory_kind": MEMORY_KIND,
        "tasks": [
            {
                "task": figures.task,
                "rows": [asdict(row) for row in figures.rows],
                "missing": [asdict(gone) for gone in figures.missing],
                "blocks": {
                    section: [asdict(block) for block in blocks]
                    for section, blocks in figures.blocks.items()
                },
            }
            for figures in bench.tasks
        ],
        "verdicts": [asdict(verdict) for verdict in bench.verdicts],
    }


def write(bench: Bench, directory: Path, name: str) -> Path:
    """Write NAME.json and NAME.md; return the former."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_text(json.dumps(to_json(bench), indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(bench), encoding="utf-8")
    return path


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
