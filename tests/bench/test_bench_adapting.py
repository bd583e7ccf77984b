"""What the benches of the adaptation make of their figures."""

import json

import pytest
import rescue
from adapting import overhead_of
from arms import Ran
from blocks import Block


def test_what_a_program_adds_is_a_share_of_the_update_and_of_the_wait_for_physics():
    """0.02, 0.04 and 0.06 s are added to 1 s, of which 0.5 s are waited for the fleet."""
    task = [Block(1.0, 0.5)] * 3
    program = [Block(1.02, 0.5), Block(1.04, 0.5), Block(1.06, 0.5)]

    told = overhead_of(task, program)

    assert told["added_s"] == 0.04
    assert (told["overhead"], told["overhead_range"]) == (0.04, [0.02, 0.06])
    assert (told["of_physics"], told["of_physics_range"]) == (0.08, [0.04, 0.12])
    assert told["kept"]
    assert not overhead_of(task, [Block(1.06, 0.5)] * 3)["kept"]


@pytest.mark.parametrize(("adapted", "code"), [(8.5, 0), (7.5, 1)])
def test_a_rescue_that_misses_its_share_ends_with_1(tmp_path, monkeypatch, adapted, code):
    """Of a fitness of 10 by the task's own reward; the bad one is to leave 1 at most."""
    fitness = {"own": 10.0, "bad": 0.5, "adapted": adapted, "own_adapted": 9.5}

    def ran(arm, _directory):
        result = {"eval_fitness_mean": fitness[arm.name.split("-")[-2]], "env_steps": 1}
        return Ran(arm=arm, result=result | {"wall_s": 1.0}, rows=[], curve=[])

    monkeypatch.setattr(rescue, "train", ran)
    monkeypatch.setattr(rescue, "draw", lambda *_: None)
    task = next(iter(rescue.BAD))

    assert rescue.main(["--task", task, "--seeds", "0", "--out", str(tmp_path)]) == code
    assert len(json.loads((tmp_path / "rescue.json").read_text())["runs"]) == 4


def test_the_table_of_rescues_has_the_arms_that_ran():
    figures = [
        {"task": "Hopper-v5", "arm": arm, "seed": seed, "fitness": fitness}
        for arm, of in (("own", (2.0, 4.0)), ("own_adapted", (1.9, 3.0)))
        for seed, fitness in enumerate(of)
    ]
    head = "| Hopper-v5, alive only | 2,000,000 |"
    assert rescue.table(figures).splitlines() == [
        "| task, reward at the start | steps | seed | own | own, adapted | share |",
        "|---|---|---|---|---|---|",
        f"{head} 0 | 2.00 | 1.90 | 95% |",
        f"{head} 1 | 4.00 | 3.00 | 75% (missed) |",
        f"{head} mean | 3.00 | 2.45 | 82% |",
    ]
