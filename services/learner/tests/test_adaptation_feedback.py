"""What is told of training: hand-computed numbers, and no NaN among them."""

import json
import math

import msgspec
import pytest

from websim_learner.adaptation.feedback import evenly_spaced, make_feedback
from websim_learner.adaptation.outlook import outlook, slope_low_per_million
from websim_learner.adaptation.points import ComponentTally, EvalPoint
from websim_learner.adaptation.signals import TriggerSettings

NAN, INF = math.nan, math.inf


def point(index, **overrides):
    values = {
        "update": index,
        "env_steps": 1000 * index,
        "fitness": (1.0 * index, 1.0 * index + 1.0),
        "reward_return": (10.0 * index, 10.0 * index + 10.0),
        "task_return": (0.0, 0.0),
        "length": (10, 20),
        "reward_id": "p_1",
        "components": {"speed": ComponentTally(share=0.75, mean=2.0, std=1.0)},
        "value_loss": 0.5 * index,
        "entropy_nats": 3.0,
    }
    return EvalPoint(**values | overrides)


def test_the_last_evaluation_and_its_curves():
    feedback = make_feedback(
        [point(1), point(2)], "stagnation", "no gain", target=9.0, slope_low_per_million=-2.0
    )
    assert json.loads(msgspec.json.encode(feedback)) == {
        "trigger": "stagnation",
        "evidence": "no gain",
        "env_steps": 2000,
        "fitness": 2.5,
        "fitness_target": 9.0,
        "fitness_slope_low": -2.0,
        "episode_length": 15.0,
        "reward_fitness_correlation": 1.0,
        "components": {
            "speed": {"share": 0.75, "mean": 2.0, "std": 1.0, "fitness_correlation": None}
        },
        "curves": {
            "fitness": [1.5, 2.5],
            "reward_return": [15.0, 25.0],
            "episode_length": [15.0, 15.0],
            "value_loss": [0.5, 1.0],
            "entropy": [3.0, 3.0],
            "share:speed": [0.75, 0.75],
        },
    }


def test_where_no_number_judges_nothing_of_a_fitness_is_told():
    speed = ComponentTally(share=0.75, mean=2.0, std=1.0, fitness_correlation=0.5)
    points = [point(1), point(2, components={"speed": speed})]
    feedback = make_feedback(
        points, "guard", "", target=9.0, slope_low_per_million=-2.0, by_fitness=False
    )
    assert json.loads(msgspec.json.encode(feedback)) == {
        "trigger": "guard",
        "env_steps": 2000,
        "episode_length": 15.0,
        "components": {
            "speed": {"share": 0.75, "mean": 2.0, "std": 1.0, "fitness_correlation": None}
        },
        "curves": {
            "reward_return": [15.0, 25.0],
            "episode_length": [15.0, 15.0],
            "value_loss": [0.5, 1.0],
            "entropy": [3.0, 3.0],
            "share:speed": [0.75, 0.75],
        },
    }


def test_another_reward_says_nothing_about_this_one():
    other = point(1, reward_id="task", components={}, reward_return=(999.0, -999.0))
    curves = make_feedback([other, point(2)], "manual", "").curves
    assert curves["fitness"] == (1.5, 2.5)
    assert curves["reward_return"] == (25.0,)
    assert curves["share:speed"] == (0.75,)


def test_correlation_by_hand():
    # Deviations (-1, 0, 1) and (-1, 1, 0): r = 1 / sqrt(2 * 2).
    three = point(1, fitness=(0.0, 1.0, 2.0), reward_return=(0.0, 2.0, 1.0), length=(1, 1, 1))
    assert make_feedback([three], "", "").reward_fitness_correlation == pytest.approx(0.5)


@pytest.mark.parametrize(
    "flat", [{"fitness": (1.0, 1.0)}, {"reward_return": (0.1, 0.1)}, {"fitness": (NAN, NAN)}]
)
def test_no_correlation_with_what_does_not_vary(flat):
    points = [point(1, **flat), point(2, **flat)]
    assert make_feedback(points, "", "").reward_fitness_correlation is None


def test_too_few_episodes_for_a_correlation():
    assert make_feedback([point(1)], "", "").reward_fitness_correlation is None


def test_what_is_no_number_does_not_travel():
    broken = {
        "good": ComponentTally(share=1.5, mean=1.0, std=0.0, fitness_correlation=-1.0000001),
        "bad": ComponentTally(share=0.1, mean=INF, std=0.0),
    }
    points = [
        point(1),
        point(2, fitness=(NAN, 1.0), value_loss=INF, components=broken, reward_return=(1e13, 0.0)),
    ]
    feedback = make_feedback(points, "guard", "x" * 999, target=NAN, slope_low_per_million=-INF)
    assert (feedback.fitness, feedback.fitness_target, feedback.fitness_slope_low) == (None,) * 3
    assert feedback.components == {
        "good": type(feedback.components["good"])(
            share=1.0, mean=1.0, std=0.0, fitness_correlation=-1.0
        )
    }
    assert feedback.curves["value_loss"] == (0.5,)
    assert feedback.curves["fitness"] == (1.5,)
    assert len(feedback.evidence) == 400
    json.dumps(msgspec.to_builtins(feedback), allow_nan=False)


def test_no_evaluation_yet():
    feedback = make_feedback([], "surprise", "asked for")
    assert (feedback.trigger, feedback.evidence, feedback.curves) == ("", "asked for", {})


def test_ten_values_of_a_long_curve():
    assert evenly_spaced(list(range(91))) == tuple(map(float, range(0, 91, 10)))
    assert evenly_spaced([1.0, NAN, None, 3.0]) == (1.0, 3.0)


def test_no_more_curves_than_are_taken():
    components = {f"c{i}": ComponentTally(share=0.03, mean=0.0, std=0.0) for i in range(32)}
    components["not a name"] = ComponentTally(share=0.03, mean=0.0, std=0.0)
    curves = make_feedback([point(1, components=components)], "", "").curves
    assert len(curves) == 32
    assert "share:not a name" not in curves


def test_components_are_cut_to_what_is_taken():
    components = {f"c{i}": ComponentTally(share=i / 100, mean=0.0, std=0.0) for i in range(40)}
    components["n" * 70] = ComponentTally(share=1.0, mean=7.0, std=0.0)
    told = make_feedback([point(1, components=components)], "", "").components
    # The smallest shares are left out, and a long name is cut.
    assert list(told) == [f"c{i}" for i in range(9, 40)] + ["n" * 64]
    assert told["n" * 64].mean == 7.0


def test_the_outlook_of_evaluations_by_hand():
    """Fitness grows by 1 in 1,000 steps between any two of six: 1,000 per million, for certain."""
    points = [point(i) for i in range(1, 7)]
    assert outlook(points, TriggerSettings()) == {
        "reward_return_mean": 65.0,
        "reward_fitness_correlation": pytest.approx(1.0),
        "fitness_slope_per_million": pytest.approx(1000.0),
        "fitness_slope_low_per_million": pytest.approx(1000.0),
        "fitness_slope_high_per_million": pytest.approx(1000.0),
    }
    assert slope_low_per_million(points) == pytest.approx(1000.0)


def test_looks_and_few_evaluations_make_no_slope_and_another_rewards_sums_no_correlation():
    points = [point(i) for i in range(1, 6)]
    points.append(point(6, whole=False, reward_id="p_2", reward_return=(3.0, 5.0)))
    assert outlook(points, TriggerSettings()) == {
        "reward_return_mean": 4.0,
        "reward_fitness_correlation": None,
    }
    assert slope_low_per_million(points) is None
