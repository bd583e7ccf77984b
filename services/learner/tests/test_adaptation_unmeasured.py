"""A goal whose measure cannot be used: the run goes on, says so, and a person judges."""

import math
import shutil

import msgspec
import pytest
from staging import CENTRE, RIGHT, STEPS, kinds, logged, sends

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import AdoptReward, FitnessProgram, SetGoal, TryReward

UNKNOWN = "def fitness(state, action):\n    return state.wings\n"
INFINITE = "def fitness(state, action):\n    return state.x / (state.x - state.x)\n"
STILL = SetGoal(
    kind="set_goal",
    description="be",
    fitness=FitnessProgram(program="def fitness(state, action):\n    return 0.0 * state.x\n"),
    target=0.0,
)


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory=None, **overrides):
        own = {"adapt": "auto", "total_steps": 14 * STEPS, "eval_every_updates": 4}
        own |= {"client": {"shard_envs": 12}}
        return harness(directory, **{**own, **overrides})

    return build


def answered(program):
    """Let reward-gen answer with a measure."""

    def do(h):
        questions = h.run._adapter.questions
        poll = questions.poll

        def answer(state, branch):
            questions.poll = poll
            return Goal(description="leap", kind="program", program=program, target=1.0)

        questions.poll = answer

    return do


@pytest.mark.parametrize("program", [UNKNOWN, INFINITE, None], ids=["unknown", "inf", "none"])
def test_a_neighbours_bad_measure_ends_no_run(make, program):
    h = make(total_steps=6 * STEPS)
    h.at = {2: [answered(program)]}
    assert h.go() == "finished"
    view = h.run.adaptation_view.goal()
    assert (view.goal["description"], view.goal["kind"], view.goal["n"]) == ("leap", "none", 1)
    assert view.goal["target"] is None
    assert view.banner.startswith("the fitness program is refused: ")
    assert view.banner.endswith("a person judges until the goal is set again with another measure")
    (entry,) = [each for each in h.run_dir.journal() if each.kind == "goal"]
    assert entry.values["kind"] == "none"


def test_in_approve_mode_a_bad_measure_is_named_before_the_yes(make):
    h = make(adapt="approve", total_steps=6 * STEPS)
    h.at = {2: [answered(INFINITE)]}
    assert h.go() == "finished"
    waiting = h.run.adaptation.waiting
    assert waiting.sentence == (
        '"leap" is measured by: no number, as its measure cannot be used: a person judges'
    )
    assert h.run.adaptation.goal.n == 0


@pytest.mark.parametrize("program", [UNKNOWN, INFINITE])
def test_a_persons_bad_measure_is_refused_in_a_line(make, program):
    h = make(total_steps=6 * STEPS)
    fitness = FitnessProgram(program=program)
    h.at = {2: [sends(SetGoal(kind="set_goal", description="leap", fitness=fitness))]}
    assert h.go() == "finished"
    assert isinstance(h.answers[0], UserError)
    assert str(h.answers[0]).startswith("the fitness program is refused: ")
    assert h.run.adaptation.goal.n == 0


def fails(h):
    """End the sandboxed child of the goal's measure, for good."""
    h.run._adapter.examiner._measure.close()


def knows_no_behaviour(h):
    """Let the gate look anew at what policies that want nothing do."""
    h.run._adapter._probed = False


def fails_in_the_trial(h):
    original, calls = h.run._trainer.orders.during_trial, []

    def watched():
        calls.append(1)
        if len(calls) == 3:
            fails(h)
        original()

    h.run._trainer.orders.during_trial = watched


TRIED = TryReward(kind="try_reward", source=RIGHT, name="right")
FIRST = AdoptReward(kind="adopt_reward", reward=RIGHT, force=True)
ADOPTED = AdoptReward(kind="adopt_reward", reward=CENTRE, force=True)


@pytest.mark.parametrize(
    ("at", "entries"),
    [
        # By it the target would be reached at update 8, and the environment be made harder.
        ({7: [fails]}, ["measure_failed"]),
        ({6: [fails_in_the_trial, sends(TRIED)]}, ["candidates", "measure_failed", "trial"]),
        ({3: [fails, knows_no_behaviour, sends(ADOPTED)]}, ["measure_failed", "adopt"]),
        # What is adopted is held against the policy as it is, which nobody has evaluated since
        # the adoption before.
        (
            {2: [sends(STILL), sends(FIRST)], 3: [fails, sends(ADOPTED)]},
            ["adopt", "measure_failed"],
        ),
    ],
    ids=["an evaluation", "a trial", "a gate", "an adoption"],
)
def test_a_measure_that_fails_leaves_the_run_to_a_person_in_every_life(make, tmp_path, at, entries):
    options = {"total_steps": 14 * STEPS if "trial" not in entries else 40 * STEPS}
    alone = make(tmp_path / "alone", **options)
    alone.at = {2: [sends(STILL)], **at}
    assert alone.go() == "finished"
    assert [kind for kind in kinds(alone) if kind in entries][-len(entries) :] == entries
    (tmp_path / "replayed").mkdir()
    for name in ("config.json", "journal.jsonl"):
        shutil.copy(alone.run_dir.path / name, tmp_path / "replayed" / name)
    replayed = make(tmp_path / "replayed", **options)
    assert replayed.go() == "finished"
    assert replayed.digest() == alone.digest()
    for h in (alone, replayed):
        view = h.run.adaptation_view.goal()
        assert (view.goal["description"], view.goal["kind"], view.goal["n"]) == ("be", "none", 2)
        assert view.banner.startswith("the goal's fitness program failed: ")
        assert (h.run.adaptation.difficulty, h.run.adaptation.baseline) == (0.0, None)
        assert replay_decisions(h.run_dir.path) == 0
    for name in ("points", "triggers", "adaptations", "at_difficulty"):
        assert getattr(replayed.run.adaptation, name) == getattr(alone.run.adaptation, name)
    if "trial" in entries:
        # It was held anew, for a person to choose.
        (decision,) = logged(alone, "decision")
        assert "a person chooses" in decision["decision"]["sentence"]
        assert alone.run.adaptation.waiting.names == ("right",)


def test_fitness_that_is_no_number_is_told(make):
    h = make(total_steps=6 * STEPS)
    seen = []

    def look(h):
        nothing = (math.nan,) * 5
        state = h.run.adaptation
        seen.append(h.run.adaptation_view.goal().banner)
        state.points = [msgspec.structs.replace(state.points[-1], fitness=nothing)]
        seen.append(h.run.adaptation_view.goal().banner)

    h.at = {5: [look]}
    h.go()
    assert seen[0] == ""
    assert seen[1].startswith("fitness is a finite number in no episode")
