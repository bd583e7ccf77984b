"""What waits for a yes while training goes on: what a late answer does, and what it was put before.
On the toy."""

import json

import msgspec
import pytest
from staging import RIGHT, STEPS, Killed, die, kinds, sends

from websim_learner import run as run_module
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import Approve, FitnessProgram, SetGoal, TryReward

TO_THE_RIGHT = SetGoal(
    kind="set_goal",
    description="go right",
    fitness=FitnessProgram(
        program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
    ),
)
TRIED = TryReward(kind="try_reward", source=RIGHT, name="right")


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))

    def build(directory=None, **overrides):
        # So large steps that the little there is to learn is learned within a round.
        own = {"adapt": "approve", "total_steps": 32 * STEPS, "eval_every_updates": 4}
        own |= {"eval_episodes": 12, "ppo": {"learning_rate": 1e-2}, "client": {"shard_envs": 12}}
        return harness(directory, **{**own, **overrides})

    return build


def rows(h, kind):
    lines = (h.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    return [row["values"] for row in map(json.loads, lines) if row["kind"] == kind]


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
    (adopted,) = rows(h, "adopted")
    assert adopted["reward_id"] == h.answers[-1].detail
    assert adopted["why"].endswith("the policy goes on from where it is by now") == goes_on
    (answer,) = rows(h, "yes")
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
    assert [row["goes_on"] for row in rows(h, "yes")] == [False]


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
    (waiting,) = rows(h, "waiting")
    assert "what the present one learns until then comes back with" in waiting["sentence"]
    # The person has seen the trial's policy, and gets it.
    assert digests[0] != digests[1]
    assert rows(h, "yes") == []
