"""Evaluations by a goal's fitness and a reward, and what is kept of them."""

import numpy as np
import pytest

from websim.programs.sandbox import SandboxError
from websim.service.errors import UserError
from websim_learner import watching
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.measure import GoalMeasure, MeasureFailed
from websim_learner.algorithms.ppo import PPO
from websim_learner.defaults import PPOSettings
from websim_learner.evaluation import Evaluation, chosen, evaluate, probe_trajectories
from websim_learner.fleet import Waiter
from websim_learner.rewards import RewardFailed, make_reward
from websim_learner.tallies import correlation, tally

LAST_X = "def fitness(state, action):\n    return -np.abs(state.x)\n"
PARTS = """
def reward(state, action):
    near = 1.0 - np.square(state.x)
    bonus = 0.5 + 0.0 * state.x
    return near + bonus, {"near": near, "bonus": bonus}
"""


@pytest.fixture
def make_measure(toy_task):
    made = []

    def make(program=LAST_X, accumulate="last", per_horizon=False):
        goal = Goal(kind="program", program=program, accumulate=accumulate, per_horizon=per_horizon)
        made.append(GoalMeasure(goal, toy_task, 7))
        return made[-1]

    yield make
    for measure in made:
        measure.close()


@pytest.fixture
def reward(toy_task):
    made = make_reward(PARTS, toy_task, 7)
    yield made
    made.close()


def actor(tile):
    return PPO(PPOSettings(hidden=(8,)), 3, 1, 7, 0).actor(tile)


def test_a_goal_measures_like_the_task_and_changes_nothing_else(make_client, make_measure):
    plain = evaluate(make_client(10), actor, 1)
    measured = evaluate(make_client(10, shuffle=1), actor, 1, measure=make_measure())
    for name in ("episode_return", "episode_length", "episode_fitness", "episode_reward"):
        assert np.array_equal(getattr(measured, name), getattr(plain, name)), name
    assert np.array_equal(plain.episode_reward, plain.episode_return)
    assert plain.components == {}
    assert plain.trajectories == ()


def test_fitness_is_accumulated_in_three_ways(toy_task, make_measure):
    one = np.array([True, True])
    for accumulate, expected in (("sum", [-3.0, -4.0]), ("max", [-1.0, -4.0]), ("last", [-2, -4])):
        fitness = make_measure(accumulate=accumulate).begin(2)
        action = np.zeros((2, 1), np.float32)
        fitness.add({"x": np.array([1.0, 4.0])}, action, one)
        fitness.add({"x": np.array([2.0, np.nan])}, action, np.array([True, False]))
        assert fitness.report().tolist() == expected
    fitness = make_measure(accumulate="sum", per_horizon=True).begin(2)
    fitness.add({"x": np.array([2.0, 0.0])}, action, one)
    assert fitness.report().tolist() == [-2.0 / toy_task.max_episode_steps, 0.0]
    assert make_measure(accumulate="max").begin(1).report().tolist() == [0.0]


def test_an_invalid_transition_is_time_and_no_merit(make_client, make_measure, reward):
    client = make_client(10, broken=lambda step, env_id: step == 3 and env_id == 8)
    measure = make_measure("def fitness(state, action):\n    return 1.0 + 0.0 * state.x\n", "sum")
    evaluation = evaluate(client, actor, 1, measure=measure, reward=reward)
    assert evaluation.episode_length[8] == 4
    assert evaluation.episode_fitness[8] == 3.0
    assert np.isfinite(evaluation.episode_reward).all()


def test_a_reward_is_summed_and_its_components_are_tallied(make_client, reward):
    evaluation = evaluate(make_client(10), actor, 1, reward=reward)
    expected = evaluation.episode_return + 0.5 * evaluation.episode_length
    np.testing.assert_allclose(evaluation.episode_reward, expected, rtol=1e-12)
    near, bonus = evaluation.components["near"], evaluation.components["bonus"]
    steps = evaluation.episode_length.sum()
    assert near.mean == pytest.approx(evaluation.episode_return.sum() / steps)
    assert (bonus.mean, bonus.std) == pytest.approx((0.5, 0.0))
    assert near.share + bonus.share == pytest.approx(1.0)
    # near is negative only where an episode ends beyond 1, so its magnitude is its mean or more
    assert 0.0 < bonus.share <= 0.5 / (0.5 + near.mean)


def test_shares_means_and_correlations_by_hand():
    parts = {"a": np.array([1.0, -3.0]), "b": np.array([2.0, 2.0])}
    sums = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([4.0, 4.0, 4.0])}
    tallies = tally(parts, sums, np.array([6.0, 4.0, 2.0]))
    a, b = tallies["a"], tallies["b"]
    assert (a.share, a.mean, a.std) == (0.5, -1.0, 2.0)
    assert (b.share, b.mean, b.std) == (0.5, 2.0, 0.0)
    assert a.fitness_correlation == pytest.approx(-1.0)
    assert b.fitness_correlation is None
    assert tally({"a": np.zeros(0)})["a"].share == 0.0


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_a_correlation_is_the_same_in_every_unit(unit):
    # Deviations (-1, 0, 1) and (-1, 1, 0): r = 1 / sqrt(2 * 2).
    a, b = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0, 1.0])
    assert correlation(unit * a, b) == pytest.approx(0.5)


def test_what_differs_by_rounding_alone_does_not_vary():
    varied = np.array([0.0, 1.0, 2.0])
    assert correlation(np.array([0.3, 0.1 + 0.2, 0.3]), varied) is None
    assert correlation(np.array([0.3, 0.3 + 1e-9, 0.3]), varied) == pytest.approx(0.0, abs=1e-6)
    assert correlation(np.zeros(3), varied) is None


def test_only_what_is_read_is_asked_for(make_client, make_measure):
    client = make_client(10)
    asked, send = set(), client.send

    def watched(shard, action, fields=()):
        asked.add(tuple(fields))
        send(shard, action, fields)

    client.send = watched
    evaluate(client, actor, 1)
    evaluate(client, actor, 1, measure=make_measure())
    evaluate(client, actor, 1, trajectories=1)
    assert asked == {(), ("x",), ("x", "velocity")}


def test_whole_episodes_are_kept(make_client):
    evaluation = evaluate(make_client(10, shuffle=2), actor, 1, trajectories=3)
    best, worst, median = evaluation.trajectories
    ordered = np.sort(evaluation.episode_fitness)
    assert (best.fitness, worst.fitness, median.fitness) == (ordered[9], ordered[0], ordered[4])
    assert best.label == "best of 10"
    for kept in evaluation.trajectories:
        assert kept.fields["x"].shape == (kept.length,)
        assert kept.fields["velocity"].shape == (kept.length, 2)
        assert kept.action.shape == (kept.length, 1)
        assert kept.fitness == -abs(kept.fields["x"][-1])
        # v += 0.1 a: what was sent is what moved the point
        moved = np.diff(kept.fields["velocity"][:, 0])
        np.testing.assert_allclose(moved, 0.1 * kept.action[1:, 0], atol=1e-6)


def test_only_the_first_envs_are_recorded_and_only_of_them_all_fields_are_asked_for(
    make_client, make_measure, monkeypatch
):
    monkeypatch.setattr(watching, "RECORDED_ENVS", 5)
    client = make_client(10, shard_envs=3)
    asked, send = {}, client.send

    def watched(shard, action, fields=()):
        asked.setdefault(client.shards[shard].first_env_id, set()).add(tuple(fields))
        send(shard, action, fields)

    client.send = watched
    evaluation = evaluate(client, actor, 1, measure=make_measure(), trajectories=9)
    everything, read = {("x", "velocity")}, {("x",)}
    assert asked == {0: everything, 3: everything, 6: read, 9: read}
    best, *_ = kept = evaluation.trajectories
    assert best.label == "best of 5"
    assert sorted(each.fitness for each in kept) == sorted(evaluation.episode_fitness[:5])


def test_what_is_recorded_is_bounded_in_bytes(make_client, toy_task, monkeypatch):
    # x, two velocities in float64, one action in float32.
    assert watching.bytes_of_step(toy_task) == 28
    monkeypatch.setattr(watching, "EPISODE_BYTES", 4 * 28 + 27)
    monkeypatch.setattr(watching, "RECORDED_BYTES", 3 * 4 * 28)
    evaluation = evaluate(make_client(10), actor, 1, trajectories=9)
    assert evaluation.episode_length.min() > 4
    assert [each.length for each in evaluation.trajectories] == [4, 4, 4]
    assert [each.num_bytes for each in evaluation.trajectories] == [112, 112, 112]


def test_nothing_depends_on_the_order_in_which_shards_answer(make_client, make_measure, reward):
    made = [
        evaluate(make_client(10, shuffle=n), actor, 1, measure=make_measure(), reward=reward)
        for n in (1, 2)
    ]
    assert made[0].components == made[1].components
    for name in ("episode_fitness", "episode_reward"):
        assert np.array_equal(getattr(made[0], name), getattr(made[1], name)), name


def test_episodes_are_chosen_from_all_over_the_range():
    fitness = np.array([3.0, np.nan, 1.0, 2.0, 0.0])
    assert [env for env, _ in chosen(fitness, 3)] == [0, 1, 2]
    assert sorted(env for env, _ in chosen(fitness, 9)) == [0, 1, 2, 3, 4]
    assert chosen(fitness, 0) == []
    assert chosen(np.array([1.0]), 2) == [(0, "best of 1")]


def test_probes_want_nothing_and_are_the_same_every_time(make_client, make_measure):
    probes = probe_trajectories(make_client(10), 1, Waiter(), make_measure())
    again = probe_trajectories(make_client(10), 1, Waiter(), None)
    still, random, high, low = probes
    assert [p.label for p in probes] == [
        "standing still", "random actions", "highest actions", "lowest actions",
    ]  # fmt: skip
    assert not still.action.any()
    assert (high.action == 2.0).all()
    assert (low.action == -2.0).all()
    assert -2.0 <= random.action.min() < random.action.max() <= 2.0
    for first, second in zip(probes, again, strict=True):
        assert np.array_equal(first.action, second.action)
        assert np.array_equal(first.fields["x"], second.fields["x"])
        assert first.fitness == second.fitness


def test_a_reward_that_fails_leaves_the_session_usable(make_client, reward, monkeypatch):
    client = make_client(10)
    with monkeypatch.context() as patch:
        patch.setattr("websim_learner.rewards.evaluate_guarded", fail)
        with pytest.raises(RewardFailed, match="too long"):
            evaluate(client, actor, 1, reward=reward)
    again = evaluate(client, actor, 1, reward=reward)
    assert np.array_equal(
        again.episode_reward, evaluate(make_client(10), actor, 1, reward=reward).episode_reward
    )


def test_a_goal_that_fails_says_so_and_leaves_the_session_usable(make_client, make_measure):
    client, measure = make_client(10), make_measure()
    measure.close()
    with pytest.raises(MeasureFailed, match="goal's fitness program failed"):
        evaluate(client, actor, 1, measure=measure)
    evaluate(client, actor, 1)


@pytest.mark.parametrize(
    "program", ["not python", LAST_X.replace("state.x", "state.speed"), "import os\n" + LAST_X]
)
def test_a_bad_goal_is_refused_in_one_line(make_measure, program):
    with pytest.raises(UserError, match="goal's fitness program is refused") as refusal:
        make_measure(program)
    assert "\n" not in str(refusal.value)


def test_a_goal_without_a_program_is_no_measure(toy_task):
    with pytest.raises(ValueError, match="'task'"):
        GoalMeasure(Goal(), toy_task)


def fail(*_args):
    raise SandboxError("deadline", "it took too long")


@pytest.mark.parametrize(
    ("fitness", "mean"), [([1.0, np.nan, 4.0, np.inf], 2.5), ([np.nan, np.nan], None)]
)
def test_the_mean_of_fitness_is_over_the_episodes_that_have_one(fitness, mean):
    zeros = np.zeros(len(fitness))
    assert Evaluation(zeros, zeros, np.array(fitness), zeros, zeros).fitness_mean == mean
