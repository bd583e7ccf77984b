"""Trials in runs of several lives: what is said in and around one comes out the same in each."""

import contextlib
import shutil
import threading
import time

import numpy as np
import pytest
from staging import CENTRE, LAZY, RIGHT, STEPS, Killed, die, sends, unless_done

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation.policies import Policies
from websim_learner.adaptation.state import Candidate, Proposal
from websim_learner.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from websim_learner.control import (
    AdoptReward,
    Approve,
    FitnessProgram,
    Pause,
    Resume,
    SetAdapt,
    SetGoal,
    SetKnobs,
    Stop,
    TakeCheckpoint,
    TryReward,
)
from websim_learner.fleet import RunStopped
from websim_learner.policy_state import PolicyState
from websim_learner.records import EvaluationRecord

TRY = TryReward(kind="try_reward", source=CENTRE, name="centre")
WEAK = SetKnobs(kind="set_knobs", knobs={"force": 0.5})


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory, at=None, **overrides):
        defaults = {"adapt": "auto", "total_steps": 40 * STEPS, "checkpoint_every_updates": 10}
        h = harness(directory, client={"shard_envs": 12}, **{**defaults, **overrides})
        h.at = at or {}
        return h

    return build


def in_evaluation(number, act):
    """Act when a trial comes to its n-th evaluation of a contender."""

    def prepare(h):
        examiner, seen = h.run._adapter.examiner, []
        examine = examiner.examine

        def watched(branch, *args, **options):
            if branch is not h.branch:
                seen.append(branch)
                if len(seen) == number:
                    act(h)
            return examine(branch, *args, **options)

        examiner.examine = watched

    return prepare


def killed(life):
    with pytest.raises(Killed):
        life.go()


def from_the_journal_alone(make, live, directory, **options):
    """A life that has no checkpoint to begin at."""
    directory.mkdir()
    for name in ("config.json", "journal.jsonl"):
        shutil.copy(live.run_dir.path / name, directory / name)
    return make(directory, **options)


def journaled(h):
    return [(e.kind, e.update) for e in h.run_dir.journal() if e.kind not in ("start", "resume")]


@pytest.mark.parametrize(
    "command",
    [
        WEAK,
        AdoptReward(kind="adopt_reward", reward=LAZY, force=True),
        TryReward(kind="try_reward", source=LAZY, name="lazy"),
    ],
    ids=lambda command: command.kind,
)
def test_what_is_said_as_a_trial_ends_takes_effect_after_it_in_every_life(make, tmp_path, command):
    at = {6: [in_evaluation(4, sends(command)), sends(TRY)]}
    alone = make(tmp_path / "alone", at)
    alone.go()
    assert [kind for kind, _ in journaled(alone)][:2] == ["candidates", "trial"]
    assert {update for _, update in journaled(alone)} == {6}
    killed(make(tmp_path / "killed", at | {9: [die]}))
    again = make(tmp_path / "killed")
    again.go()
    replayed = from_the_journal_alone(make, alone, tmp_path / "replayed")
    replayed.go()
    for life in (again, replayed):
        assert life.digest() == alone.digest()
        assert journaled(life) == journaled(alone)
        assert life.result()["env_steps"] == alone.result()["env_steps"]


def while_paused(*commands):
    """Pause, send commands one after the other, and let the run go on."""

    def act(h):
        h.send(Pause(kind="pause"))

        def say():
            while h.run._ledger.state != "paused":
                time.sleep(0.01)
            for command in (*commands, Resume(kind="resume")):
                h.answers.append(h.run.control.submit(command, 20.0))

        threading.Thread(target=say, daemon=True).start()

    return act


def test_a_yes_that_is_said_in_a_pause_after_the_trial_is_found_again(make, monkeypatch, tmp_path):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    options = {"adapt": "approve", "eval_episodes": 12, "ppo": {"learning_rate": 1e-2}}
    right = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=right, accumulate="max", unit="m")
    yes = while_paused(WEAK, Approve(kind="approve", adaptation=2))
    at = {
        2: [sends(SetGoal(kind="set_goal", description="go right", fitness=fitness))],
        6: [
            in_evaluation(2, yes),
            sends(TryReward(kind="try_reward", source=RIGHT, name="right")),
        ],
    }
    alone = make(tmp_path / "alone", at, **options)
    alone.go()
    assert journaled(alone)[-3:] == [("trial", 6), ("knobs", 6), ("approve", 6)]
    killed(make(tmp_path / "killed", at | {9: [die]}, **options))
    again = make(tmp_path / "killed", **options)
    again.go()
    replayed = from_the_journal_alone(make, alone, tmp_path / "replayed", **options)
    replayed.go()
    assert again.digest() == replayed.digest() == alone.digest()


def without_marks(directory):
    """Make a journal one of the time before it said where a trial ended."""
    path = directory / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(line for line in lines if b'"kind":"trial"' not in line))


def test_a_yes_in_a_journal_that_does_not_say_where_a_trial_ended_comes_after_it(
    make, monkeypatch, tmp_path
):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    options = {"adapt": "approve", "eval_episodes": 12, "ppo": {"learning_rate": 1e-2}}
    options["total_steps"] = 30 * STEPS
    right = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=right, accumulate="max", unit="m")
    yes = while_paused(Approve(kind="approve", adaptation=2))
    at = {
        2: [sends(SetGoal(kind="set_goal", description="go right", fitness=fitness))],
        6: [
            in_evaluation(2, yes),
            sends(TryReward(kind="try_reward", source=RIGHT, name="right")),
        ],
    }
    alone = make(tmp_path / "alone", at, **options)
    alone.go()
    assert journaled(alone)[-2:] == [("trial", 6), ("approve", 6)]
    old = from_the_journal_alone(make, alone, tmp_path / "old", **options)
    without_marks(tmp_path / "old")

    assert old.go() == "finished"
    assert old.digest() == alone.digest()


def test_a_yes_to_what_is_not_found_again_ends_in_one_line(make, tmp_path):
    killed(make(tmp_path / "run", {2: [die]}))
    again = make(tmp_path / "run")
    again.run_dir.append_journal(1, "approve", {"adaptation": 2, "name": "right"})

    with pytest.raises(UserError, match=r"says yes to adaptation 2.*another --run-dir") as refusal:
        again.go()
    assert "\n" not in str(refusal.value)


def test_a_reward_that_is_to_be_tried_in_a_pause_is_tried_before_the_next_update(make, tmp_path):
    alone = make(tmp_path / "alone", {6: [while_paused(TRY)]})
    alone.go()
    assert journaled(alone) == [("candidates", 6), ("trial", 6)]
    replayed = from_the_journal_alone(make, alone, tmp_path / "replayed")
    replayed.go()
    assert replayed.digest() == alone.digest()


def test_a_life_that_begins_after_a_trial_does_not_hold_it_again(make, tmp_path):
    killed(make(tmp_path / "run", {6: [sends(TRY)], 7: [die]}))
    again = make(tmp_path / "run")
    assert again.branch.updates == 6
    again.go()
    log = (again.run_dir.path / "adaptations.jsonl").read_text()
    assert log.count('"kind":"decision"') == 1


def test_a_run_that_is_told_to_end_in_a_trial_that_it_holds_again_goes_on_with_it(make, tmp_path):
    alone = make(tmp_path / "alone", {6: [sends(TRY), in_evaluation(4, sends(WEAK))]})
    alone.go()
    stopped = from_the_journal_alone(make, alone, tmp_path / "stopped")
    in_evaluation(1, sends(Stop(kind="stop")))(stopped)
    assert stopped.go() == "finished"
    assert stopped.branch.updates == 6
    again = make(tmp_path / "stopped")
    again.go()
    assert again.digest() == alone.digest()


PROPOSAL = Proposal(
    adaptation=1,
    candidates=(Candidate(name="centre", source=CENTRE, origin="library"),),
    ranges={"force": (0.5, 0.5)},
)


def proposes(h):
    """Let reward-gen answer with a candidate and another environment."""
    questions = h.run._adapter.questions
    poll = questions.poll

    def answer(state, branch):
        questions.poll = poll
        return PROPOSAL

    questions.poll = answer


def stop_in_the_trial(h):
    def stop():
        raise RunStopped

    h.run._trainer.orders.during_trial = stop


@pytest.mark.parametrize(
    "cut",
    [stop_in_the_trial, in_evaluation(1, sends(TakeCheckpoint(kind="checkpoint")))],
    ids=["a signal", "a checkpoint"],
)
def test_a_proposed_environment_is_entered_once_however_often_its_trial_is_held(
    make, tmp_path, cut
):
    alone = make(tmp_path / "alone", {6: [proposes]})
    alone.go()
    first = make(tmp_path / "cut", {6: [proposes, cut]})
    in_evaluation(2, die)(first)
    with contextlib.suppress(Killed):
        first.go()
    again = make(tmp_path / "cut")
    assert again.branch.updates == 6
    again.go()
    assert again.digest() == alone.digest()
    log = (again.run_dir.path / "adaptations.jsonl").read_text()
    assert [log.count(f'"kind":"{kind}"') for kind in ("environment", "knobs")] == [1, 1]


@pytest.mark.parametrize("modes", [("auto", "approve"), ("approve", "auto"), ("auto", "off")])
def test_a_mode_that_is_set_in_a_trial_decides_about_its_candidates_alone(make, tmp_path, modes):
    before, after = modes
    set_mode = SetAdapt(kind="set_adapt", mode=after)
    at = {6: [proposes, in_evaluation(1, sends(set_mode))]}
    alone = make(tmp_path / "alone", at, adapt=before)
    alone.go()
    assert [kind for kind, _ in journaled(alone)] == ["candidates", "adapt_mode", "trial"]
    assert bool(alone.run.adaptation.ranges) == (before == "auto")
    replayed = from_the_journal_alone(make, alone, tmp_path / "replayed", adapt=before)
    replayed.go()
    assert replayed.digest() == alone.digest()
    assert replayed.run.adaptation.waiting == alone.run.adaptation.waiting


def evaluated_at(h):
    return [
        each.update for each in h.run.stream.after(0, 999) if isinstance(each, EvaluationRecord)
    ]


def test_a_run_evaluates_more_often_from_when_it_adapts_in_every_life(make, tmp_path):
    options = {"adapt": "off", "total_steps": 20 * STEPS, "checkpoint_every_updates": 6}
    options |= {"eval_every_updates": 8, "eval_every_updates_adapting": 2}

    def adapt(mode):
        return unless_done(SetAdapt(kind="set_adapt", mode=mode))

    at = {11: [adapt("auto")], 15: [adapt("off")]}
    alone = make(tmp_path / "alone", at, **options)
    alone.go()
    # The last one belongs to the result.
    assert evaluated_at(alone) == [8, 12, 14, 16, 20]
    assert [each.update for each in alone.run.adaptation.points] == [12, 14]
    killed(make(tmp_path / "killed", at | {14: [die]}, **options))
    again = make(tmp_path / "killed", at, **options)
    again.go()
    replayed = from_the_journal_alone(make, alone, tmp_path / "replayed", **options)
    replayed.go()
    # A life begins at update 12, where the run adapts already, and does not evaluate there again.
    assert evaluated_at(again) == [14, 16, 20]
    assert evaluated_at(replayed) == evaluated_at(alone)
    for life in (again, replayed):
        assert life.digest() == alone.digest()
        assert life.run.adaptation.points == alone.run.adaptation.points


def test_policies_that_wait_for_a_yes_come_back_under_their_names(tmp_path):
    def policy(source, weight):
        parts = {"weights": {"w": np.array([weight])}}
        return PolicyState(parts, 7, reward_source=source, scaled_for=source, swap={})

    kept, again = Policies(), Policies()
    kept.undo = [policy("before", 0.0)]
    kept.proposed = {"zeta": policy("z", 1.0), "alpha": policy("a", 2.0)}
    path = write_checkpoint(tmp_path, Checkpoint(7, kept.counters(), kept.arrays()))
    read = read_checkpoint(path)
    again.load(dict(read.counters), dict(read.arrays))
    assert again.undo == kept.undo
    assert again.proposed == kept.proposed


def stopped_in(place):
    """Let the process be told to stop when the examiner is asked for something, once."""

    def prepare(h):
        examiner = h.run._adapter.examiner
        examine = examiner.examine

        def stopped(*args, **options):
            if place(h, options):
                raise RunStopped
            return examine(*args, **options)

        examiner.examine = stopped

    return prepare


ADOPT = AdoptReward(kind="adopt_reward", reward=CENTRE, force=True)
FIRST = AdoptReward(kind="adopt_reward", reward=LAZY, force=True)
STILL = SetGoal(
    kind="set_goal",
    description="be",
    fitness=FitnessProgram(program="def fitness(state, action):\n    return 0.0 * state.x\n"),
    target=0.0,
)


@pytest.mark.parametrize(
    ("at", "place"),
    [
        # What is adopted is held against the policy as it is, which nobody has evaluated since
        # the adoption before.
        ({2: [sends(FIRST)], 3: [sends(ADOPT)]}, lambda h, options: h.branch.updates == 3),
        # A target was reached twice: the policy is measured in harder environments.
        ({2: [sends(STILL)]}, lambda h, options: options.get("ranges")),
    ],
    ids=["a command", "a decision"],
)
def test_what_a_signal_cuts_short_is_done_by_the_next_life(make, tmp_path, at, place):
    options = {"total_steps": 16 * STEPS, "checkpoint_every_updates": 5, "eval_every_updates": 4}
    alone = make(tmp_path / "alone", at, **options)
    alone.go()
    first = make(tmp_path / "stopped", at, **options)
    stopped_in(place)(first)
    assert first.go() == "stopped"
    again = make(tmp_path / "stopped", **options)
    again.go()
    assert again.digest() == alone.digest()
    assert again.branch.reward.id == alone.branch.reward.id
    assert again.run.adaptation.difficulty == alone.run.adaptation.difficulty
    assert (alone.branch.reward.id, alone.run.adaptation.difficulty) != ("task", 0.0)
