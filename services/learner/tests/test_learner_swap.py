"""Another reward, another policy: what PPO and a branch do about it."""

import numpy as np
import pytest

from websim_learner.algorithms.swap import Swap, matched
from websim_learner.branch import Branch
from websim_learner.checkpoint import arrays_sha256
from websim_learner.control import SetReward
from websim_learner.defaults import PPOSettings
from websim_learner.policy_state import PolicyState
from websim_learner.rewards import make_reward

SETTINGS = {"rollout_length": 16, "minibatch_size": 64, "epochs": 2, "hidden": (16,)}
TENFOLD = "def reward(state, action):\n    return 10.0 * (1.0 - np.square(state.x)) + 3.0\n"
TIMES = {
    "n", "time_unix_s", "wall_s", "steps_per_s", "physics_s", "inference_s", "update_s",
    "evaluation_s",
}  # fmt: skip
NOISE = "def reward(state, action):\n    return np.sin(1000.0 * state.x)\n"


@pytest.fixture
def make_branch(make_client, toy_task):
    made = []

    def make(num_envs=24, **options):
        overlap = options.pop("overlap", False)
        length = options.pop("rollout_length", SETTINGS["rollout_length"])
        branch = Branch(
            len(made),
            make_client(num_envs, 5),
            PPOSettings(**SETTINGS | {"overlap": overlap, "rollout_length": length}),
            seed=1,
            session_seed=5,
            total_steps=100_000,
            reward=make_reward(None, toy_task, num_envs),
            **options,
        )
        made.append(branch)
        branch.start()
        return branch

    yield make
    for branch in made:
        branch.close()


def actor_weights(branch):
    weights = branch.algorithm.arrays()["weights"]
    return arrays_sha256({"actor": {k: v for k, v in weights.items() if "critic" not in k}})


def everything(branch):
    return arrays_sha256(branch.algorithm.arrays())


def learned(branch):
    """Return the digest of everything but how far the envs are in their episodes."""
    parts = branch.algorithm.arrays()
    return arrays_sha256({**parts, "returns": {"last": parts["returns"]["last"]}})


def episodes(branch):
    scale = branch.algorithm.return_scale
    return scale.running.tolist(), scale.length.tolist()


def test_a_fork_that_sees_the_same_data_ends_in_the_same_bits(make_branch):
    original, fork = make_branch(), make_branch()
    for _ in range(3):
        original.advance()
    fork.take_over(original.policy_state())
    assert learned(fork) == learned(original)
    assert not any(map(any, episodes(fork)))
    # The same envs, noise and minibatch order for both: only what was taken over could differ.
    for branch in (original, fork):
        branch.algorithm.num_updates = 3
        branch.env_steps = 3 * branch.steps_per_update
        branch._collector.reset(9)
        branch.algorithm.return_scale.begin_episodes(branch.num_envs)
    for _ in range(2):
        original.advance()
        fork.advance()
    assert everything(fork) == everything(original)


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_an_earlier_policy_is_put_back_whole(make_branch, overlap):
    branch = make_branch(overlap=overlap)
    branch.advance()
    state, weights, whole = branch.policy_state(), branch.weights_sha256(), learned(branch)
    for _ in range(2):
        branch.advance()
    assert branch.weights_sha256() != weights
    kept = PolicyState.of(state.counters(), state.arrays())
    under_way = episodes(branch)
    branch.take_over(kept)
    assert branch.weights_sha256() == weights
    assert learned(branch) == whole
    # The envs are where they are, whenever the policy was kept.
    assert episodes(branch) == under_way
    assert branch.updates == 3
    assert branch._ahead is None
    branch.advance()
    assert branch.updates == 4


def test_no_return_mixes_episodes_where_a_rollout_is_thrown_away(make_branch):
    """By the task's own reward each return is one that an env has told of its episode.

    A whole episode takes 40 steps, as a rollout does: the one that begins in a rollout that is
    thrown away is as far on by its end as the one before it was at its start.
    """
    branch, told, kept = make_branch(overlap=True, rollout_length=40), set(), set()
    for update in range(12):
        branch.advance()
        told |= set(branch.statistics.arrays()["return"])
        kept |= set(branch.reward_returns.arrays()["window"])
        if update % 3 == 0:
            branch.take_over(branch.policy_state())
    assert len(kept) > 20
    for each in kept:
        assert min(abs(each - other) for other in told) < 1e-9


def test_an_update_tells_how_many_episodes_terminated(make_branch):
    branch = make_branch(num_envs=64)
    # After 16 of 40 steps the clock has ended none.
    assert branch.advance().terminations == branch.statistics.episodes > 0


def test_a_policy_moves_to_another_number_of_envs(make_branch):
    large, small = make_branch(24), make_branch(10)
    large.advance()
    small.take_over(large.policy_state())
    assert small.weights_sha256() == large.weights_sha256()
    assert small.algorithm.return_scale.running.shape == (10,)
    assert not small.algorithm.return_scale.running.any()
    small.advance()


def test_a_policy_comes_with_its_reward_or_with_another(make_branch):
    branch = make_branch()
    branch.advance()
    state = branch.policy_state()
    branch.set_reward(branch.make_reward(TENFOLD))
    tenfold = branch.policy_state()
    branch.take_over(state)
    assert branch.reward.id == "task"
    branch.take_over(tenfold)
    assert branch.reward.source == TENFOLD
    branch.take_over(state, branch.make_reward(NOISE))
    assert branch.reward.source == NOISE
    assert branch.advance().reward_id == branch.reward.id


def test_a_policy_of_another_shape_is_refused(make_branch):
    branch = make_branch()
    state = branch.policy_state()
    del state.parts["weights"]["log_std"]
    with pytest.raises(ValueError, match="another network"):
        branch.take_over(state)


def test_the_learning_rate_follows_the_steps_of_the_run(make_branch):
    branch = make_branch(first_env_steps=50_000)
    settings = branch.algorithm.settings
    first, last = settings.learning_rate, settings.final_learning_rate
    assert branch.advance().stats.learning_rate == pytest.approx((first + last) / 2)
    branch.count_steps(25_000 - branch.steps_per_update)
    assert branch.env_steps == 75_000
    assert branch.advance().stats.learning_rate == pytest.approx(first / 4 + 3 * last / 4)


@pytest.fixture
def never_enough(monkeypatch):
    """Let warm-ups last for as long as they may: no critic explains more than everything."""
    begin = Swap.begin

    def begin_hopelessly(swap):
        swap.explained = 1.5
        begin(swap)

    monkeypatch.setattr("websim_learner.algorithms.swap.ENOUGH", 2.0)
    monkeypatch.setattr(Swap, "begin", begin_hopelessly)


@pytest.mark.usefixtures("never_enough")
def test_only_the_critic_moves_while_it_catches_up(make_branch):
    branch = make_branch()
    for _ in range(8):
        branch.advance()
    branch.set_reward(branch.make_reward(NOISE))
    before, momentum = actor_weights(branch), branch.algorithm.arrays()["optimizer"]
    critics = set()
    for update in range(3):
        branch.advance()
        assert actor_weights(branch) == before, update
        critics.add(everything(branch))
    assert len(critics) == 3
    after = branch.algorithm.arrays()["optimizer"]
    # Parameters are listed as log_std, actor, critic: two layers of two arrays each.
    assert all(np.array_equal(after[k], momentum[k]) for k in after if int(k[0]) < 5)
    branch.advance()
    assert actor_weights(branch) != before


def test_a_critic_that_is_as_good_as_before_needs_no_warm_up(make_branch):
    branch = make_branch()
    for _ in range(8):
        branch.advance()
    branch.algorithm.swap.explained = -1.0
    before = actor_weights(branch)
    branch.set_reward(branch.make_reward(TENFOLD))
    branch.advance()
    assert actor_weights(branch) != before
    assert branch.algorithm.swap.warm_ups_left == 0


def test_another_reward_before_anything_was_learned_needs_no_treatment(make_branch):
    branch = make_branch()
    branch.set_reward(branch.make_reward(TENFOLD))
    before = actor_weights(branch)
    branch.advance()
    assert actor_weights(branch) != before


def test_slope_and_offset_solve_the_equations_by_hand():
    """gamma = 0.5, endless: targets r + 0.5 v. v is right for r; of 10 r + 3 it is 10 v + 6."""
    r = np.array([1.0, 2.0, 3.0, 4.0])
    # A chain that stays where it is: v = r + v / 2 = 2 r.
    v = 2.0 * r
    a, b = matched(v, 10.0 * r + 3.0, 0.5 * v, np.full(4, 0.5))
    assert (a, b) == pytest.approx((10.0, 6.0))
    a, b = matched(v, -r, 0.5 * v, np.full(4, 0.5))
    assert (a, b) == pytest.approx((-1.0, 0.0))


def test_a_critic_without_spread_is_shifted_only():
    flat = np.full(3, 2.0)
    a, b = matched(flat, np.array([3.0, 4.0, 5.0]), 0.5 * flat, np.full(3, 0.5))
    # 2 + b = 4 + 0.5 (2 + b)
    assert (a, b) == pytest.approx((1.0, 6.0))
    none = np.zeros(0)
    assert matched(none, none, none, none) == (1.0, 0.0)


@pytest.mark.usefixtures("never_enough")
@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_a_run_that_dies_within_a_warm_up_ends_like_the_undisturbed_one(
    harness, tmp_path, monkeypatch, overlap
):
    monkeypatch.setattr("websim_learner.algorithms.swap.MAX_WARM_UPS", 5)
    options = {"ppo": {"overlap": overlap}, "checkpoint_every_updates": 1}

    def swap(harness):
        harness.send(SetReward(kind="set_reward", source=NOISE))

    alone = harness(tmp_path / "alone", **options)
    alone.at[2] = [swap]
    assert alone.go() == "finished"
    first = harness(tmp_path / "killed", **options)
    first.at[2] = [swap]
    first.at[5] = [stop]
    assert first.go() == "stopped"
    assert 0 < first.branch.algorithm.swap.warm_ups_left < 5
    killed = harness(tmp_path / "killed", **options)
    assert killed.go() == "finished"
    assert rows(killed) == rows(alone)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]


def stop(harness):
    harness.stopped = True


def rows(harness):
    return [{k: v for k, v in row.items() if k not in TIMES} for row in harness.metrics()]
