"""Returns by the reward that is learned from: whole episodes of one reward, across rollouts."""

from types import SimpleNamespace

import numpy as np
import pytest
from staging import STEPS, envs, sends, task

from websim_learner.branch import Branch
from websim_learner.control import ResetEnv, SetReward
from websim_learner.returns import RewardReturns
from websim_learner.rollout import Ends


class Envs:
    """Two envs that count their steps as a worker does."""

    def __init__(self):
        self.length = [0, 0]

    def roll(self, num_steps, *, end=(), diverge=(), cut=()):
        """Return a rollout in which episodes end at some (t, env_id)."""
        flags = {name: np.zeros((num_steps, 2), np.bool_) for name in ("end", "invalid")}
        ends = []
        for t in range(num_steps):
            for env in range(2):
                self.length[env] += 1
                if (t, env) in {*end, *diverge, *cut}:
                    # Of a cut the learner knows no length.
                    ends.append((t, env, 0 if (t, env) in cut else self.length[env]))
                    self.length[env] = 0
                    flags["end"][t, env] = True
                    flags["invalid"][t, env] = (t, env) in diverge
        t, env, length = (np.array(column, np.int64) for column in zip(*ends, strict=True))
        table = Ends(t, env, *[np.zeros(0)] * 2, length, *[np.zeros(0)] * 2)
        return SimpleNamespace(
            terminated=flags["end"],
            truncated=np.zeros_like(flags["end"]),
            invalid=flags["invalid"],
            ends=lambda: table,
        )


def test_an_episode_is_summed_across_rollouts():
    played, returns = Envs(), RewardReturns(2)
    assert returns.mean is None
    # Env 0 earns 1 + 2 and ends; env 1 earns 10 + 20 + 30 so far.
    reward = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    returns.add(played.roll(3, end=[(1, 0)]), reward, "p_1")
    assert returns.mean == 3.0
    # Env 1 ends with 60 + 10; env 0 with 3 + 1 + 2.
    returns.add(played.roll(3, end=[(0, 1), (1, 0)]), reward, "p_1")
    assert returns.mean == pytest.approx((3.0 + 70.0 + 6.0) / 3)


def test_an_episode_that_spans_a_swap_belongs_to_neither_reward():
    played, returns = Envs(), RewardReturns(2)
    returns.add(played.roll(2, end=[(1, 0)]), np.full((2, 2), 1.0), "task")
    assert returns.mean == 2.0
    # Env 0 begins an episode with the first step under p_1, and earns 5 in each of two; env 1
    # has had two steps under the task's reward: what ends here is a mixture.
    returns.add(played.roll(2, end=[(1, 0), (1, 1)]), np.full((2, 2), 5.0), "p_1")
    assert (returns.reward_id, returns.mean) == ("p_1", 10.0)
    # Env 1's next one is p_1's from its start.
    returns.add(played.roll(1, end=[(0, 1)]), np.full((1, 2), 6.0), "p_1")
    assert returns.mean == pytest.approx((10.0 + 6.0) / 2)


def test_a_reward_that_comes_back_begins_anew():
    played, returns = Envs(), RewardReturns(2)
    returns.add(played.roll(1, end=[(0, 0)]), np.full((1, 2), 7.0), "p_1")
    returns.add(played.roll(1, end=[(0, 0)]), np.full((1, 2), 1.0), "task")
    returns.add(played.roll(1, end=[(0, 1)]), np.full((1, 2), 7.0), "p_1")
    # Env 1's episode began under p_1, too, but had a step of the task's reward in between.
    assert returns.mean is None


def test_what_diverged_or_was_cut_is_left_out_and_the_next_episode_counts():
    played, returns = Envs(), RewardReturns(2)
    reward = np.array([[1.0, 1.0], [np.nan, 1.0], [4.0, 1.0], [4.0, 1.0]])
    rollout = played.roll(4, diverge=[(1, 0)], cut=[(1, 1)], end=[(3, 0), (3, 1)])
    returns.add(rollout, reward, "task")
    # Env 0 earns 4 + 4 after it diverged, env 1 earns 1 + 1 after the cut.
    assert returns.mean == pytest.approx((8.0 + 2.0) / 2)


def test_an_episode_of_which_a_part_was_thrown_away_is_left_out():
    played, returns = Envs(), RewardReturns(2)
    returns.add(played.roll(3, end=[(0, 0)]), np.full((3, 2), 1.0), "task")
    # Nobody learns from this one: env 0 begins an episode within it, as long as what is known of
    # its episode before.
    played.roll(3, end=[(0, 0)])
    returns.lose_track()
    returns.add(played.roll(1, end=[(0, 0), (0, 1)]), np.full((1, 2), 1.0), "task")
    assert returns.mean == 1.0


def test_envs_of_other_tasks_do_not_count():
    played, returns = Envs(), RewardReturns(1)
    returns.add(played.roll(1, end=[(0, 0), (0, 1)]), np.array([[1.0, 9.0]]), "task")
    assert returns.mean == 1.0


def test_the_mean_is_that_of_the_last_100_episodes():
    played, returns = Envs(), RewardReturns(2)
    for k in range(101):
        returns.add(played.roll(1, end=[(0, 0)]), np.full((1, 2), float(k)), "task")
    assert returns.mean == 50.5  # of 1 to 100


def test_they_come_back_from_a_checkpoint_in_the_middle_of_an_episode():
    played, returns, again = Envs(), RewardReturns(2), RewardReturns(2)
    returns.add(played.roll(2, end=[(0, 0)]), np.full((2, 2), 0.1), "p_1")
    again.load(returns.arrays(), returns.reward_id)
    last = played.roll(2, end=[(1, 0), (1, 1)])
    for each in (returns, again):
        each.add(last, np.full((2, 2), 0.7), "p_1")
    # 0.1; 0.1 + 0.7 + 0.7; 0.1 + 0.1 + 0.7 + 0.7
    assert again.mean == returns.mean
    assert again.mean == pytest.approx((0.1 + 1.5 + 1.6) / 3)
    with pytest.raises(ValueError, match="of 2 envs"):
        RewardReturns(3).load(returns.arrays(), "p_1")


# --- runs


def swaps(source):
    return sends(SetReward(kind="set_reward", source=source))


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_under_the_tasks_own_reward_both_returns_are_one(harness, overlap):
    """But for rounding: the one is summed by the env, the other here."""
    run = harness(ppo={"overlap": overlap}, total_steps=20 * STEPS)
    run.at = {4: [sends(ResetEnv(kind="reset_env", env_id=23))]}
    run.go()
    told = [row for row in run.metrics() if row["return_mean"] is not None]
    assert len(told) > 10
    for row in told:
        assert row["reward_return_mean"] == pytest.approx(row["return_mean"], rel=1e-12)


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_after_a_swap_a_mean_follows_the_new_reward(harness, overlap):
    """A reward of 3 per step: an episode's return is 3 times its length, whoever acts."""
    run = harness(ppo={"overlap": overlap}, total_steps=24 * STEPS)
    run.at = {10: [swaps("def reward(state, action):\n    return 3.0 + 0.0 * state.x\n")]}
    run.go()
    rows = run.metrics()
    first = next(i for i, row in enumerate(rows) if row["reward_id"] != "task")
    # An episode takes 40 steps or fewer, a rollout 8: no whole one is over at once.
    assert rows[first]["reward_return_mean"] is None
    known = [row["reward_return_mean"] for row in rows[first:] if row["reward_return_mean"]]
    assert known
    assert all(0 < each <= 3 * 40 for each in known)
    assert known[-1] == pytest.approx(3 * run.metrics()[-1]["length_mean"], rel=0.05)


def test_the_returns_go_on_with_other_envs_and_not_with_another_task(harness):
    run = harness(total_steps=40 * STEPS)
    run.at = {12: [sends(envs(30))], 20: [sends(task("Pair-v0"))]}
    run.go()
    rows = run.metrics()
    more = next(row for row in rows if row["num_envs"] == 30)
    assert more["reward_return_mean"] == pytest.approx(more["return_mean"])
    assert next(row for row in rows if row["task"] == "Pair-v0")["reward_return_mean"] is None


def test_a_checkpoint_of_an_earlier_version_is_gone_on_with(harness, tmp_path, monkeypatch):
    """It has neither sums nor spans: episodes that were under way are left out."""
    harness(tmp_path / "run", ppo={"overlap": True}).go()
    load = Branch.load

    def load_earlier(branch, counters, arrays):
        arrays = {k: v for k, v in arrays.items() if not k.endswith("reward-returns")}
        episodes = dict(arrays["branch-0.episodes"])
        del episodes["spans"]
        counters = {k: v for k, v in counters.items() if k != "returns_by"}
        load(branch, counters, arrays | {"branch-0.episodes": episodes})

    monkeypatch.setattr(Branch, "load", load_earlier)
    life = harness(tmp_path / "run", ppo={"overlap": True}, total_steps=20 * STEPS)
    assert life.go() == "finished"
    rows = life.metrics()
    assert rows[9]["reward_return_mean"] is not None
    assert rows[10]["reward_return_mean"] is None
    assert rows[-1]["reward_return_mean"] is not None
    # The 9th update of this life, and the 10th.
    assert rows[18]["improvement_per_million"] is None
    assert rows[19]["improvement_per_million"] is not None
