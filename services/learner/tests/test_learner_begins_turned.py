"""Runs that begin with turned knobs: `--difficulty` and `--knobs`.

On the toy, whose one knob weakens its force: nominal is 1, hard is 0.5 to 1."""

import numpy as np
import pytest
from staging import STEPS, Killed, die, envs, kinds, logged, sends, task

from websim.client import FleetRefused
from websim.service.errors import UserError
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.checkpoint import read_checkpoint
from websim_learner.control import FitnessProgram, SetGoal, SetKnobs

HALF = {"force": (0.75, 1.0)}
WEAK = {"force": (0.6, 0.8)}
BEGINNINGS = [({"difficulty": 0.5}, HALF), ({"knobs": WEAK}, WEAK)]
DISTANCE = FitnessProgram(program="def fitness(state, action):\n    return 0.0 * state.x\n")


def forces(client):
    return {tuple(shard.force_range) for shard in client._rows}


def goal(target):
    """A goal whose fitness is 0 whatever happens."""
    return SetGoal(kind="set_goal", description="be", fitness=DISTANCE, target=target)


def before_the_first_step(h):
    """Return the force of each env, and the ranges, where nothing has been done yet."""
    arrays = read_checkpoint(h.run_dir.checkpoints / "update-00000000").arrays["branch-0.fleet"]
    ranges = {tuple(array) for name, array in arrays.items() if name.endswith("force_range")}
    drawn = [array for name, array in arrays.items() if name.endswith("force")]
    return np.concatenate(drawn), ranges


@pytest.mark.parametrize("adapt", ["off", "auto", "approve"])
@pytest.mark.parametrize(("given", "ranges"), BEGINNINGS, ids=["difficulty", "knobs"])
def test_the_first_episodes_are_within_the_ranges(harness, given, ranges, adapt):
    h = harness(adapt=adapt, total_steps=2 * STEPS, **given)
    h.go()
    drawn, kept = before_the_first_step(h)
    assert kept == {ranges["force"]}
    low, high = ranges["force"]
    assert len(np.unique(drawn)) == 24
    assert low <= drawn.min() < drawn.max() <= high


def test_without_them_no_knob_is_touched_and_nothing_is_logged(harness):
    h = harness(total_steps=2 * STEPS)
    client, sent = h.clients[0], []
    client.send_knobs = lambda *command: sent.append(command)
    h.go()
    drawn, kept = before_the_first_step(h)
    assert sent == []
    assert (set(drawn), kept) == ({1.0}, {(1.0, 1.0)})
    assert not (h.run_dir.path / "adaptations.jsonl").exists()
    assert (h.run.adaptation.ranges, h.run.adaptation.difficulty) == ({}, 0.0)


@pytest.mark.parametrize(("given", "ranges"), BEGINNINGS, ids=["difficulty", "knobs"])
def test_they_are_told_as_if_a_person_had_turned_them(harness, given, ranges):
    h = harness(total_steps=2 * STEPS, **given)
    h.go()
    view, difficulty = h.run.adaptation_view.goal(), given.get("difficulty")
    assert (view.knobs, view.difficulty) == (ranges, difficulty or 0.0)
    assert logged(h, "knobs") == [
        {
            "ranges": {"force": list(ranges["force"])},
            "difficulty": difficulty,
            "by": "person",
            "why": "given at the start",
        }
    ]
    assert kinds(h) == ["start"], "the configuration has them"
    assert replay_decisions(h.run_dir.path) == 0


def test_a_difficulty_of_0_is_told_too(harness):
    h = harness(total_steps=2 * STEPS, difficulty=0.0)
    h.go()
    assert [(row["difficulty"], row["ranges"]) for row in logged(h, "knobs")] == [
        (0.0, {"force": [1.0, 1.0]})
    ]


def test_the_same_flags_give_the_same_weights_and_others_do_not(harness):
    digests = []
    for given in ({}, {"difficulty": 0.5}, {"difficulty": 0.5}, {"knobs": HALF}, {"knobs": WEAK}):
        h = harness(**given)
        h.go()
        digests.append(h.digest())
    nominal, half, again, by_name, weak = digests
    assert half == again == by_name
    assert len({nominal, half, weak}) == 3


def test_evaluations_stay_nominal(harness):
    h = harness(eval_every_updates=2, difficulty=1.0)
    h.go()
    training, evaluation = h.clients[0], h.clients[1]
    assert (forces(training), forces(evaluation)) == ({(0.5, 1.0)}, {(1.0, 1.0)})


# --- lives


@pytest.mark.parametrize("dies_at", [2, 5], ids=["after the first checkpoint", "after the next"])
def test_a_killed_run_goes_on_within_the_ranges(harness, tmp_path, dies_at):
    alone = harness(difficulty=0.5)
    alone.go()
    first = harness(tmp_path / "killed", difficulty=0.5)
    first.at = {dies_at: [die]}
    with pytest.raises(Killed):
        first.go()
    again = harness(tmp_path / "killed", difficulty=0.5)
    assert (again.run.adaptation.ranges, again.run.adaptation.difficulty) == (HALF, 0.5)
    again.go()
    assert again.digest() == alone.digest()
    assert len(logged(again, "knobs")) == 1


def test_a_run_killed_before_its_first_checkpoint_begins_so_again(harness, tmp_path):
    alone = harness(difficulty=0.5)
    alone.go()
    first = harness(tmp_path / "killed", difficulty=0.5)
    first.run._ledger.write_checkpoint = lambda: die(first)
    with pytest.raises(Killed):
        first.go()
    again = harness(tmp_path / "killed", difficulty=0.5)
    again.go()
    assert again.digest() == alone.digest()
    assert kinds(again) == ["start", "resume"]
    assert replay_decisions(again.run_dir.path) == 0


def test_envs_that_are_lost_before_the_first_checkpoint_are_turned_again(harness):
    alone, h = harness(difficulty=0.5), harness(difficulty=0.5)
    alone.go()

    def lost(shard, timeout_s):
        raise FleetRefused("shard_lost", "environments 0 to 6 are lost")

    h.clients[0].snapshot = lost
    assert h.go() == "finished"
    assert [forces(client) for client in h.clients[:2]] == [{HALF["force"]}] * 2
    assert h.digest() == alone.digest()
    assert len(logged(h, "knobs")) == 1


def test_what_a_person_turns_later_holds_in_later_lives(harness, tmp_path):
    turn = SetKnobs(kind="set_knobs", knobs=WEAK)
    first = harness(tmp_path / "killed", difficulty=0.5)
    first.at = {4: [sends(turn)], 7: [die]}
    with pytest.raises(Killed):
        first.go()
    again = harness(tmp_path / "killed", difficulty=0.5)
    again.go()
    assert forces(again.branch.client) == {WEAK["force"]}
    assert again.run.adaptation.ranges == WEAK


# --- what follows from them


def test_harder_goes_on_from_the_difficulty_that_was_given(harness):
    h = harness(adapt="auto", total_steps=20 * STEPS, eval_every_updates=2, difficulty=0.8)
    h.at = {2: [sends(goal(target=0.0))]}
    h.go()
    levels = [level["difficulty"] for level in logged(h, "environment")[0]["levels"]]
    assert levels == [0.9, 1.0]
    assert [row["difficulty"] for row in logged(h, "knobs")] == [0.8, 1.0]
    assert replay_decisions(h.run_dir.path) == 0


def test_easier_goes_back_from_it(harness):
    h = harness(adapt="auto", total_steps=20 * STEPS, eval_every_updates=2, difficulty=0.2)
    h.at = {2: [sends(goal(target=5.0))]}
    h.go()
    assert [row["difficulty"] for row in logged(h, "knobs")] == [0.2, 0.1, 0.0]


def test_other_envs_begin_within_the_ranges_and_another_task_nominal(harness):
    h = harness(eval_every_updates=0, total_steps=16 * STEPS, difficulty=0.5)
    seen = []

    def note(h):
        seen.append((forces(h.branch.client), h.run.adaptation.ranges, h.run.adaptation.difficulty))

    h.at = {2: [sends(envs(12))], 4: [note, sends(task("Heavy-v0"))], 6: [note]}
    h.go()
    assert seen == [({HALF["force"]}, HALF, 0.5), ({(1.0, 1.0)}, {}, 0.0)]


def test_a_run_goes_on_after_it_has_left_for_a_task_without_knobs(harness, tmp_path):
    first = harness(tmp_path / "killed", difficulty=0.5)
    first.at = {2: [sends(task("Knobless-v0"))], 7: [die]}
    with pytest.raises(Killed):
        first.go()
    again = harness(tmp_path / "killed", difficulty=0.5)
    assert again.branch.client.task.id == "Knobless-v0"
    assert again.go() == "finished"


# --- what is refused


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"knobs": {"forse": (1.0, 1.0)}}, r"no knob 'forse'\. Did you mean 'force'\?$"),
        ({"knobs": {"gravity": (1.0, 1.0)}}, "no knob 'gravity'. It has force.$"),
        ({"knobs": {"force": (0.5, 2.5)}}, r"\[0.5, 2.5\] is no range .* low and high from 0 to 2"),
        ({"task": "Knobless-v0", "knobs": WEAK}, "Knobless-v0 has no knobs. Its task file may"),
        ({"task": "Knobless-v0", "difficulty": 0.5}, "Knobless-v0 has no knobs"),
    ],
)
def test_what_the_task_does_not_allow_is_refused_before_anything_is_written(
    harness, tmp_path, monkeypatch, make_client, given, says
):
    closed = []
    monkeypatch.setattr(make_client, "close", lambda client: closed.append(client))
    with pytest.raises(UserError, match=says) as refusal:
        harness(tmp_path / "run", **given)
    assert "\n" not in str(refusal.value)
    assert len(closed) == 1, "its envs are given back"
    assert not (tmp_path / "run").exists()
