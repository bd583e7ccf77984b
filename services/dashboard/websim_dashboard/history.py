"""The curves and the timeline of runs, in SQLite: they outlive pages, learners and this service.

It holds no truth: a learner's records, the rows of its log of adaptations, and what it said last of
goal, rewards and task, as they came. A point is known by run, branch and update. A learner that
goes on from an older checkpoint takes back what its branches did after it.
"""

import json
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from websim.service.errors import UserError
from websim_dashboard.messages import (
    BranchSeries,
    EventKind,
    MetricPoint,
    MetricSeries,
    TimelineEvent,
    TrialPoint,
)
from websim_dashboard.tables import (
    COUNT_EVENTS,
    DROP_EVENTS,
    EVENTS,
    POINTS,
    TABLES,
    TAKE_BACK,
    THIN_EVALUATIONS,
    THIN_OUT,
    VERSION,
)
from websim_dashboard.trials import add_trial_points, read_trial_points

MAX_EVENTS = 1000
"""Events of a kind in one answer."""

KEEP_EVENTS = 10_000
"""Events of a kind that are kept of a run."""

BUSY_TIMEOUT_S = 5.0
"""How long another process may hold the file."""

DAY_S = 86_400.0


class History:
    """An open history; any thread may use it."""

    def __init__(
        self,
        path: Path,
        *,
        keep_days: float,
        keep_points: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open a history, or begin one.

        Args:
            path: the file; its directory is made.
            keep_days: runs not heard of for longer are forgotten, now and once a day, but for the
                one that was heard of last.
            keep_points: points of a run that are kept at most.
            clock: tells the time, in s since 1970.

        Raises:
            UserError: it cannot be used.
        """
        self.path = path
        self.rows_written = 0
        self._keep_days, self._keep_points = keep_days, keep_points
        self._clock = clock
        self._forget_due_unix_s = 0.0
        self._counts: dict[str, int] = {}
        self._event_counts: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise UserError(
                f"the history {path} cannot be used: {error}",
                "Name another file with --history, or move this one away.",
            ) from None

    def _prepare(self) -> None:
        with self._db:
            self._db.execute("PRAGMA journal_mode = WAL")
            # A crash of the machine may cost the last points, never the file.
            self._db.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"it is of version {version}, and this reads {VERSION}")
            self._db.executescript(TABLES)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._forget()

    def _forget(self) -> None:
        """Forget runs not heard of for long, at most once a day; never the one heard of last."""
        now_unix_s = self._clock()
        if now_unix_s < self._forget_due_unix_s:
            return
        self._forget_due_unix_s = now_unix_s + DAY_S
        stale = (
            "SELECT run FROM runs WHERE heard_unix_s < ? "
            "AND heard_unix_s < (SELECT max(heard_unix_s) FROM runs)"
        )
        before = (now_unix_s - self._keep_days * DAY_S,)
        for (run,) in self._db.execute(stale, before).fetchall():
            for table in ("points", "events", "trials", "adaptations", "answers", "runs"):
                self._db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
            self._counts.pop(run, None)
            self._event_counts.pop(run, None)

    def latest_run(self) -> tuple[str, str] | None:
        """Return key and name of the run that was heard of last; None before any."""
        with self._lock:
            row = self._db.execute(
                "SELECT run, name FROM runs ORDER BY heard_unix_s DESC LIMIT 1"
            ).fetchone()
        return None if row is None else (row[0], row[1])

    def last_number(self, run: str) -> int:
        """Return the number of a run's newest record; 0 when there is none."""
        with self._lock:
            row = self._db.execute("SELECT last FROM runs WHERE run = ?", (run,)).fetchone()
        return 0 if row is None else int(row[0])

    def last_status(self, run: str) -> dict[str, Any] | None:
        """Return how a run stood when it was heard of last."""
        with self._lock:
            row = self._db.execute("SELECT status FROM runs WHERE run = ?", (run,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def add(
        self,
        run: str,
        status: Mapping[str, Any],
        last: int,
        points: Sequence[MetricPoint],
        events: Sequence[TimelineEvent],
        trials: Sequence[TrialPoint] = (),
    ) -> None:
        """Take in new records of a run, all of them or none.

        Args:
            run: what the run is known by.
            status: how it stands; its `run_id` is what people call it.
            last: number of the newest record.
            points: metrics among them.
            events: what happened.
            trials: points of trials' curves.

        Raises:
            sqlite3.Error: the file cannot be written just now; add them again later.
        """
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)",
                (run, status["run_id"], last, self._clock(), json.dumps(status)),
            )
            taken_back = sum(self._add_point(run, point) for point in points)
            self._db.executemany(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?)",
                ((run, e.number, e.model_dump_json()) for e in events),
            )
            add_trial_points(self._db, run, trials)
            self.rows_written += len(points) + len(events) + len(trials)
            self._thin_out(run, len(points) - taken_back)
            self._drop_events(run, Counter(event.kind for event in events))
            self._forget()

    def _add_point(self, run: str, point: MetricPoint) -> int:
        """Return how many older points it takes back."""
        place = (run, point.branch, point.update, point.number)
        taken_back = self._db.execute(TAKE_BACK, place).rowcount
        rest = (point.env_steps, point.time_unix_s, json.dumps(point.values))
        self._db.execute("INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?)", place + rest)
        return taken_back

    def _thin_out(self, run: str, added: int) -> None:
        if run not in self._counts:
            count = "SELECT count(*) FROM points WHERE run = ?"
            (self._counts[run],) = self._db.execute(count, (run,)).fetchone()
        else:
            self._counts[run] += added
        if self._counts[run] > self._keep_points:
            self._db.execute(THIN_OUT, (run, run, self._counts[run] // 2))
            del self._counts[run]

    def _drop_events(self, run: str, added: Counter[str]) -> None:
        """Keep at most KEEP_EVENTS of a kind: ever coarser evaluations, of others the newest."""
        if run not in self._event_counts:
            self._event_counts[run] = Counter(dict(self._db.execute(COUNT_EVENTS, (run,))))
        else:
            self._event_counts[run] += added
        counts = self._event_counts[run]
        for kind in [kind for kind in added if counts[kind] > KEEP_EVENTS]:
            drop = THIN_EVALUATIONS if kind == "evaluation" else DROP_EVENTS
            self._db.execute(drop, (run, run, kind, counts[kind] // 2))
            self._event_counts.pop(run, None)

    def events(self, run: str, kinds: Iterable[str], after: int) -> list[TimelineEvent]:
        """Return events of a run beyond number `after`, at most MAX_EVENTS of a kind, oldest first.

        Where there are more, they are the newest; of evaluations evenly spread ones and the newest.

        Args:
            run: what the run is known by.
            kinds: which events; none means all.
            after: number of the last event already known.
        """
        wanted = list(kinds) or get_args(EventKind)
        with self._lock:
            rows = self._db.execute(
                EVENTS, (run, after, json.dumps(wanted), MAX_EVENTS, MAX_EVENTS, MAX_EVENTS)
            ).fetchall()
        return [TimelineEvent.model_validate_json(row[0]) for row in rows]

    def trial(self, run: str, adaptation: int) -> list[TrialPoint]:
        """Return the curves of one adaptation's trial, in the order in which they were told."""
        with self._lock:
            return read_trial_points(self._db, run, adaptation)

    def last_row(self, run: str) -> int:
        """Return the number of the newest row of a run's log of adaptations; 0 for none."""
        with self._lock:
            (last,) = self._db.execute(
                "SELECT max(number) FROM adaptations WHERE run = ?", (run,)
            ).fetchone()
        return int(last or 0)

    def add_rows(self, run: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in rows of a run's log of adaptations, all of them or none.

        Raises:
            sqlite3.Error: the file cannot be written just now; add them again later.
        """
        with self._lock, self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO adaptations VALUES (?, ?, ?)",
                ((run, row["n"], json.dumps(row)) for row in rows),
            )
            self.rows_written += len(rows)

    def rows(self, run: str, after: int, limit: int) -> list[dict[str, Any]]:
        """Return the oldest rows of a run's log beyond number `after`, at most `limit`."""
        with self._lock:
            rows = self._db.execute(
                'SELECT "row" FROM adaptations WHERE run = ? AND number > ? '
                "ORDER BY number LIMIT ?",
                (run, after, limit),
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def set_answer(self, run: str, name: str, answer: Mapping[str, Any]) -> None:
        """Keep what was said last of one thing, in place of what was said before.

        Raises:
            sqlite3.Error: the file cannot be written just now; set it again later.
        """
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (run, name, json.dumps(answer))
            )
            self.rows_written += 1

    def answer(self, run: str, name: str) -> dict[str, Any] | None:
        """Return what was said last of one thing; None where nothing was."""
        with self._lock:
            row = self._db.execute(
                "SELECT answer FROM answers WHERE run = ? AND name = ?", (run, name)
            ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def series(
        self, run: str, name: str, names: Iterable[str], after: int, max_points: int
    ) -> MetricSeries:
        """Return columns of a run's points beyond number `after`.

        Args:
            run: what the run is known by.
            name: what people call it.
            names: which metrics; one that ends in * is of all that begin so; none means all.
            after: number of the last point already known.
            max_points: of one branch; where there are more, evenly spread ones and the newest.
        """
        with self._lock:
            rows = self._db.execute(
                POINTS, {"run": run, "after": after, "most": max_points}
            ).fetchall()
            newest = self._db.execute(
                'SELECT number, "values" FROM points WHERE run = ? ORDER BY number DESC LIMIT 1',
                (run,),
            ).fetchone()
        known = {} if newest is None else json.loads(newest[1])
        wanted = tuple(names)
        return MetricSeries(
            run=name,
            run_key=run,
            last=0 if newest is None else newest[0],
            names=sorted(known),
            branches=_columns(rows, wanted),
        )

    def size_bytes(self) -> int:
        """Return the size of the file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _columns(
    rows: list[tuple[int, int, int, int, float, str]], wanted: tuple[str, ...]
) -> list[BranchSeries]:
    by_branch = defaultdict(list)
    for row in rows:
        by_branch[row[0]].append(row)
    branches = []
    for branch, members in by_branch.items():
        values = [json.loads(row[5]) for row in members]
        names = {name for each in values for name in each}
        if wanted:
            names = {name for name in names if any(_is_meant(name, each) for each in wanted)}
        branches.append(
            BranchSeries(
                branch=branch,
                number=[row[1] for row in members],
                update=[row[2] for row in members],
                env_steps=[row[3] for row in members],
                time_unix_s=[row[4] for row in members],
                values={name: [each.get(name) for each in values] for name in sorted(names)},
            )
        )
    return branches


def _is_meant(name: str, wanted: str) -> bool:
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted
