import math

import msgspec
import pytest

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference
from websim_learner.adaptation.signals import (
    GROWTH_CONFIDENCE,
    TriggerSettings,
    TriggerState,
    after_adaptation,
    after_goal,
    after_rollback,
    after_trigger,
)
from websim_learner.adaptation.triggers import find_trigger, rearmed

STEP = 10_000
GROWING = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
SINKING = [6.0, 5.9, 5.8, 5.7, 5.6, 5.5]
FLAT = [5.0, 5.1, 4.9, 5.0, 5.1, 4.9]


def make_point(index=0, fitness=1.0, **overrides):
    """Return an evaluation of four episodes around `fitness`."""
    values = {
        "update": index,
        "env_steps": index * STEP,
        "fitness": (fitness - 0.1, fitness, fitness, fitness + 0.1),
        "reward_return": (1.0, 1.0, 1.0, 1.1),
        "task_return": (1.0,) * 4,
        "length": (1000,) * 4,
        "reward_id": "task",
        "value_loss": 1.0,
        "entropy_nats": 1.0,
    }
    return EvalPoint(**{**values, **overrides})


def series(fitness, **columns):
    return [
        make_point(i, f, **{name: column[i] for name, column in columns.items()})
        for i, f in enumerate(fitness)
    ]


def find(points, *, baseline=None, target=None, preference=None, state=None, now=None, **settings):
    return find_trigger(
        points,
        baseline,
        target,
        preference,
        state or TriggerState(),
        TriggerSettings(**settings),
        points[-1].env_steps if now is None else now,
    )


def test_growth_is_no_reason_to_change():
    assert find(series(GROWING)) is None


@pytest.mark.parametrize("fitness", [FLAT, SINKING, [3.0] * 6])
def test_no_growth_is_stagnation(fitness):
    trigger = find(series(fitness))
    assert trigger.kind == "stagnation"


@pytest.mark.parametrize(
    ("fitness", "proven", "likely"),
    [
        # Of 15 pairs 2, 3, 5 and 6 fall: Kendall's distribution of six points has at most 2 with
        # 2.8 % if there is no trend, 3 with 6.8 %, 5 with 23.5 % and 6 with 36 %.
        ([1.0, 3.0, 2.0, 4.0, 3.5, 5.0], True, True),
        ([1.0, 4.0, 2.0, 3.0, 6.0, 5.0], False, True),
        ([4.0, 1.0, 2.0, 6.0, 3.0, 5.0], False, True),
        ([4.0, 3.0, 1.0, 2.0, 6.0, 5.0], False, False),
    ],
)
def test_growth_that_is_likely_goes_on_in_a_run(fitness, proven, likely):
    assert (find(series(fitness)) is None) == proven
    growth = find(series(fitness), growth_confidence=GROWTH_CONFIDENCE)
    assert (growth is None) == likely


def test_a_reward_that_pays_all_episodes_alike_is_stagnation_at_once():
    point = make_point(1, reward_return=(0.0,) * 4)
    trigger = find([point])
    assert (trigger.kind, trigger.what) == ("stagnation", "says_nothing")
    # Episodes that do not differ in fitness either are paid alike by right.
    assert find([msgspec.structs.replace(point, fitness=(1.0,) * 4)]) is None
    assert find([point], target=0.5) is None


def test_the_slope_is_told_per_million_steps():
    # Falling by 1 every 10,000 steps.
    assert find(series(SINKING)).numbers["slope_per_million"] == pytest.approx(-10.0)


def test_stagnation_needs_the_whole_window():
    assert find(series(FLAT[:5])) is None


def test_looks_on_probation_say_nothing_of_stagnation():
    looks = [msgspec.structs.replace(point, whole=False) for point in series(FLAT)]
    assert find([*series(FLAT[:5]), *looks]) is None
    later = [make_point(10 + i, f) for i, f in enumerate(FLAT)]
    assert find([*looks, *later]).kind == "stagnation"


def test_a_repeated_evaluation_counts_once():
    points = series(FLAT[:5])
    assert find([*points, points[-1]]) is None


def test_two_evaluations_at_the_target_reach_it():
    assert find(series([1.0, 6.0]), target=5.0) is None
    trigger = find(series([1.0, 5.0, 6.0]), target=5.0)
    assert (trigger.kind, trigger.numbers) == ("target_reached", {"value": 6.0, "target": 5.0})


def test_success_is_the_target_where_the_goal_names_none():
    points = [make_point(i, success=(1.0,) * 4) for i in range(2)]
    assert find(points).what == "target_reached"
    assert find(points, target=5.0) is None
    assert find([make_point(i, success=(1.0, 1.0, 1.0, 0.0)) for i in range(2)]) is None


def test_a_reached_target_is_told_again_only_after_a_clear_fall():
    settings = TriggerSettings()
    at_target = series([6.0] * 6)
    state = after_trigger(TriggerState(), find(at_target, target=5.0))
    assert state.reached
    # Nor is a policy at its target stagnant.
    assert find(at_target, target=5.0, state=state) is None
    assert rearmed(state, series([4.6]), 5.0, settings).reached
    state = rearmed(state, series([4.4]), 5.0, settings)
    assert not state.reached
    assert find(at_target, target=5.0, state=state).kind == "target_reached"


def test_the_schedule_counts_from_the_last_end():
    state = TriggerState(last_end_env_steps=50_000)
    points = series([1.0])
    assert find(points, state=state, schedule_env_steps=200_000, now=249_999) is None
    trigger = find(points, state=state, schedule_env_steps=200_000, now=250_000)
    assert trigger.kind == "schedule"
    assert find(points, state=state, now=10**9) is None


LOUD = series([1.0] * 4, value_loss=[1.0, 1.0, 1.0, 11.0])


def test_the_cool_down_silences_all_but_guards():
    cooling = TriggerState(last_end_env_steps=0)
    assert find(series(FLAT), state=cooling, now=99_999) is None
    assert find(series(FLAT), state=cooling, now=100_000).kind == "stagnation"
    assert find(LOUD, state=cooling).what == "value_loss"


def test_the_cap_silences_what_would_ask_for_another_reward_guards_too():
    spent, left = TriggerState(adaptations=8), TriggerState(adaptations=7)
    for points, what in [(series(FLAT), "stagnation"), (LOUD, "value_loss")]:
        assert find(points, state=left).what == what
        assert find(points, state=spent) is None


def test_what_takes_back_or_puts_back_is_bound_by_no_cap():
    spent = TriggerState(adaptations=8)
    assert find(LOUD, baseline=make_point(0, 1.0), state=spent).what == "value_loss"
    lost = series([1.0, 5.0, 5.0, 3.9, 3.9])
    assert find(lost, state=spent).what == "collapsed"


def test_a_loss_that_is_next_to_nothing_does_not_explode():
    falls = series([1.0] * 4, value_loss=[0.0002, 0.0003, 0.0002, 0.0299])
    assert find(falls) is None
    worse = series([1.0] * 4, value_loss=[0.0002, 0.0003, 0.0002, 0.0301])
    assert find(worse).what == "value_loss"


def test_a_target_is_told_of_whatever_ended_before():
    spent = TriggerState(adaptations=8, last_end_env_steps=0)
    assert find(series([5.0, 6.0]), target=5.0, state=spent).kind == "target_reached"


@pytest.mark.parametrize(
    ("column", "values", "what"),
    [
        ("value_loss", [2.0, 1.0, 3.0, 20.5], "value_loss"),
        ("value_loss", [2.0, 1.0, 3.0, float("nan")], "value_loss"),
        ("value_loss", [2.0, 1.0, 3.0, 20.0], None),
        ("entropy_nats", [1.0, 0.0, -1.0, -2.1], "entropy"),
        ("entropy_nats", [1.0, 0.0, -1.0, -2.0], None),
        ("length", [(100,) * 4, (90,) * 4, (80,) * 4, (44,) * 4], "length"),
        ("length", [(100,) * 4, (90,) * 4, (80,) * 4, (45,) * 4], None),
    ],
)
def test_guards_of_learning(column, values, what):
    trigger = find(series([1.0] * 4, **{column: values}), entropy_floor_nats=-2.0)
    assert (trigger and trigger.what) == what


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("value_loss", [0.004, 0.004, 0.004, 0.075]),
        ("length", [(1000,) * 4] * 3 + [(434,) * 4]),
        ("entropy_nats", [1.0, 1.0, 1.0, -3.0]),
    ],
)
def test_what_gains_does_not_break(column, values):
    """A robot that stood still at 0 hops, falls early, and its critic knows nothing of hopping."""
    standing = make_point(0, 0.0)
    hops = series([0.0, 0.1, 0.2, 0.5], **{column: values})
    assert find(hops, baseline=standing, entropy_floor_nats=-2.0) is None
    # Without an adoption the first evaluation since the last change is what it was.
    assert find(hops, entropy_floor_nats=-2.0) is None
    # Two of four episodes that gain 0.4 and two that lose 0.3 are no sure gain.
    unsure = series([0.0, 0.1, 0.2, 0.5], **{column: values})
    unsure[-1] = msgspec.structs.replace(unsure[-1], fitness=(0.3, 0.4, -0.3, -0.2))
    assert find(unsure, baseline=standing, entropy_floor_nats=-2.0).kind == "guard"
    # Where no number judges, none tells that it gains.
    judged = find(hops, baseline=standing, entropy_floor_nats=-2.0, by_fitness=False)
    assert judged.kind == "guard"


def test_a_loss_that_is_no_number_breaks_whatever_was_gained():
    broken = series([0.0, 0.1, 0.2, 0.5], value_loss=[1.0, 1.0, 1.0, math.nan])
    assert find(broken, baseline=make_point(0, 0.0)).what == "value_loss"


@pytest.mark.parametrize(("before", "what"), [(-1.9, "entropy"), (-2.1, None)])
def test_a_policy_that_explored_no_more_before_is_no_fault_of_the_change(before, what):
    baseline, point = make_point(0, entropy_nats=before), make_point(1, entropy_nats=-2.2)
    trigger = find([point], baseline=baseline, entropy_floor_nats=-2.0)
    assert (trigger and trigger.what) == what
    trigger = find(series([1.0] * 2, entropy_nats=[before, -2.2]), entropy_floor_nats=-2.0)
    assert (trigger and trigger.what) == what


def test_a_guard_speaks_once_until_the_next_change():
    points = series([1.0] * 4, value_loss=[1.0, 1.0, 1.0, 11.0])
    state = after_trigger(TriggerState(), find(points))
    assert find(points, state=state) is None
    assert find(points, state=after_rollback(state, 0)).what == "value_loss"


def test_a_reward_that_grows_while_fitness_falls_is_hacked():
    rewards = [(f, f, f, f + 0.1) for f in GROWING]
    assert find(series(GROWING[::-1], reward_return=rewards)).what == "reward_up_fitness_down"
    ids = ["old"] * 3 + ["new"] * 3
    other = find(series(SINKING, reward_return=rewards, reward_id=ids))
    assert other.kind == "stagnation"


@pytest.mark.parametrize(
    ("fitness", "what"),
    [
        # 1.1 of 5 is more than a fifth, 0.9 is not.
        ([1.0, 5.0, 5.0, 3.9, 3.9], "collapsed"),
        ([1.0, 5.0, 5.0, 4.1, 4.1], None),
        ([1.0, 5.0, 5.0, 3.9], None),
        ([1.0, 5.0, 3.9, 5.0, 3.9], None),
        # Nothing is lost beyond where it began.
        ([1.0, 1.0, 1.0, 1.0], None),
    ],
)
def test_what_was_learned_and_lost_twice_in_a_row_has_collapsed(fitness, what):
    trigger = find(series(fitness))
    assert (trigger and trigger.what) == what
    if what is not None:
        assert trigger.numbers == {"peak": pytest.approx(5.0), "fitness": pytest.approx(3.9)}
    assert find(series(fitness), by_fitness=False) is None


def test_once_is_enough_where_learning_breaks_and_no_adoption_can_be_at_fault():
    losses = [1.0, 1.0, 1.0, 11.0]
    lost = series([5.0, 5.0, 5.0, 3.9], value_loss=losses)
    assert find(lost).what == "collapsed"
    assert find(lost, baseline=make_point(0, 3.9)).what == "value_loss"


def test_a_look_on_probation_is_no_peak():
    points = series([1.0, 2.0, 2.0])
    look = make_point(1, 9.0, whole=False)
    assert find([points[0], look, *points[1:]]) is None


def test_an_adoption_that_leaves_most_episodes_without_a_fitness_is_lost():
    baseline = make_point(fitness=3.0)
    episodes = len(baseline.fitness)
    half = msgspec.structs.replace(
        baseline, fitness=(math.nan,) * (episodes // 2) + (3.0,) * (episodes - episodes // 2)
    )
    assert find([half], baseline=baseline) is None
    most = msgspec.structs.replace(baseline, fitness=(math.nan,) * (episodes - 1) + (3.0,))
    trigger = find([most], baseline=baseline)
    assert trigger.what == "fitness_lost"
    assert trigger.numbers == {"before": 3.0, "gone": (episodes - 1) / episodes}
    assert "of the episodes that had a fitness have none" in trigger.sentence


def test_fitness_lost_on_probation():
    baseline = make_point(0, 100.0)
    # Falls by 15 exactly: more than 10 %, less than 20 %.
    once = [make_point(1, 85.0)]
    assert find(once, baseline=baseline) is None
    twice = [*once, make_point(2, 85.0)]
    trigger = find(twice, baseline=baseline)
    assert (trigger.what, trigger.numbers["change_mean"]) == ("fitness_lost", pytest.approx(-15.0))
    assert find([make_point(1, 75.0)], baseline=baseline).what == "fitness_lost"
    assert find([make_point(1, 91.0), make_point(2, 91.0)], baseline=baseline) is None


def test_two_losses_that_may_be_chance_each_are_none_together():
    baseline = make_point(0, 100.0)

    def shaken(update, changes):
        fitness = tuple(b + d for b, d in zip(baseline.fitness, changes, strict=True))
        return msgspec.structs.replace(make_point(update), fitness=fitness)

    # Of each the mean is -20 and the error 12: -20 + 2.35 * 12 is above -10. Their means are -20.
    one, other = shaken(1, (-40, 0, -40, 0)), shaken(2, (0, -40, 0, -40))
    assert find([one], baseline=baseline) is None
    assert find([one, other], baseline=baseline).what == "fitness_lost"
    assert find([one, one], baseline=baseline) is None
    # What has recovered since is not held against it: -20, then -2, is -11 on average.
    assert find([make_point(1, 81.0), make_point(2, 98.0)], baseline=baseline) is None


def test_one_loss_is_enough_where_a_person_overruled_what_the_reward_prefers():
    baseline, overruled = make_point(0, 100.0), TriggerState(overruled=True)
    trigger = find([make_point(1, 85.0)], baseline=baseline, state=overruled)
    assert (trigger.what, trigger.numbers["change_mean"]) == ("fitness_lost", pytest.approx(-15.0))
    assert find([make_point(1, 91.0)], baseline=baseline, state=overruled) is None
    # Changes 10, 10, 10, -150: it may be chance.
    shaken = tuple(b + d for b, d in zip(baseline.fitness, (10, 10, 10, -150), strict=True))
    point = msgspec.structs.replace(make_point(1), fitness=shaken)
    assert find([point], baseline=baseline, state=overruled) is None


def test_a_look_at_fewer_episodes_is_held_against_the_same_ones():
    baseline = make_point(0, 100.0)
    two = msgspec.structs.replace(make_point(1), fitness=(70.0, 71.0))
    trigger = find([two], baseline=baseline)
    # 70 - 99.9 and 71 - 100.
    assert trigger.numbers["change_mean"] == pytest.approx(-29.45)


def test_a_loss_that_may_be_chance_is_none():
    baseline = make_point(0, 100.0)
    # Changes 10, 10, 10, -150: mean -30, error 40: not below -20 with confidence.
    shaken = tuple(b + d for b, d in zip(baseline.fitness, (10, 10, 10, -150), strict=True))
    point = msgspec.structs.replace(make_point(1), fitness=shaken)
    assert find([point], baseline=baseline) is None


def test_probation_ends():
    baseline = make_point(0, 100.0)
    points = [make_point(1, 50.0)]
    adopted = TriggerState(adopted_env_steps=75_000, last_end_env_steps=75_000)
    assert find(points, baseline=baseline, state=adopted, now=375_000).what == "fitness_lost"
    assert find(points, baseline=baseline, state=adopted, now=375_001) is None
    assert find(points, baseline=baseline, now=300_001) is None


def test_a_reward_that_prefers_worse_is_a_guard():
    failed = Preference(score=-0.5, num_pairs=10, passed=False, sentence="It pays a statue.")
    assert find(series([1.0]), preference=failed).what == "prefers_worse"
    passed = msgspec.structs.replace(failed, passed=True)
    assert find(series([1.0]), preference=passed) is None


def test_what_the_state_remembers():
    told = TriggerState(told=("entropy",), reached=True)
    adopted = after_adaptation(told, 500, adopted=True)
    assert adopted == TriggerState(
        adaptations=1, last_end_env_steps=500, adopted_env_steps=500, reached=True
    )
    kept = after_adaptation(adopted, 900, adopted=False)
    assert (kept.adaptations, kept.last_end_env_steps, kept.adopted_env_steps) == (2, 900, 500)
    back = after_rollback(adopted, 700)
    assert (back.adaptations, back.last_end_env_steps, back.adopted_env_steps) == (1, 700, None)
    assert not after_goal(adopted).reached
    assert msgspec.json.decode(msgspec.json.encode(adopted), type=TriggerState) == adopted
