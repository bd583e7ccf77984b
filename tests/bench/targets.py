"""The throughput that the fleet is to reach, as ratios measured within one run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from curve_report import Curve
from interleave import QUIET_SHARE
from summary import REFERENCE, Row

FLOORS = (
    ("HalfCheetah-v5", "fleet_send_recv", 0.90),
    ("HalfCheetah-v5", "fleet_step", 0.85),
    ("HumanoidFast-v0", "fleet_send_recv", 0.90),
    ("HumanoidFast-v0", "fleet_step", 0.85),
    ("Humanoid-v5", "fleet_send_recv", 0.80),
    ("Ant-v5", "fleet_send_recv", 0.80),
)
"""Task, tier, and the least ratio to MuJoCo alone. Humanoid-v5 and Ant-v5 pay for Gymnasium's
contact forces."""

RIVALS = ("envpool_sync", "envpool_async")
"""What the fleet's send/recv is to be faster than, at the same number of environments."""


@dataclass(frozen=True)
class Goal:
    """What training a task is to reach, as the median over seeds."""

    total_steps: int
    """Env steps of a run at least: a shorter one learns at other rates and is not judged."""
    after_s: Mapping[float, float] = field(default_factory=dict)
    """Evaluation return after so many seconds of training, on two cores."""
    at_the_end: float | None = None
    """Evaluation return after the task's own number of steps."""
    steps_per_s: float | None = None
    """On two cores."""


GOALS = {
    "HalfCheetah-v5": Goal(3_000_000, {25.0: 1200.0, 60.0: 4000.0}, 5500.0, 25_000.0),
    "InvertedPendulum-v5": Goal(400_000, {8.0: 950.0}, 950.0),
    "Hopper-v5": Goal(3_000_000, at_the_end=2000.0),
    "Walker2d-v5": Goal(3_000_000, at_the_end=2000.0),
}


@dataclass(frozen=True)
class Verdict:
    """One target and what became of it."""

    target: str
    passed: bool | None
    """None: not measured in this run, or not on a quiet machine."""
    measured: str


def judge(rows_of: Mapping[str, Sequence[Row]]) -> list[Verdict]:
    """Judge all throughput targets by the rows of each task.

    What was not measured on a quiet machine is not judged: the more processes a subject has, the
    more of a busy machine it gets.
    """
    verdicts = []
    for task, tier, floor in FLOORS:
        row, base = _row(rows_of, task, tier), _row(rows_of, task, REFERENCE)
        target = f"{task}: {tier} >= {floor:.2f} of MuJoCo alone"
        if row is None or row.ratio is None or base is None:
            verdicts.append(_not_measured(target))
            continue
        ratio = row.ratio.median
        verdicts.append(_verdict(target, ratio >= floor, f"{ratio:.3f}", (row, base)))
    for task in dict.fromkeys(task for task, _, _ in FLOORS):
        own = _row(rows_of, task, "fleet_send_recv")
        for rival in RIVALS:
            other = _row(rows_of, task, rival)
            target = f"{task}: fleet_send_recv above {rival}"
            if own is None or other is None or own.num_envs != other.num_envs:
                verdicts.append(_not_measured(target))
                continue
            ours, theirs = own.steps_per_s.median, other.steps_per_s.median
            measured = f"{ours:,.0f} against {theirs:,.0f}"
            verdicts.append(_verdict(target, ours > theirs, measured, (own, other)))
    return verdicts


def _verdict(target: str, passed: bool, measured: str, rows: Sequence[Row]) -> Verdict:
    """Return a verdict, or none where the rows' blocks were not mostly quiet."""
    for row in rows:
        if 2 * row.num_quiet <= row.num_blocks:
            noise = f"{measured}, but {row.subject} had only {row.num_quiet} of {row.num_blocks} "
            return Verdict(target, None, noise + "blocks quiet: not judged")
    return Verdict(target, passed, measured)


def _not_measured(target: str) -> Verdict:
    return Verdict(target, None, "not measured")


def _row(rows_of: Mapping[str, Sequence[Row]], task: str, subject: str) -> Row | None:
    return next((row for row in rows_of.get(task, ()) if row.subject == subject), None)


def judge_curve(task: str, curve: Curve) -> list[Verdict]:
    """Judge what training a task is to reach by the runs of our learner."""
    goal = GOALS.get(task)
    if goal is None:
        return []
    timed = [
        (f"return >= {floor:,.0f} after {after_s:g} s", floor, curve.after(after_s))
        for after_s, floor in goal.after_s.items()
    ]
    if goal.steps_per_s is not None:
        timed.append((f">= {goal.steps_per_s:,.0f} steps/s", goal.steps_per_s, curve.steps_per_s))
    untimed = []
    if goal.at_the_end is not None:
        text = f"return >= {goal.at_the_end:,.0f} at the end"
        untimed.append((text, goal.at_the_end, curve.final))
    verdicts = []
    for text, floor, spread in (*timed, *untimed):
        target = f"{task}: {text}, median of {len(curve.seeds)} seeds"
        if spread is None or curve.env_steps < goal.total_steps:
            verdicts.append(_not_measured(target))
            continue
        passed: bool | None = spread.median >= floor
        measured = f"{spread.median:,.0f}"
        # A busy machine makes training slower, never faster, and its results no different.
        if not passed and curve.foreign_share > QUIET_SHARE and (text, floor, spread) in timed:
            passed = None
            measured += f", but others used {curve.foreign_share:.0%} of the machine: not judged"
        verdicts.append(Verdict(target, passed, measured))
    return verdicts
