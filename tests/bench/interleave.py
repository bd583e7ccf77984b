"""Measure subjects in turn, so that what disturbs the machine disturbs all alike.

Each round measures every subject for one block; the order is rotated from round to round. A block
during which others used much of the machine is repeated, a bounded number of times, and the
quietest attempt is kept; all attempts are recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import load
from subject import Count, NotMeasured, Subject

QUIET_SHARE = 0.10
"""Up to this foreign share of all cores a block counts as quiet."""


@dataclass(frozen=True)
class Block:
    """One measured block."""

    subject: str
    round: int
    attempt: int
    env_steps: int
    seconds: float
    all_env_steps: int
    cpu_s: float
    foreign_share: float

    @property
    def steps_per_s(self) -> float:
        """Env steps per second of wall-clock."""
        return self.env_steps / self.seconds

    @property
    def quiet(self) -> bool:
        """Whether others left the machine alone."""
        return self.foreign_share <= QUIET_SHARE


@dataclass(frozen=True)
class Plan:
    """How to measure."""

    rounds: int
    block_s: float
    short_block_s: float
    """For subjects whose speed shows in less time than the others'."""
    warm_up_s: float
    max_attempts: int
    """Attempts at one block, the first included."""


Measure = Callable[[Subject, float], tuple[Count, load.Usage]]


def measure(subject: Subject, seconds: float, cores: int) -> tuple[Count, load.Usage]:
    """Measure one block and what the machine did meanwhile."""
    before = load.read()
    count = subject.block(seconds)
    return count, load.between(before, load.read(), cores)


def rotated(subjects: Sequence[Subject], round_index: int) -> list[Subject]:
    """Return the order of one round."""
    first = round_index % len(subjects) if subjects else 0
    return [*subjects[first:], *subjects[:first]]


def interleave(
    subjects: Sequence[Subject],
    plan: Plan,
    measure_block: Measure,
    *,
    may_repeat: Callable[[], bool] = lambda: True,
    on_block: Callable[[Block], None] = lambda block: None,
    short: Callable[[Subject], bool] = lambda subject: False,
) -> tuple[list[Block], dict[str, str]]:
    """Warm every subject up, then measure all in turn, round by round.

    Args:
        subjects: open ones.
        plan: rounds, lengths, attempts.
        measure_block: measures one block; see `measure`.
        may_repeat: asked before a noisy block is repeated: is there time?
        on_block: called after each attempt.
        short: whether a subject's blocks are the short ones.

    Returns:
        All attempts in the order in which they were made, and why those subjects that broke on
        the way did so; a broken subject has no blocks.
    """
    blocks: list[Block] = []
    failed: dict[str, str] = {}
    for subject in subjects:
        try:
            subject.block(plan.warm_up_s)
        except NotMeasured as reason:
            failed[subject.key] = str(reason)
    for round_index in range(plan.rounds):
        for subject in rotated(subjects, round_index):
            seconds = plan.short_block_s if short(subject) else plan.block_s
            for attempt in range(plan.max_attempts):
                if subject.key in failed:
                    break
                try:
                    count, usage = measure_block(subject, seconds)
                except NotMeasured as reason:
                    failed[subject.key] = str(reason)
                    break
                block = _block(subject.key, round_index, attempt, count, usage)
                blocks.append(block)
                on_block(block)
                if block.quiet or not may_repeat():
                    break
    return [block for block in blocks if block.subject not in failed], failed


def kept(blocks: Sequence[Block]) -> list[Block]:
    """Return the quietest attempt of each subject and round, in order of subject and round."""
    best: dict[tuple[str, int], Block] = {}
    for block in blocks:
        key = (block.subject, block.round)
        if key not in best or block.foreign_share < best[key].foreign_share:
            best[key] = block
    return [best[key] for key in sorted(best)]


def _block(subject: str, round_index: int, attempt: int, count: Count, usage: load.Usage) -> Block:
    return Block(
        subject=subject,
        round=round_index,
        attempt=attempt,
        env_steps=count.env_steps,
        seconds=count.seconds,
        all_env_steps=count.all_env_steps,
        cpu_s=usage.own_cpu_s if count.cpu_s is None else count.cpu_s,
        foreign_share=usage.foreign_share,
    )
