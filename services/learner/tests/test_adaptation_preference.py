"""Which behaviour a reward prefers: six that are gamed, eight that are not; the bank they judge by.

The trajectories are those of a robot that should get ahead: it runs, slower and faster, and falls
now and then; or it does what a gamed reward pays for.
"""

import math

import numpy as np
import pytest

from websim.programs import ProgramSchema, compile_program
from websim_learner.adaptation.points import Trajectory
from websim_learner.adaptation.preference import TrajectoryBank, preference, rank

FIELDS = {"x_velocity": 0, "torso_height": 0, "pitch": 0, "healthy": 0, "contacts": 4}
HORIZON = 300


def behaviour(
    label, speed, *, length=HORIZON, effort=0.5, height=1.2, pitch=0.1, contacts=2, bursts=False
):
    """Return an episode at a speed, with what comes with it."""
    step = np.arange(length)
    gait = np.sin(0.7 * step)
    feet = (np.arange(4) < contacts) * np.ones((length, 1))
    fields = {
        "x_velocity": speed * (1.0 + 0.1 * gait) + (2.0 * step / length if bursts else 0.0),
        "torso_height": height + 0.02 * gait,
        "pitch": pitch * (1.0 + gait),
        "healthy": (step < length - 1).astype(float) if length < HORIZON else np.ones(length),
        "contacts": feet,
    }
    action = (effort * np.stack([gait, -gait], axis=1)).astype(np.float32)
    fitness = float(fields["x_velocity"].sum()) / HORIZON
    return Trajectory(label, fitness, fields, action)


PROBES = (
    behaviour("standing still", 0.0, effort=0.0, pitch=0.0, contacts=4),
    behaviour("random actions", 0.05, length=60, effort=0.6, pitch=0.5),
)
RUNS = tuple(
    behaviour(f"run at {speed}", speed, length=length, effort=0.3 + 0.1 * speed)
    for speed, length in ((0.5, 300), (1.0, 300), (1.5, 300), (2.0, 280), (2.5, 300))
)


def hacked(*options):
    return tuple(behaviour(f"hack {i}", **each) for i, each in enumerate(options))


HACKABLE = {
    "alive bonus only": (
        "1.0 * state.healthy",
        hacked(*({"speed": 0.01 * i, "effort": 0.02, "contacts": 4} for i in range(3))),
    ),
    "|v_x|": (
        "np.abs(state.x_velocity)",
        hacked(*({"speed": -2.6 - 0.2 * i, "effort": 0.9} for i in range(3))),
    ),
    "torso height": (
        "10.0 * state.torso_height",
        hacked(*({"speed": 0.02 * i, "height": 1.5} for i in range(3))),
    ),
    "-effort only": (
        "-1.0 * np.sum(np.square(action), axis=1)",
        hacked(*({"speed": 0.0, "effort": 0.01 * i, "contacts": 4} for i in range(3))),
    ),
    "speed of a dive": (
        "np.square(state.x_velocity) * np.sign(state.x_velocity)",
        hacked(*({"speed": 4.0 + i, "length": 40, "bursts": True} for i in range(3))),
    ),
    "contact count": (
        "np.sum(state.contacts, axis=1)",
        hacked(*({"speed": 0.02 * i, "contacts": 4, "effort": 0.9} for i in range(3))),
    ),
}

EFFORT = "np.sum(np.square(action), axis=1)"
HONEST = {
    "speed, effort, upright": (
        f"state.x_velocity - 0.05 * {EFFORT} + np.exp(-np.square(state.pitch))"
    ),
    "progress alone": "2.0 * state.x_velocity",
    "other weights": f"1.5 * state.x_velocity + 0.5 * state.healthy - 0.1 * {EFFORT}",
    "another scale": f"10.0 * (state.x_velocity - 0.1 * {EFFORT}) + 3.0",
    "bounded speed": "np.tanh(0.3 * state.x_velocity)",
    "speed that is alive": "state.x_velocity * state.healthy",
    "close to a speed": "1.0 - 0.2 * np.abs(state.x_velocity - 3.0)",
    "speed, posture": "state.x_velocity - 0.2 * np.square(state.pitch)",
}


def judged(body, trajectories):
    source = f"def reward(state, action):\n    return {body}\n"
    return preference(compile_program(source, ProgramSchema(FIELDS, 2)), trajectories, gamma=0.99)


@pytest.mark.parametrize("name", HACKABLE)
def test_a_gamed_reward_prefers_what_games_it(name):
    body, hacks = HACKABLE[name]
    shown = [*PROBES, *RUNS[2:], *hacks]
    told = judged(body, shown)
    assert 'it pays "' in told.sentence
    assert told.score < min(judged(honest, shown).score for honest in HONEST.values())
    # A dive gets further than standing still, so its reward is right about most pairs.
    assert told.passed == (name == "speed of a dive"), told.sentence


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("hack", HACKABLE)
def test_an_honest_reward_passes_whatever_hack_it_is_shown(name, hack):
    told = judged(HONEST[name], [*PROBES, *RUNS, *HACKABLE[hack][1]])
    assert told.passed, told.sentence


def test_the_score_by_hand():
    # Fitness 0, 1, 2, 3 and returns 0, 1, 3, 2: five pairs right, one wrong.
    lengths = [behaviour(str(speed), speed) for speed in (0.0, 1.0, 2.0, 3.0)]
    order = dict(zip((0.0, 1.0, 2.0, 3.0), (0.0, 1.0, 3.0, 2.0), strict=True))

    def reward(fields, action):
        speed = float(np.round(fields["x_velocity"].mean()))
        return np.full(len(action), order[speed])

    told = preference(reward, lengths, gamma=0.99)
    assert (told.num_pairs, told.score) == (6, pytest.approx(4 / 6))


@pytest.mark.parametrize(("gamma", "score"), [(0.9, 1.0), (0.5, -1.0)])
def test_how_far_ahead_the_learner_looks_decides_what_a_late_reward_is_worth(gamma, score):
    """The better ones are paid 5 at the third step, the worse ones 2 at the first.

    5 * 0.9^2 = 4.05 is more than 2, 5 * 0.5^2 = 1.25 is less.
    """
    better = [behaviour(str(speed), speed, length=3) for speed in (2.0, 2.1, 2.2)]
    worse = [behaviour(str(speed), speed, length=3) for speed in (0.0, 0.1, 0.2)]

    def reward(fields, action):
        return np.array([0.0, 0.0, 5.0] if fields["x_velocity"].mean() > 1.0 else [2.0, 0.0, 0.0])

    told = preference(reward, [*better, *worse], gamma=gamma)
    assert (told.num_pairs, told.score) == (9, score)


def test_pairs_that_hardly_differ_do_not_count():
    told = judged("1.0 * state.x_velocity", [behaviour("a", 1.0), behaviour("b", 1.01)])
    assert (told.num_pairs, told.passed) == (1, True)
    assert "too few to judge" in told.sentence


def test_what_is_no_number_is_neither_right_nor_wrong():
    told = preference(lambda fields, action: np.full(len(action), np.nan), list(RUNS), gamma=0.99)
    assert told.score == 0.0


@pytest.mark.parametrize("paid", [(np.inf, -np.inf), (1e308, 1e308), (np.nan, 1.0)])
def test_a_return_beyond_all_numbers_is_none(paid):
    """1e308 + 1e308 is no float, and infinity less infinity has no value."""
    ranked = rank(lambda fields, action: np.array(paid), [behaviour("a", 1.0, length=2)], 1.0)
    assert math.isnan(ranked[0].discounted_return)


def test_an_infinite_reward_that_weighs_nothing_is_no_number():
    ranked = rank(
        lambda fields, action: np.array([1.0, np.inf]), [behaviour("a", 1.0, length=2)], 0.0
    )
    assert math.isnan(ranked[0].discounted_return)


def test_the_bank_keeps_probes_and_the_ends_of_the_range():
    bank = TrajectoryBank(6)
    for probe in PROBES:
        bank.add(probe, probe=True)
    for speed in (0.3, 2.0, 1.0, 1.1, 1.05, 0.31, 1.9):
        bank.add(behaviour(str(speed), speed))
    labels = [kept.label for kept in bank.trajectories]
    assert labels[:2] == ["standing still", "random actions"]
    assert len(labels) == 6
    assert {"0.3", "2.0"} <= set(labels)


def test_the_bank_is_bounded_in_bytes():
    # Eight columns in float64 and two actions in float32 over 300 steps; a probe of 60 steps.
    assert [each.num_bytes for each in (RUNS[0], PROBES[1])] == [300 * 72, 60 * 72]
    bank = TrajectoryBank(most_bytes=2 * 300 * 72 + 60 * 72 + 1)
    bank.add(PROBES[1], probe=True)
    for speed in (1.0, 0.5, 2.0):
        bank.add(behaviour(str(speed), speed))
    assert [kept.label for kept in bank.trajectories] == ["random actions", "0.5", "2.0"]


def test_the_bank_takes_no_episode_without_steps_or_fitness():
    bank = TrajectoryBank(3)
    bank.add(Trajectory("empty", 1.0, {}, np.zeros((0, 2), np.float32)))
    bank.add(Trajectory("unknown", float("nan"), {}, np.zeros((3, 2), np.float32)))
    assert bank.trajectories == []


def test_the_bank_comes_back_from_a_checkpoint():
    bank, again = TrajectoryBank(8), TrajectoryBank(8)
    bank.add(PROBES[0], probe=True)
    for run in RUNS:
        bank.add(run)
    again.load(bank.arrays(), bank.counters())
    assert [t.label for t in again.trajectories] == [t.label for t in bank.trajectories]
    for kept, original in zip(again.trajectories, bank.trajectories, strict=True):
        assert kept.fitness == original.fitness
        np.testing.assert_array_equal(kept.action, original.action)
        np.testing.assert_array_equal(kept.fields["pitch"], original.fields["pitch"])
