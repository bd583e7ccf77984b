"""What waits for a yes while training goes on: what a late answer does, and what it was put before.
On the toy."""

import functools

import msgspec
import pytest
from staging import RIGHT, STEPS, Killed, die, kinds, logged, sends, task

from websim_learner import run as run_module
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import Approve, FitnessProgram, Reject, SetGoal, TryReward

TO_THE_RIGHT = SetGoal(
    kind="set_goal",
    description="go right",
    fitness=FitnessProgram(
        program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
    ),
)
TRIED = TryReward(kind="try_reward", source=RIGHT, name="right")


@pytest.fixture
def make(learning, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    return functools.partial(learning, adapt="approve", total_steps=32 * STEPS)


def yes(name=""):
    return lambda h: h.send(
        Approve(kind="approve", adaptation=h.run.adaptation.waiting.adaptation, name=name)
    )


def trained_on(gain):
    """Let the incumbent's newest evaluation lie beyond the waiting policy's by this much."""

    def do(h):
        tried = h.run.adaptation.waiting.points["right"]
        fitness = tuple(value + gain for value in tried.fitness)
        h.run.adaptation.points = [msgspec.structs.replace(tried, fitness=fitness)]

    return do


def policies_around(h, update):
    """Return a list that gets the digests right before and right after what is done there."""
    digests, original = [], h.run._trainer._between_updates

    def watched():
        here = h.branch.updates == update
        digests.extend([h.digest()] if here else [])
        original()
        digests.extend([h.digest()] if here else [])

    h.run._trainer._between_updates = watched
    return digests


@pytest.mark.parametrize(
    ("gain", "goes_on"),
    [(+2.0, True), (0.0, True), (-2.0, False)],
    ids=["better by now", "as good by now", "surely worse"],
)
def test_a_late_yes_costs_nothing_that_was_learned_since_the_trial(make, gain, goes_on):
    h = make()
    h.at = {2: [sends(TO_THE_RIGHT)], 6: [sends(TRIED)], 13: [trained_on(gain), yes()]}
    digests = policies_around(h, 13)
    h.go()
    before, after = digests
    assert (before == after) == goes_on
    assert h.answers[-1].detail.startswith("p_")
    (adopted,) = logged(h, "adopted")
    assert adopted["reward_id"] == h.answers[-1].detail
    assert adopted["why"].endswith("the policy goes on from where it is by now") == goes_on
    (answer,) = logged(h, "yes")
    assert (answer["name"], answer["goes_on"]) == ("right", goes_on)
    # What the present policy was worth is what the guards hold the reward against.
    assert adopted["fitness"] == pytest.approx(sum(answer["present"]["fitness"]) / 12)
    assert replay_decisions(h.run_dir.path) == 0


def test_a_prompt_yes_adopts_the_policy_that_won(make):
    h = make()
    h.at = {2: [sends(TO_THE_RIGHT)], 6: [sends(TRIED)], 7: [yes()]}
    digests = policies_around(h, 7)
    h.go()
    assert digests[0] != digests[1]
    assert [row["goes_on"] for row in logged(h, "yes")] == [False]


def test_a_late_yes_comes_out_the_same_in_every_life(make, tmp_path):
    def build(directory, kill=None):
        h = make(directory, checkpoint_every_updates=10)
        at = {
            2: [lambda h: "goal" in kinds(h) or h.send(TO_THE_RIGHT)],
            # The goal without a reward-gen had candidates too: none.
            6: [lambda h: kinds(h).count("candidates") > 1 or h.send(TRIED)],
            13: [trained_on(2.0), lambda h: "approve" in kinds(h) or yes()(h)],
        }
        h.at = at if kill is None else {**at, kill: [die]}
        return h

    alone = build(tmp_path / "alone")
    alone.go()
    with pytest.raises(Killed):
        build(tmp_path / "killed", kill=15).go()
    killed = build(tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()


def test_where_no_number_judges_what_a_yes_costs_is_said_beforehand(make):
    h = make(total_steps=60 * STEPS)
    zombie = Goal(kind="none", description="like a zombie")
    h.at = {
        2: [lambda h: h.run._adapter.set_goal("like a zombie", zombie, None)],
        6: [sends(TRIED)],
        12: [yes("right")],
    }
    digests = policies_around(h, 12)
    h.go()
    (waiting,) = logged(h, "waiting")
    assert "what the present one learns until then comes back with" in waiting["sentence"]
    # The person has seen the trial's policy, and gets it.
    assert digests[0] != digests[1]
    assert logged(h, "yes") == []


GO_LEFT = Goal(
    description="go left",
    kind="program",
    program="def fitness(state, action):\n    return -state.x\n",
    fitness_description="how far it is to the left",
)


def another_goal_in_between(make, directory, kill=None):
    """A run in which a person asks how another goal is measured while a reward waits, and no."""
    h = make(directory, checkpoint_every_updates=100)
    no = Reject(kind="reject", adaptation=3)
    h.at = {
        2: [lambda h: "goal" in kinds(h) or h.send(TO_THE_RIGHT)],
        6: [lambda h: kinds(h).count("candidates") > 1 or h.send(TRIED)],
        8: [lambda h: "reject" in kinds(h) or h.run._adapter._take_goal(GO_LEFT)],
        10: [lambda h: "reject" in kinds(h) or h.send(no)],
    }
    if kill is not None:
        h.at[kill] = [die]
    return h


def test_a_no_to_another_goal_lets_wait_again_what_waited_before(make, tmp_path):
    h = another_goal_in_between(make, tmp_path / "alone")
    second = Approve(kind="approve", adaptation=2, name="right")
    shown = []
    h.at[9] = [
        lambda h: shown.extend(h.run.adaptation_view.goal().pending),
        sends(second),
    ]
    h.at[11] = [sends(second)]
    h.go()
    assert [each["adaptation"] for each in shown] == [3]
    refused, _, adopted = h.answers[2:]
    assert str(refused) == (
        "adaptation 3 came after it and waits too. Answer that one first, then 2 again."
    )
    assert adopted.detail == h.run.adaptation_view.rewards().in_force
    assert [e.outcome for e in h.run.adaptation.rewards if e.name == "right"] == ["in_force"]
    assert h.run.adaptation.waiting is None


def test_what_waits_again_does_so_in_every_life(make, tmp_path):
    alone = another_goal_in_between(make, tmp_path / "alone")
    alone.go()
    with pytest.raises(Killed):
        another_goal_in_between(make, tmp_path / "killed", kill=12).go()
    # It begins after the trial, and nobody says again how the other goal is measured.
    killed = another_goal_in_between(make, tmp_path / "killed")
    killed.go()
    for h in (alone, killed):
        assert (h.run.adaptation.waiting.adaptation, h.run.adaptation.adaptations) == (2, 3)
        assert list(h.run._adapter.policies.proposed) == ["right"]
    assert killed.digest() == alone.digest()


def test_another_goal_ends_what_it_was_put_before(make):
    h = make()
    h.at = {
        2: [sends(TO_THE_RIGHT)],
        6: [sends(TRIED)],
        8: [lambda h: h.run._adapter._take_goal(GO_LEFT)],
        10: [yes()],
    }
    h.go()
    assert h.run.adaptation.goal.description == "go left"
    assert h.run.adaptation.waiting is None
    assert h.run._adapter.policies.proposed == {}
    (right,) = [entry for entry in h.run.adaptation.rewards if entry.name == "right"]
    assert (right.outcome, right.reason) == ("lost", "the goal was changed before a person chose")


def test_another_task_ends_what_waits_and_says_so(make):
    h = make()
    h.at = {2: [sends(TO_THE_RIGHT)], 6: [sends(TRIED)], 10: [sends(task("Heavy-v0"))]}
    h.go()
    (right,) = [entry for entry in h.run.adaptation.rewards if entry.name == "right"]
    assert (right.outcome, right.reason) == ("lost", "the task was changed before a person chose")


def test_a_yes_of_an_older_journal_takes_effect_as_it_did(make):
    h = make()
    older = {"adaptation": 2, "name": "right"}
    h.at = {
        2: [sends(TO_THE_RIGHT)],
        6: [sends(TRIED)],
        13: [trained_on(2.0), lambda h: h.run._adapter.replay("approve", older)],
    }
    h.go()
    # The policy of the trial is adopted, and the log holds no comparison.
    assert [row["why"] for row in logged(h, "adopted")] == ["a person says yes"]
    assert logged(h, "yes") == []
