"""The environment side: knobs that are turned between updates, exactly, and a difficulty that
follows success. On the toy, whose one knob weakens its force: hard is half of it."""

import json

import numpy as np
import pytest
from staging import logged

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation.curriculum import Level, advice, floor, followed, harder, towards
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.adaptation.state import Proposal
from websim_learner.control import (
    Approve,
    FitnessProgram,
    SetDifficulty,
    SetGoal,
    SetKnobs,
    TryReward,
)

STEPS = 24 * 8
HALF = {"force": (0.75, 1.0)}
HARD = {"force": (0.5, 1.0)}
DISTANCE = FitnessProgram(program="def fitness(state, action):\n    return 0.0 * state.x\n")
CENTRE = "def reward(state, action):\n    return 2.0 - np.abs(state.x)\n"


def sends(command):
    return lambda h: h.send(command)


def difficulty(value):
    return SetDifficulty(kind="set_difficulty", difficulty=value)


def goal(target, program=DISTANCE):
    """A goal whose fitness is 0 whatever happens."""
    return SetGoal(kind="set_goal", description="be", fitness=program, target=target)


def forces(client):
    return [tuple(shard.force_range) for shard in client._rows]


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory=None, **overrides):
        return harness(directory, **{"total_steps": 14 * STEPS, **overrides})

    return build


def test_a_difficulty_turns_the_knobs_of_all_envs_between_two_updates(make):
    h = make()
    seen = {}
    h.at = {
        4: [sends(difficulty(0.5))],
        6: [lambda h: seen.setdefault("half", forces(h.clients[0]))],
        7: [sends(SetKnobs(kind="set_knobs", knobs={"force": 0.6}))],
        9: [lambda h: seen.setdefault("by name", forces(h.clients[0]))],
    }
    h.go()
    assert set(seen["half"]) == {(0.75, 1.0)}
    assert set(seen["by name"]) == {(0.6, 0.6)}
    assert [answer.detail for answer in h.answers] == ["difficulty 0.5", "force 0.6 to 0.6"]
    view = h.run.adaptation_view.goal()
    assert (view.difficulty, view.knobs) == (0.5, {"force": (0.6, 0.6)})


def test_turned_knobs_are_in_the_journal_and_change_what_is_learned(make):
    plain, turned = make(), make()
    turned.at = {4: [sends(difficulty(1.0))]}
    plain.go()
    turned.go()
    entries = [entry for entry in turned.run_dir.journal() if entry.kind == "knobs"]
    assert [(e.update, e.values["difficulty"]) for e in entries] == [(4, 1.0)]
    assert turned.digest() != plain.digest()


class Killed(Exception):
    pass


def die(h):
    raise Killed


@pytest.mark.parametrize("dies_at", [5, 8], ids=["before the checkpoint", "after it"])
def test_a_killed_run_turns_them_again_at_the_same_update(make, tmp_path, dies_at):
    alone = make()
    alone.at = {4: [sends(difficulty(1.0))]}
    alone.go()
    first = make(tmp_path / "killed")
    first.at = {4: [sends(difficulty(1.0))], dies_at: [die]}
    with pytest.raises(Killed):
        first.go()
    again = make(tmp_path / "killed")
    again.go()
    assert again.digest() == alone.digest()
    assert again.run.adaptation.ranges == HARD


def test_evaluations_stay_nominal(make):
    h = make(eval_every_updates=2)
    h.at = {3: [sends(difficulty(1.0))]}
    h.go()
    training, evaluation = h.clients[0], h.clients[1]
    assert set(forces(training)) == {(0.5, 1.0)}
    assert set(forces(evaluation)) == {(1.0, 1.0)}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (SetKnobs(kind="set_knobs", knobs={"gravity": 1.0}), "no knob 'gravity'"),
        (SetKnobs(kind="set_knobs", knobs={"force": (1.5, 2.5)}), "no range of the knob force"),
        (SetKnobs(kind="set_knobs", knobs={"force": (1.0, 0.5)}), "no range of the knob force"),
    ],
)
def test_what_cannot_be_turned_is_refused_in_a_line(make, command, says):
    h = make(total_steps=6 * STEPS)
    h.at = {2: [sends(command)]}
    assert h.go() == "finished"
    assert isinstance(h.answers[0], UserError)
    assert says in str(h.answers[0])
    assert h.run.adaptation.ranges == {}


def test_contenders_of_a_trial_live_in_the_incumbents_environments(make):
    h = make(adapt="auto", total_steps=40 * STEPS)
    h.at = {
        3: [sends(difficulty(1.0))],
        6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))],
    }
    h.go()
    groups = [client for client in h.clients[1:] if set(forces(client)) == {(0.5, 1.0)}]
    assert len(groups) == 2, "the control's and the candidate's"


def test_a_target_that_is_reached_makes_the_environment_harder_before_anything_else(make):
    h = make(adapt="auto", total_steps=40 * STEPS, eval_every_updates=2)
    h.at = {2: [sends(goal(target=0.0))]}
    h.go()
    # Fitness is 0 at every difficulty, and 0 is asked: the policy follows everywhere.
    assert h.run.adaptation.difficulty == 1.0
    measured = logged(h, "environment")[0]
    assert (measured["kept"], len(measured["levels"])) == (10, 10)
    assert logged(h, "knobs")[0]["ranges"] == {"force": [0.5, 1.0]}
    assert replay_decisions(h.run_dir.path) == 0


def test_what_cannot_be_followed_when_the_target_is_reached_is_tried_again(make):
    h = make(adapt="auto", total_steps=26 * STEPS, eval_every_updates=2)
    there = iter([-9.0, -9.0])

    def weak_at_first(h):
        h.run._adapter._value_at = lambda ranges: next(there, 0.0)

    h.at = {2: [weak_at_first, sends(goal(target=0.0))]}
    h.go()
    lines = (h.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    measured = [row for row in map(json.loads, lines) if row["kind"] == "environment"]
    # Reached by the evaluations at 4 and 6; then with every fourth one at the target.
    assert [(row["update"], row["values"]["kept"]) for row in measured] == [
        (6, 0),
        (14, 0),
        (22, 10),
    ]
    assert h.run.adaptation.difficulty == 1.0
    assert replay_decisions(h.run_dir.path) == 0


def test_a_difficulty_without_success_is_lowered(make):
    h = make(adapt="auto", total_steps=40 * STEPS, eval_every_updates=2)
    h.at = {2: [sends(goal(target=5.0))], 4: [sends(difficulty(0.2))]}
    h.go()
    turned = [row["difficulty"] for row in logged(h, "knobs")]
    assert turned == [0.2, 0.1, 0.0]
    assert h.run.adaptation.ranges == {"force": (1.0, 1.0)}


def test_without_a_target_nobody_touches_a_persons_difficulty(make):
    h = make(adapt="auto", total_steps=30 * STEPS, eval_every_updates=2)
    h.at = {2: [sends(goal(target=None))], 4: [sends(difficulty(0.2))]}
    h.go()
    assert [row["difficulty"] for row in logged(h, "knobs")] == [0.2]


def test_in_approve_mode_a_harder_environment_waits_for_a_yes(make):
    h = make(adapt="approve", total_steps=40 * STEPS, eval_every_updates=2)

    def say_yes(h):
        waiting = h.run.adaptation.waiting
        assert waiting.what == "environment"
        assert h.run.adaptation.ranges == {}
        h.send(Approve(kind="approve", adaptation=waiting.adaptation))

    h.at = {2: [sends(goal(target=0.0))], 20: [say_yes]}
    h.go()
    assert h.answers[-1].detail == "difficulty 1"
    assert h.run.adaptation.ranges == HARD


def test_proposed_ranges_are_gone_to_as_far_as_the_policy_follows(make):
    """What the policy reaches is measured on the way: not below 80 % of what it reaches now."""
    h = make(adapt="auto", total_steps=30 * STEPS)
    proposal = Proposal(adaptation=1, candidates=(), diagnosis="harder", ranges=HARD)
    reached = iter([10.0, 9.0, 8.5, 7.0])

    def propose(h):
        h.run._adapter._value_at = lambda ranges: next(reached)
        h.run._adapter._take_candidates(proposal)

    h.at = {4: [propose]}
    h.go()
    # 10 now; 9 at a quarter of the way, 8.5 at half of it, 7 at three quarters: too little.
    assert h.run.adaptation.ranges == HALF
    (measured,) = logged(h, "environment")
    assert (measured["kept"], len(measured["levels"]), measured["asked"]) == (2, 3, 10.0)
    assert replay_decisions(h.run_dir.path) == 0


def test_measuring_elsewhere_leaves_no_trace(make):
    h = make(total_steps=6 * STEPS)
    values = []

    def measure(h):
        adapter = h.run._adapter
        values.append([adapter._value_at(each) for each in (HARD, HALF, HARD)])
        values.append(adapter._look().fitness)

    h.at = {4: [measure, measure]}
    h.go()
    assert values[0][0] == values[0][2]
    assert values[0][0] != values[0][1]
    assert values[2] == values[0]
    assert values[1] == values[3]


def test_knobs_that_are_not_named_are_measured_nominal(make):
    """Whatever was measured before: what a policy reaches now is compared with what follows."""
    h = make(total_steps=6 * STEPS)
    values = []

    def measure(h):
        values.extend(h.run._adapter._value_at(each) for each in ({}, HARD, {}))

    h.at = {4: [measure]}
    h.go()
    assert values[0] == values[2] != values[1]


def test_levels_are_measured_with_the_other_knobs_as_they_are_turned(make):
    h = make(total_steps=6 * STEPS)
    measured = []

    def measure(h):
        h.run._adapter._value_at = lambda ranges: measured.append(ranges) or 1.0
        h.run.adaptation.ranges = {"mass": (2.0, 2.0), "force": (1.0, 1.0)}
        h.run._adapter._measured([Level(difficulty=None, ranges=HALF)], 1.0)

    h.at = {4: [measure]}
    h.go()
    assert measured == [{"mass": (2.0, 2.0), **HALF}]


def test_levels_beyond_a_difficulty(toy_task):
    levels = harder(toy_task.knobs, 0.7)
    assert [level.difficulty for level in levels] == [0.8, 0.9, 1.0]
    assert levels[-1].ranges == HARD
    # The last step is the rest of the way, however short.
    for begins, levels in ((0.95, [1.0]), (0.96, [1.0]), (0.77, [0.87, 0.97, 1.0])):
        assert [level.difficulty for level in harder(toy_task.knobs, begins)] == levels
    assert harder(toy_task.knobs, 1.0) == []


def test_levels_towards_ranges_begin_where_the_knobs_are(toy_task):
    levels = towards(toy_task.knobs, {"force": (0.8, 1.2)}, {"force": (0.4, 2.0)})
    assert levels[0] == Level(difficulty=None, ranges={"force": pytest.approx((0.7, 1.4))})
    assert levels[-1].ranges["force"] == pytest.approx((0.4, 2.0))
    nominal = towards(toy_task.knobs, {}, HARD)
    assert nominal[1].ranges["force"] == pytest.approx((0.75, 1.0))


def test_a_policy_follows_up_to_the_first_level_it_fails():
    assert followed([10.0, 8.0, 7.9, 9.0], 10.0) == 2
    assert followed([], 10.0) == 0
    assert followed([np.nan], 10.0) == 0
    # A share of a negative number lies below it.
    assert floor(-10.0, 0.8) == pytest.approx(-12.0)
    assert followed([-11.0, -13.0], -10.0) == 1


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([10.0], None),
        ([4.0, 10.0, 11.0], "harder"),
        ([10.0, 9.0], None),
        ([10.0, 4.9, 4.9], "easier"),
        ([4.9, 5.1], None),
    ],
)
def test_two_evaluations_that_agree_move_the_difficulty(values, says):
    assert advice(values, 10.0) == says
