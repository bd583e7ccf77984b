"""The history: what goes in comes out, after a crash too; it neither doubles nor grows for ever."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from dashboard_samples import make_metrics, make_run, make_state, make_trial

from websim.service.errors import UserError
from websim_dashboard import history as module
from websim_dashboard.history import DAY_S, MAX_EVENTS, History
from websim_dashboard.records import split_records, trial_points
from websim_dashboard.trials import KEPT_TRIALS

RUN = "/runs/r1"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "history.sqlite"


def open_history(path, keep_days=30.0, keep_points=1000, clock=time.time):
    return History(path, keep_days=keep_days, keep_points=keep_points, clock=clock)


def add(history, *records, run=RUN):
    points, events = split_records(records)
    trials = trial_points(records)
    history.add(run, make_run(run_dir=run), records[-1]["n"], points, events, trials)


def test_points_and_events_are_there_when_it_is_opened_again(path):
    first = open_history(path)
    add(first, make_metrics(1), make_state(2, "paused"), make_metrics(3, return_mean=None))
    first.close()

    history = open_history(path)
    series = history.series(RUN, "r1", [], 0, 100)
    [branch] = series.branches
    assert (series.run, series.last) == ("r1", 3)
    assert (branch.number, branch.update, branch.env_steps) == ([1, 3], [1, 3], [1000, 3000])
    assert branch.values["return_mean"] == [10.0, None]
    assert branch.values["component:forward"] == [0.75, 0.75]
    assert "success_mean" not in branch.values
    assert [event.title for event in history.events(RUN, [], 0)] == ["paused"]
    assert history.last_number(RUN) == 3
    assert history.last_status(RUN)["env_steps"] == 3000
    assert history.latest_run() == (RUN, "r1")
    history.close()


def test_a_name_that_ends_in_a_star_means_all_that_begin_so(path):
    history = open_history(path)
    add(history, make_metrics(1))
    [branch] = history.series(RUN, "r1", ["component:*", "policy_loss"], 0, 100).branches
    assert list(branch.values) == ["component:control", "component:forward", "policy_loss"]
    history.close()


def curve(history, contender, adaptation=1):
    points = history.trial(RUN, adaptation)
    return [(p.trial_env_steps, p.return_mean) for p in points if p.contender == contender]


def test_a_trial_that_is_held_anew_replaces_what_it_told_before(path):
    history = open_history(path)
    add(history, make_trial(1, 100), make_trial(2, 200), make_trial(3, 100, "bold"))
    add(history, make_trial(1_000_000_001, 100, return_mean=-1.0))
    assert curve(history, "control") == [(100, -1.0)]
    assert curve(history, "bold") == [(100, 200.0)]
    assert history.trial(RUN, 2) == history.trial("/runs/r2", 1) == []
    history.close()

    again = open_history(path)
    add(again, make_trial(1_000_000_002, 200, fitness_mean=0.5))
    assert curve(again, "control") == [(100, -1.0), (200, 400.0)]
    again.close()


def test_the_curves_of_the_newest_trials_are_kept(path):
    history = open_history(path)
    add(history, *(make_trial(n, 100, adaptation=n) for n in range(1, KEPT_TRIALS + 3)))
    kept = [n for n in range(1, KEPT_TRIALS + 3) if curve(history, "control", n)]
    assert kept == list(range(3, KEPT_TRIALS + 3))
    history.close()


def test_a_point_of_a_trial_that_cannot_be_read_is_told_and_left_out():
    said = []
    broken = make_trial(1, 100) | {"trial_env_steps": "many"}
    [point] = trial_points([broken, make_trial(2, 200), make_metrics(3)], said.append)
    assert (point.number, point.trial_env_steps, point.fitness_mean) == (2, 200, None)
    assert len(said) == 1
    assert "trial" in said[0]


def test_only_what_is_named_and_new_is_answered(path):
    history = open_history(path)
    add(history, *(make_metrics(n) for n in range(1, 11)))
    [branch] = history.series(RUN, "r1", ["policy_loss"], 7, 100).branches
    assert branch.update == [8, 9, 10]
    assert list(branch.values) == ["policy_loss"]
    assert history.series(RUN, "r1", [], 10, 100).branches == []
    assert history.series("/runs/other", "x", [], 0, 100).last == 0
    history.close()


def make_command(n):
    return make_state(n, "paused") | {"kind": "command", "command": "set_task", "detail": ""}


def make_evaluation(n):
    told = {"return_mean": 1.0, "return_std": 0.0, "fitness_mean": None, "episodes": 1}
    return make_state(n, "paused") | {"kind": "evaluation"} | told


def test_each_kind_of_event_has_a_bound_of_its_own_in_an_answer(path, monkeypatch):
    monkeypatch.setattr(module, "MAX_EVENTS", 4)
    history = open_history(path)
    evaluations = [make_evaluation(n) for n in range(1, 11)]
    add(history, *evaluations, *(make_command(n) for n in range(11, 17)))
    told = [(event.kind, event.number) for event in history.events(RUN, [], 0)]
    # Ten are three times four at most: each third, the newest among them.
    assert told[:4] == [("evaluation", n) for n in (1, 4, 7, 10)]
    assert told[4:] == [("command", n) for n in (13, 14, 15, 16)]
    assert [event.number for event in history.events(RUN, ["evaluation"], 7)] == [8, 9, 10]
    history.close()


def test_old_events_are_dropped_kind_by_kind_and_evaluations_grow_coarser(path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_EVENTS", 4)
    history = open_history(path)
    for n in range(1, 6):
        add(history, make_evaluation(n))
    for n in range(6, 11):
        add(history, make_command(n))
    # The fifth of a kind is one too many: of the oldest two, one evaluation, and both commands go.
    told = [event.number for event in history.events(RUN, [], 0)]
    assert told == [1, 3, 4, 5, 8, 9, 10]
    history.close()
    history = open_history(path)
    add(history, make_evaluation(11))
    assert [event.number for event in history.events(RUN, ["evaluation"], 0)] == [1, 4, 5, 11]
    history.close()


def test_events_of_other_kinds_leave_those_asked_for_their_place(path):
    history = open_history(path)
    states = [make_state(n, "paused") for n in range(2, MAX_EVENTS + 3)]
    add(history, make_command(1), *states)
    asked = history.events(RUN, ["evaluation", "command"], 0)
    assert [event.title for event in asked] == ["set task"]
    assert history.events(RUN, ["command"], 1) == []
    numbers = [event.number for event in history.events(RUN, [], 0)]
    assert numbers == [1, *range(3, MAX_EVENTS + 3)]
    history.close()


def test_thinned_series_are_even_and_end_with_the_newest(path):
    history = open_history(path)
    add(history, *(make_metrics(n) for n in range(1, 101)))
    [branch] = history.series(RUN, "r1", [], 0, 30).branches
    assert len(branch.update) <= 30
    assert branch.update[-1] == 100
    assert {b - a for a, b in zip(branch.update, branch.update[1:], strict=False)} == {4}
    history.close()


def test_what_is_done_again_after_a_restart_replaces_what_was_done_before(path):
    history = open_history(path)
    other = make_metrics(6, update=5, branch=1)
    add(history, *(make_metrics(n) for n in range(1, 6)), other)
    again = 1_000_000_000
    add(history, make_metrics(again + 1, update=3, return_mean=-1.0))
    one, another = history.series(RUN, "r1", ["return_mean"], 0, 100).branches
    assert one.update == [1, 2, 3]
    assert one.values["return_mean"] == [10.0, 20.0, -1.0]
    assert another.update == [5]
    assert history.last_number(RUN) == again + 1
    history.close()


def test_lives_in_one_batch_replace_one_another_and_a_batch_that_comes_twice_loses_nothing(path):
    history = open_history(path)
    first = [make_metrics(n) for n in range(1, 6)]
    again = [make_metrics(1_000_000_000 + n, update=2 + n) for n in range(1, 3)]
    for batch in (first, [*first[3:], *again], again):
        add(history, *batch)
    [branch] = history.series(RUN, "r1", [], 0, 100).branches
    assert branch.update == [1, 2, 3, 4]
    assert branch.number[1:] == [2, *(each["n"] for each in again)]
    history.close()


def test_a_run_keeps_its_recent_points_and_the_shape_of_its_old_ones(path):
    history = open_history(path, keep_points=1000)
    for start in range(1, 4000, 100):
        add(history, *(make_metrics(n) for n in range(start, start + 100)))
    [branch] = history.series(RUN, "r1", ["return_mean"], 0, 10_000).branches
    assert 500 <= len(branch.update) <= 1000
    assert branch.update[-100:] == list(range(3901, 4001))
    assert branch.update[0] < 200
    assert branch.update == sorted(branch.update)
    history.close()


def test_runs_not_heard_of_for_long_are_forgotten(path):
    history = open_history(path)
    add(history, make_metrics(1), make_state(2, "running"))
    add(history, make_metrics(1), run="/runs/r2")
    history.close()
    with sqlite3.connect(path) as db:
        old = time.time() - 31 * DAY_S
        db.execute("UPDATE runs SET heard_unix_s = ? WHERE run = ?", (old, RUN))
    db.close()

    history = open_history(path)
    assert history.series(RUN, "r1", [], 0, 100).branches == []
    assert history.events(RUN, [], 0) == []
    assert history.latest_run()[0] == "/runs/r2"
    history.close()


def test_the_run_that_was_heard_of_last_is_never_forgotten(path):
    history = open_history(path, clock=lambda: 1.7e9)
    add(history, make_metrics(1))
    history.close()
    history = open_history(path, keep_days=30.0, clock=lambda: 1.7e9 + 91 * DAY_S)
    assert history.latest_run() == (RUN, "r1")
    assert history.series(RUN, "r1", [], 0, 100).branches[0].number == [1]
    history.close()


def test_they_are_forgotten_once_a_day_while_it_is_open(path):
    now_s = 1.7e9
    history = open_history(path, keep_days=30.0, clock=lambda: now_s)
    add(history, make_metrics(1), make_state(2, "running"))

    def known_after(days):
        nonlocal now_s
        now_s = 1.7e9 + days * DAY_S
        add(history, make_metrics(1), run="/runs/r2")
        return history.last_number(RUN)

    assert [known_after(days) for days in (29.5, 30.25, 30.75)] == [2, 2, 0]
    assert history.events(RUN, [], 0) == []
    assert history.last_number("/runs/r2") == 1
    history.close()


def test_a_killed_writer_loses_nothing_that_was_added(path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from test_dashboard_history import *\n"
        "from pathlib import Path\n"
        "history = open_history(Path(sys.argv[1]), keep_points=100_000)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    add(history, make_metrics(n))\n"
        "    print(n, flush=True)\n"
    )
    here = os.path.dirname(__file__)
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(path), here], stdout=subprocess.PIPE, text=True
    )
    with writer:
        for line in writer.stdout:
            if int(line) == 50:
                break
        writer.send_signal(signal.SIGKILL)
        said = [int(line) for line in writer.stdout if line.endswith("\n")]
    history = open_history(path)
    [branch] = history.series(RUN, "r1", [], 0, 100_000 - 1).branches
    assert branch.update == list(range(1, len(branch.update) + 1))
    assert len(branch.update) >= max([50, *said])
    history.close()


def test_a_file_that_is_no_history_is_refused_in_a_line(path, tmp_path):
    (tmp_path / "text").write_text("this is no database, and long enough to be looked at" * 50)
    with pytest.raises(UserError, match=r"cannot be used.*--history"):
        open_history(tmp_path / "text")
    history = open_history(path)
    history.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UserError, match="version 99"):
        open_history(path)
