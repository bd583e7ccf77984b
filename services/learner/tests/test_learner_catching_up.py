"""A later life comes through its journal before anything new from outside takes effect."""

import contextlib
import time

import pytest
from staging import LAZY, Killed, die, sends

from websim.service.errors import UserError
from websim_learner.adaptation.author import Author
from websim_learner.control import (
    AdoptReward,
    Pause,
    Resume,
    SetAdapt,
    SetGoal,
    SetReward,
    Stop,
    TakeCheckpoint,
)
from websim_learner.journal import to_replay
from websim_learner.records import EvaluationRecord, JournalEntry

STEPS = 24 * 8
GOAL = SetGoal(kind="set_goal", description="stand still")


class Timed(Author):
    """The answer to its n-th question has come at the n-th of the given updates, not before."""

    def __init__(self, url, *updates):
        super().__init__(url)
        self._updates = list(updates)
        self.now = lambda: 0

    def poll(self):
        if not self.busy or self.now() < self._updates[0]:
            return None
        while (outcome := super().poll()) is None:
            time.sleep(0.01)
        self._updates.pop(0)
        return outcome


@pytest.fixture
def make(harness, reward_gen, tmp_path):
    def build(name, *answers):
        author = Timed(reward_gen, *answers)
        h = harness(
            tmp_path / name, author=author, adapt="auto", total_steps=16 * STEPS,
            eval_every_updates=4, checkpoint_every_updates=4,
        )  # fmt: skip
        author.now = lambda: h.branch.updates
        return h

    return build


def interrupted(make, *answers):
    """A run that was killed at update 7; its goal's measure had come at 6, its checkpoint is 4."""
    first = make("killed", 6, 12)
    first.at = {2: [sends(GOAL)], 7: [die]}
    with pytest.raises(Killed):
        first.go()
    return make("killed", *answers)


def test_an_answer_that_comes_sooner_waits_for_its_place(make):
    alone = make("alone", 6, 12)
    alone.at = {2: [sends(GOAL)]}
    alone.go()
    again = interrupted(make, 0, 12)
    again.go()
    goals = [entry.update for entry in again.run_dir.journal() if entry.kind == "goal"]
    assert goals == [6]
    assert again.run.adaptation.goal == alone.run.adaptation.goal
    assert again.digest() == alone.digest()
    assert again.result()["env_steps"] == alone.result()["env_steps"]


def test_a_goal_that_a_kill_left_unanswered_is_asked_again(make):
    first = make("killed", 9)
    first.at = {5: [sends(GOAL)], 7: [die]}
    with pytest.raises(Killed):
        first.go()
    again = make("killed", 9, 12)
    again.go()
    # The checkpoint of update 4 knows nothing of it.
    goals = [e for e in again.run_dir.journal() if e.kind in ("goal_asked", "goal")]
    assert [(entry.kind, entry.update) for entry in goals] == [("goal_asked", 5), ("goal", 9)]
    assert again.run.adaptation.goal.description == GOAL.description


def test_a_command_is_refused_until_then_unless_it_concerns_the_clock_only(make):
    again = interrupted(make, 0, 12)
    mode = SetAdapt(kind="set_adapt", mode="approve")
    early = [mode, Pause(kind="pause"), Resume(kind="resume"), TakeCheckpoint(kind="checkpoint")]
    again.at = {5: [sends(command) for command in early], 6: [sends(mode)]}
    again.go()
    (refused,) = [answer for answer in again.answers if isinstance(answer, UserError)]
    assert "doing again what it did up to update 6" in str(refused)
    applied = {(answer.kind, answer.update) for answer in again.answers if answer is not refused}
    assert applied == {("pause", 5), ("resume", 5), ("checkpoint", 5), ("set_adapt", 6)}


def stop(h):
    h.stopped = True


def ended(life):
    with contextlib.suppress(Killed):
        life.go()


SWAP = SetReward(kind="set_reward", source=LAZY)


@pytest.mark.parametrize(
    "second_life",
    [
        {4: [stop]},
        {5: [stop]},
        {4: [sends(TakeCheckpoint(kind="checkpoint"))], 5: [die]},
        {4: [sends(Stop(kind="stop"))]},
    ],
    ids=["stopped before it", "stopped at it", "checkpoint before it", "told to end before it"],
)
def test_a_command_is_not_lost_by_a_life_that_ends_while_it_catches_up(
    harness, tmp_path, second_life
):
    alone = harness(tmp_path / "alone")
    alone.at = {5: [sends(SWAP)]}
    alone.go()
    for at in ({5: [sends(SWAP)], 6: [die]}, second_life):
        life = harness(tmp_path / "run")
        life.at = at
        ended(life)
    last = harness(tmp_path / "run")
    assert last.go() == "finished"
    assert last.digest() == alone.digest()
    assert last.branch.reward.id == alone.branch.reward.id != "task"


def test_what_is_journaled_while_others_lie_ahead_is_replayed_in_its_place():
    entries = [("set_reward", 5), ("knobs", 8), ("resume", 4), ("set_reward", 6), ("stop", 7)]
    journal = [
        JournalEntry(n=n, update=update, kind=kind) for n, (kind, update) in enumerate(entries, 1)
    ]
    assert [entry.n for entry in to_replay(journal, 0)] == [1, 4, 5, 2]


def test_what_commands_make_due_is_not_made_up_for_by_a_life_that_begins_there(
    harness, monkeypatch, tmp_path
):
    # While a reward is on probation, each update is looked at.
    monkeypatch.setattr("websim_learner.adaptation.probation.LOOK_EVERY_STEPS", 1)

    def adapt(mode):
        return sends(SetAdapt(kind="set_adapt", mode=mode))

    def evaluated(life):
        return [r.update for r in life.run.stream.after(0, 999) if isinstance(r, EvaluationRecord)]

    first = harness(tmp_path / "run", adapt="auto", eval_every_updates=0)
    first.at = {
        4: [sends(AdoptReward(kind="adopt_reward", reward=LAZY, force=True))],
        5: [adapt("off")],
        7: [adapt("auto"), sends(TakeCheckpoint(kind="checkpoint"))],
        9: [die],
    }
    ended(first)
    assert evaluated(first) == [5, 8]
    again = harness(tmp_path / "run", adapt="auto", eval_every_updates=0)
    again.go()
    assert evaluated(again)[0] == 8


def test_envs_that_are_lost_while_a_goal_is_being_asked_do_not_end_the_run(make):
    alone = make("alone", 9, 12)
    alone.at = {2: [sends(GOAL)]}
    alone.go()
    run = make("lost", 9, 12)
    envs = [run.clients[0]]
    # The checkpoint of update 4 knows that the goal is asked; the question is open still.
    run.at = {2: [sends(GOAL)], 7: [lambda h: envs and setattr(envs.pop(), "lost", True)]}
    assert run.go() == "finished"
    goals = [e.update for e in run.run_dir.journal() if e.kind == "goal"]
    assert goals == [9]
    assert run.digest() == alone.digest()
