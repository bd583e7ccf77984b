"""The best policy since the last change is kept, and put back where fitness collapses."""

from dataclasses import replace

import numpy as np
import pytest
from adapting_toy import CENTRE, kinds, rows, spend
from staging import RIGHT, STEPS, Killed, die, logged, sends

from websim_learner import run as run_module
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import AdoptReward, FitnessProgram, SetGoal, TryReward


def ruin(h):
    """Let the policy push as hard as it can, always to the same side."""
    state = h.branch.policy_state()
    weights = {
        name: 4.0 * np.abs(array) if name.startswith("actor") else array
        for name, array in state.parts["weights"].items()
    }
    h.branch.take_over(replace(state, parts={**state.parts, "weights": weights}))


def test_a_policy_that_collapses_is_put_back_as_it_was_at_its_best(adapting):
    h = adapting(total_steps=32 * STEPS, eval_episodes=40)
    digests = {}

    def note(h):
        digests[h.branch.updates * STEPS] = h.digest()

    h.at = {update: [note] for update in range(1, 33)}
    h.at |= {update: [ruin] for update in range(17, 21)}
    original = h.run._trainer._between_updates
    after = []

    def watched():
        original()
        if h.branch.updates == 20:
            after.append(h.digest())

    h.run._trainer._between_updates = watched
    h.go()
    (restored,) = (row for row in rows(h) if row["kind"] == "restored")
    assert restored["env_steps"] == 20 * STEPS
    assert after == [digests[restored["values"]["peak_env_steps"]]]
    assert restored["values"]["why"].startswith("Fitness fell to ")
    assert restored["values"]["why"].endswith(" It learns on by 0.5 of the learning rate.")
    rates = [row["learning_rate"] for row in h.metrics() if "learning_rate" in row]
    # The schedule falls by 1/32 of its start with each update.
    assert rates[20] == pytest.approx(0.5 * rates[19] * 12 / 13)
    assert replay_decisions(h.run_dir.path) == 0


@pytest.mark.parametrize("kill", [19, 24], ids=["before it is put back", "after it"])
def test_a_policy_to_put_back_survives_a_kill(adapting, kill):
    def build(directory=None):
        h = adapting(
            directory, total_steps=32 * STEPS, checkpoint_every_updates=3, eval_episodes=40
        )
        h.at = {update: [ruin] for update in range(17, 21)}
        return h

    whole = build()
    whole.go()
    assert "restored" in kinds(whole)
    # The peak of 12 is in the checkpoint of 18; the steps that are smaller since 20 in that of 21.
    killed = build()
    killed.at[kill] = [*killed.at.get(kill, []), die]
    with pytest.raises(Killed):
        killed.go()
    again = build(killed.run_dir.path)
    again.go()
    assert again.digest() == whole.digest()


def test_what_the_control_group_learned_in_a_trial_can_be_put_back_too(adapting):
    h = adapting(adapt="approve", eval_episodes=40)
    seen = []

    def look(h):
        adapter = h.run._trainer._adapter
        seen.append((adapter.policies.peak_env_steps, adapter.state.points[0].env_steps))

    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))], 7: [look]}
    h.go()
    (waiting,) = (row for row in rows(h) if row["kind"] == "waiting")
    assert seen == [(waiting["env_steps"], waiting["env_steps"])]


def test_a_reward_that_leads_away_from_the_best_policy_twice_gives_way(adapting):
    """Nobody writes another one here: it is asked for, and nothing comes of it."""
    h = adapting(total_steps=40 * STEPS, eval_episodes=40)
    h.at = {update: [ruin] for update in range(17, 33)}
    h.go()
    told = [row["kind"] for row in rows(h) if row["kind"] in ("restored", "answer")]
    assert told[:3] == ["restored", "restored", "answer"]
    # It is told as the same policy, however often it is put back.
    assert len({each["peak_env_steps"] for each in logged(h, "restored")[:2]}) == 1


def test_it_is_put_back_again_and_again_where_no_adaptation_is_left(adapting):
    h = adapting(total_steps=40 * STEPS, eval_episodes=40)
    h.at = {update: [ruin] for update in range(17, 33)} | {1: [spend]}
    h.go()
    told = [row["kind"] for row in rows(h) if row["kind"] in ("restored", "answer")]
    assert told[:2] == ["restored", "restored"]
    assert "answer" not in told


def test_a_reward_that_has_outgrown_the_one_before_is_kept_whatever_is_lost_again(adapting):
    """What would be gone back to is a ruin: nobody is helped by that."""
    h = adapting(total_steps=40 * STEPS, eval_episodes=40)
    good = []

    def mend(h):
        h.branch.take_over(replace(good[0], reward_source=CENTRE))

    h.at = {update: [ruin] for update in (*range(2, 8), *range(13, 41))}
    h.at |= {1: [lambda h: good.append(h.branch.policy_state()), ruin], 8: [mend]}
    h.at[5] = [ruin, sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))]
    h.go()
    (adopted,) = logged(h, "adopted")
    restored = logged(h, "restored")
    assert len(restored) > 2
    assert all(each["fitness"] > 0.8 * adopted["fitness"] for each in restored)
    assert "rolled_back" not in kinds(h)
    assert h.branch.reward.id == adopted["reward_id"]


FURTHEST_RIGHT = FitnessProgram(
    program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
)


def test_the_winner_of_a_trial_is_the_best_policy_until_there_is_a_better_one(
    adapting, monkeypatch
):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    h = adapting(total_steps=40 * STEPS, eval_episodes=12, ppo={"learning_rate": 1e-2})
    goal = SetGoal(kind="set_goal", description="go right", fitness=FURTHEST_RIGHT)
    tried = TryReward(kind="try_reward", source=RIGHT, name="right")
    seen = []

    def look(h):
        adapter = h.run._trainer._adapter
        seen.append((adapter.state.points, adapter.policies.peak_env_steps))

    h.at = {2: [sends(goal)], 6: [sends(tried)], 7: [look]}
    h.go()
    (decision,), (adopted,) = logged(h, "decision"), logged(h, "adopted")
    ((point,), peak_env_steps) = seen[0]
    assert point.reward_id == adopted["reward_id"] != "task"
    assert list(point.fitness) == decision["finalists"]["right"]["fitness"]
    (row,) = [row for row in rows(h) if row["kind"] == "adopted"]
    assert point.env_steps == peak_env_steps == row["env_steps"]
