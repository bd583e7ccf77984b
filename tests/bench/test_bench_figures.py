"""From blocks to rows, tables, JSON, plots and verdicts."""

import json

import pytest
from curve_report import Curve, Point, SeedCurve, draw_curves, print_curves
from interleave import Block
from machine import Machine
from plot import draw
from report import (
    HEADINGS,
    Bench,
    TaskFigures,
    cells,
    make_console,
    markdown,
    notes,
    print_task,
    to_json,
)
from summary import Missing, Spread, summarise
from targets import judge, judge_curve

PNG = b"\x89PNG"
AFTER = ((25.0, 1300.0), (60.0, 4100.0))


class Named:
    def __init__(self, key, num_envs=1024, note=""):
        self.key, self.label, self.num_envs, self.note = key, key.title(), num_envs, note


def make_blocks(subject, speeds, *, cpu_per_s=2.0, foreign=0.0):
    return [
        Block(
            subject=subject,
            round=index,
            attempt=0,
            env_steps=int(speed),
            seconds=1.0,
            all_env_steps=int(speed),
            cpu_s=cpu_per_s,
            foreign_share=foreign,
        )
        for index, speed in enumerate(speeds)
    ]


def make_rows(speeds_of, foreign=0.0, **num_envs):
    subjects = [Named(key, num_envs.get(key, 1024)) for key in speeds_of]
    blocks = [
        b for key, speeds in speeds_of.items() for b in make_blocks(key, speeds, foreign=foreign)
    ]
    return summarise(blocks, subjects, {})


def make_bench(**overrides):
    rows = make_rows({"mujoco": [1000, 2000, 1000], "fleet_step": [900, 1600, 850]})
    figures = TaskFigures(
        "Hopper-v5",
        rows,
        [Missing("envpool_sync", "EnvPool sync", "envpool is not installed")],
        {"stepping": make_blocks("mujoco", [1000])},
    )
    settings = {
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 61.23,
        "machine": Machine("Some processor", 2, 24, "Linux", "3.11.7"),
        "versions": {"websim": "0.1.0"},
        "peer_versions": {},
        "commit": "abc",
        "settings": {"num_envs": 1024},
        "tasks": [figures],
    }
    return Bench(**{**settings, **overrides})


def make_curve(finals, speed=26_000.0, after=AFTER, foreign=0.0, steps=3_000_000):
    seeds = []
    for seed, final in enumerate(finals):
        points = [
            Point(asked_s, asked_s - 0.2, 1000 * int(asked_s), value, 1.0)
            for asked_s, value in after
        ]
        points.append(Point(None, 110.0, steps, final, 1.0))
        seeds.append(SeedCurve(seed, points, speed, 20_000.0, foreign))
    return Curve("websim", "WebSim PPO", seeds)


def test_ratios_are_taken_within_a_round():
    # The second round ran on a machine twice as fast, for both.
    rows = make_rows({"mujoco": [1000, 2000, 1000], "fleet_step": [900, 1600, 850]})
    assert rows[0].ratio == Spread(1.0, 1.0, 1.0)
    assert rows[1].ratio == Spread(0.85, 0.8, 0.9)
    assert rows[1].steps_per_s == Spread(900, 850, 1600)


def test_steps_per_cpu_second_are_over_all_blocks():
    blocks = make_blocks("mujoco", [1000, 3000], cpu_per_s=2.0)
    blocks += make_blocks("fleet_step", [500, 1500], cpu_per_s=1.0)
    rows = summarise(blocks, [Named("mujoco"), Named("fleet_step", note="as is")], {"mujoco": 7})
    assert [row.steps_per_cpu_s for row in rows] == [1000.0, 1000.0]
    assert rows[1].cpu_ratio == 1.0
    assert rows[0].memory_bytes == 7
    assert rows[1].note == "as is"


def test_a_subject_without_blocks_has_no_row_and_without_reference_no_ratio():
    rows = summarise(make_blocks("a", [10]), [Named("a"), Named("b")], {})
    assert [row.subject for row in rows] == ["a"]
    assert rows[0].ratio is None
    assert rows[0].cpu_ratio is None
    assert len(cells(rows[0])) == len(HEADINGS)


def test_quiet_blocks_are_counted():
    blocks = make_blocks("a", [10, 10]) + make_blocks("b", [10, 10], foreign=0.5)
    rows = summarise(blocks, [Named("a"), Named("b")], {})
    assert [(row.num_quiet, row.num_blocks) for row in rows] == [(2, 2), (0, 2)]


def test_json_holds_every_block_and_can_be_read_back():
    told = json.loads(json.dumps(to_json(make_bench())))
    assert told["schema"] == 1
    assert told["seconds"] == 61.2
    assert told["machine"]["cores"] == 2
    [task] = told["tasks"]
    assert task["rows"][1]["ratio"] == {"median": 0.85, "low": 0.8, "high": 0.9}
    assert task["blocks"]["stepping"][0]["env_steps"] == 1000
    assert task["missing"][0]["why"] == "envpool is not installed"


def test_tables_say_what_was_measured_and_what_was_not(capsys):
    bench = make_bench()
    text = markdown(bench)
    assert "| Fleet_Step | 900 | 0.8..1.6k | 0.850 | 0.80..0.90 | 0.838 |  | 3/3 |" in text
    assert "EnvPool sync: envpool is not installed" in text
    assert "2 cores of Some processor, 24 GiB" in text
    print_task(make_console(), bench.tasks[0], 1024)
    printed = capsys.readouterr().out
    assert "0.850" in printed
    assert "envpool is not installed" in printed


def test_notes_are_told_once_for_all_rows_they_are_about():
    named = [Named("mujoco"), Named("a", note="runs Ant-v5"), Named("b", note="runs Ant-v5")]
    blocks = [block for each in named for block in make_blocks(each.key, [10])]
    figures = TaskFigures("AntFast-v0", summarise(blocks, named, {}))
    assert notes(figures) == ["A, B: runs Ant-v5"]


def test_plots_are_written(tmp_path):
    draw(make_bench(), tmp_path / "bench.png")
    draw_curves("Hopper-v5", [make_curve([1.0, 2.0])], "2 cores", tmp_path / "curves.png")
    for name in ("bench.png", "curves.png"):
        assert (tmp_path / name).read_bytes()[:4] == PNG


@pytest.mark.parametrize(("speed", "passed"), [(900, True), (899, False)])
def test_a_floor_is_judged_by_the_median_ratio(speed, passed):
    rows = make_rows({"mujoco": [1000] * 3, "fleet_send_recv": [800, speed, 2000]})
    verdicts = judge({"HalfCheetah-v5": rows})
    [floor] = [v for v in verdicts if v.target.startswith("HalfCheetah-v5: fleet_send_recv >=")]
    assert floor.passed is passed


def test_what_was_measured_amid_noise_is_not_judged():
    speeds = {"mujoco": [1000], "fleet_send_recv": [950], "envpool_sync": [990]}
    verdicts = judge({"Ant-v5": make_rows(speeds, foreign=0.3)})
    assert {verdict.passed for verdict in verdicts} == {None}
    assert any("0.950, but fleet_send_recv had only 0 of 1" in v.measured for v in verdicts)


def test_rivals_are_judged_at_the_same_number_of_environments():
    speeds = {"mujoco": [1000], "fleet_send_recv": [900], "envpool_sync": [800]}
    verdicts = {v.target: v for v in judge({"Ant-v5": make_rows(speeds)})}
    assert verdicts["Ant-v5: fleet_send_recv above envpool_sync"].passed is True
    assert verdicts["Ant-v5: fleet_send_recv above envpool_async"].passed is None
    other = {v.target: v for v in judge({"Ant-v5": make_rows(speeds, envpool_sync=64)})}
    assert other["Ant-v5: fleet_send_recv above envpool_sync"].passed is None


def test_what_was_not_measured_is_neither_passed_nor_missed():
    assert {verdict.passed for verdict in judge({})} == {None}


def test_training_goals_are_judged_by_the_median_seed():
    good = judge_curve("HalfCheetah-v5", make_curve([5000.0, 5600.0, 6000.0]))
    assert [verdict.passed for verdict in good] == [True] * 4
    poor = judge_curve("HalfCheetah-v5", make_curve([5000.0, 5400.0, 6000.0], speed=20_000.0))
    assert [verdict.passed for verdict in poor] == [True, True, False, False]
    busy = judge_curve(
        "HalfCheetah-v5", make_curve([5000.0, 5400.0, 6000.0], speed=20_000.0, foreign=0.5)
    )
    assert [verdict.passed for verdict in busy] == [True, True, None, False]
    short = judge_curve("HalfCheetah-v5", make_curve([5600.0], after=((25.0, 1300.0),)))
    assert [verdict.passed for verdict in short] == [True, None, True, True]
    brief = judge_curve("HalfCheetah-v5", make_curve([5600.0], steps=500_000))
    assert {verdict.passed for verdict in brief} == {None}
    assert judge_curve("Swimmer-v5", make_curve([1.0])) == []


def test_a_curve_without_runs_says_why(capsys):
    gone = Curve("sb3_dummy", "SB3", why_not="stable_baselines3 is not installed")
    print_curves(make_console(), "Hopper-v5", [make_curve([7.0]), gone])
    printed = capsys.readouterr().out
    assert "SB3: stable_baselines3 is not installed" in printed
    assert "4,100" in printed
