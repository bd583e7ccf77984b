"""Curves of trials in the history's file: how contenders did while they trained. Bounded.

Functions over an open connection: the history holds its lock and its transaction.
"""

import sqlite3
from collections.abc import Iterable

from websim_dashboard.messages import TrialPoint
from websim_dashboard.tables import FORGET_TRIALS, TAKE_BACK_TRIAL

KEPT_TRIALS = 50
"""Newest adaptations whose curves are kept, of each run."""


def add_trial_points(db: sqlite3.Connection, run: str, points: Iterable[TrialPoint]) -> None:
    """Take in points of a run's trials, in the order in which they were told."""
    newest = 0
    for point in points:
        place = (run, point.adaptation, point.contender, point.trial_env_steps)
        db.execute(TAKE_BACK_TRIAL, place)
        row = (*place, point.number, point.model_dump_json())
        db.execute("INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?)", row)
        newest = max(newest, point.adaptation)
    if newest > KEPT_TRIALS:
        db.execute(FORGET_TRIALS, (run, newest - KEPT_TRIALS))


def read_trial_points(db: sqlite3.Connection, run: str, adaptation: int) -> list[TrialPoint]:
    """Return the points of one adaptation's trial, in the order in which they were told."""
    rows = db.execute(
        "SELECT point FROM trials WHERE run = ? AND adaptation = ? ORDER BY number",
        (run, adaptation),
    ).fetchall()
    return [TrialPoint.model_validate_json(row[0]) for row in rows]
