"""Condense blocks to figures: medians, spreads, ratios to MuJoCo alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from interleave import Block, kept
from subject import Subject

REFERENCE = "mujoco"
"""The subject whose speed is 1."""


@dataclass(frozen=True)
class Spread:
    """A median with the least and greatest of what it is the median of."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Condense at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """A subject's figures."""

    subject: str
    label: str
    num_envs: int
    steps_per_s: Spread
    ratio: Spread | None
    """To the reference, round by round; None without a reference."""
    steps_per_cpu_s: float
    """Over all kept blocks together."""
    cpu_ratio: float | None
    """That, to the reference's."""
    num_quiet: int
    num_blocks: int
    memory_bytes: int | None
    note: str = ""


@dataclass(frozen=True)
class Missing:
    """A subject that was not measured, and why."""

    subject: str
    label: str
    why: str


def summarise(
    blocks: Sequence[Block], subjects: Sequence[Subject], memory: Mapping[str, int | None]
) -> list[Row]:
    """Return one row per measured subject, in their order.

    A ratio is taken within each round, whose blocks are neighbours in time, so what changes slowly
    cancels; its median is over the rounds.

    Args:
        blocks: all attempts; the quietest of each round counts.
        subjects: whose they are.
        memory: bytes by subject.
    """
    of: dict[str, dict[int, Block]] = {}
    for block in kept(blocks):
        of.setdefault(block.subject, {})[block.round] = block
    base = of.get(REFERENCE, {})
    base_per_cpu_s = _per_cpu_s(base.values())
    rows = []
    for subject in subjects:
        own = of.get(subject.key)
        if not own:
            continue
        ratios = [own[r].steps_per_s / base[r].steps_per_s for r in own if r in base]
        per_cpu_s = _per_cpu_s(own.values())
        rows.append(
            Row(
                subject=subject.key,
                label=subject.label,
                num_envs=subject.num_envs,
                steps_per_s=Spread.of([block.steps_per_s for block in own.values()]),
                ratio=Spread.of(ratios) if ratios else None,
                steps_per_cpu_s=per_cpu_s,
                cpu_ratio=per_cpu_s / base_per_cpu_s if base_per_cpu_s else None,
                num_quiet=sum(block.quiet for block in own.values()),
                num_blocks=len(own),
                memory_bytes=memory.get(subject.key),
                note=getattr(subject, "note", ""),
            )
        )
    return rows


def _per_cpu_s(blocks: Iterable[Block]) -> float:
    blocks = list(blocks)
    cpu_s = sum(block.cpu_s for block in blocks)
    return sum(block.all_env_steps for block in blocks) / cpu_s if cpu_s else 0.0
