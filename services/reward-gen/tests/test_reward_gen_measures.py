"""Goals of several wishes: what of them one number says, by hand, and what is said to play no part.

A robot is where and as fast as the state says; all that it does not say is 0.
"""

import asyncio

import pytest
from reward_gen_samples import bundled_tasks
from test_reward_gen_library import evaluate

from websim.programs import compile_program
from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.library.provider import LibraryProvider
from websim_reward_gen.proposal import GoalAsk


def measure(name, words):
    request = GoalRequest(task=bundled_tasks()[name], description=words)
    return asyncio.run(LibraryProvider().measure(GoalAsk(request)))


VALUES = [
    # Closenesses: the mean of all. Forward |1 - 2| / 2 is half way, left |1 - 1| / 1 all the way.
    (
        "Ant-v5",
        "move forward at 2 m/s and 1 m/s to the left",
        "sum",
        "",
        [
            ({"x_velocity": 2.0, "y_velocity": 1.0}, 1.0),
            ({"x_velocity": 1.0, "y_velocity": 1.0}, 0.75),
            ({"x_velocity": 2.0}, 0.5),
            ({}, 0.0),
        ],
    ),
    (
        "Ant-v5",
        "run at 2 m/s and spin at 4 rad/s",
        "sum",
        "",
        [
            ({"x_velocity": 2.0, "torso_rotation": (0, 0, 4)}, 1.0),
            ({"x_velocity": 2.0, "torso_rotation": (0, 0, 1)}, 0.625),
        ],
    ),
    # A speed of nothing is a standstill: |v| / 0.5 from it, whichever way.
    (
        "HalfCheetah-v5",
        "hold 0 m/s",
        "sum",
        "",
        [({}, 1.0), ({"x_velocity": 0.25}, 0.5), ({"x_velocity": -0.5}, 0.0)],
    ),
    (
        "Ant-v5",
        "spin at 0 rad/s",
        "sum",
        "",
        [({}, 1.0), ({"torso_rotation": (0, 0, 0.05)}, 0.5), ({"torso_rotation": (0, 0, 1)}, 0.0)],
    ),
    # Postures: pi from upright about whatever axis, which the pitch of a quaternion does not reach.
    (
        "Ant-v5",
        "stay upside down",
        "sum",
        "",
        [
            ({"torso_orientation": (0, 1, 0, 0)}, 1.0),
            ({"torso_orientation": (0, 0, 1, 0)}, 1.0),
            ({"torso_orientation": (0.6, 0.8, 0, 0)}, 0.0),
            ({"torso_orientation": (1, 0, 0, 0)}, 0.0),
        ],
    ),
    # Who begins on its back stands when turned by a quarter about y: 2 w y = 1.
    (
        "HumanoidStandup-v5",
        "stay upright",
        "sum",
        "",
        [
            ({"torso_orientation": (1, 0, 0, 0)}, 0.0),
            ({"torso_orientation": (0.7071, 0, 0.7071, 0)}, 1.0),
            ({"torso_orientation": (0.7071, 0, -0.7071, 0)}, 0.0),
        ],
    ),
    # Who stands lies on its back when pitched by -pi/2.
    (
        "Walker2d-v5",
        "stay on its back",
        "sum",
        "",
        [({"pitch": -1.57}, 1.0), ({"pitch": 3.14}, 0.0), ({"pitch": 0.0}, 0.0)],
    ),
    ("HalfCheetah-v5", "stay on its back", "sum", "", [({"pitch": 3.14}, 1.0), ({}, 0.0)]),
    # Half of a lean at least: upright is none. Without a number cos(1.1 - 0.3) < 0.7 is too far.
    (
        "Walker2d-v5",
        "lean forward",
        "sum",
        "",
        [
            ({"pitch": pitch}, value)
            for pitch, value in (
                (0.0, 0.0),
                (0.1, 0.0),
                (0.2, 1.0),
                (0.3, 1.0),
                (1.0, 1.0),
                (1.1, 0.0),
                (-0.3, 0.0),
            )
        ],
    ),
    # 10 degrees are 0.1745, and half of that to either side is near enough.
    (
        "Walker2d-v5",
        "lean forward 10 degrees",
        "sum",
        "",
        [
            ({"pitch": pitch}, value)
            for pitch, value in (
                (0.0, 0.0),
                (0.08, 0.0),
                (0.09, 1.0),
                (0.26, 1.0),
                (0.27, 0.0),
            )
        ],
    ),
    # Ways of the same unit: their mean.
    ("Ant-v5", "go forward and to the left", "sum", "m/s", [({"x_velocity": 2.0}, 1.0)]),
    # A way and a closeness: what is gained counts as far as the closeness goes, a loss in full.
    (
        "Ant-v5",
        "run forward and spin at 4 rad/s",
        "sum",
        "m/s",
        [
            ({"x_velocity": 3.0, "torso_rotation": (0, 0, 4)}, 3.0),
            ({"x_velocity": 3.0, "torso_rotation": (0, 0, 1)}, 0.75),
            ({"x_velocity": -3.0, "torso_rotation": (0, 0, 1)}, -3.0),
        ],
    ),
    # A way and a turn without a rate: it counts while the robot turns that way.
    (
        "Ant-v5",
        "run in circles",
        "sum",
        "m/s",
        [
            ({"x_velocity": 3.0, "y_velocity": -4.0, "torso_rotation": (0, 0, 0.1)}, 5.0),
            ({"x_velocity": 3.0, "y_velocity": -4.0, "torso_rotation": (0, 0, -0.1)}, 0.0),
            ({"torso_rotation": (0, 0, 1)}, 0.0),
        ],
    ),
    # A place, a standstill and balance are conditions, like postures and limits.
    (
        "Ant-v5",
        "walk near the start",
        "sum",
        "m/s",
        [
            ({"y_velocity": -2.0, "x_position": 0.5}, 2.0),
            ({"y_velocity": -2.0, "x_position": 1.5}, 0.0),
        ],
    ),
    (
        "Hopper-v5",
        "hop on the spot",
        "max",
        "m",
        [
            ({"torso_height": 1.5, "x_velocity": 0.4}, 1.5),
            ({"torso_height": 1.5, "x_velocity": 0.6}, 0.0),
        ],
    ),
    (
        "HalfCheetah-v5",
        "run forward without falling",
        "sum",
        "m/s",
        [({"x_velocity": 2.0}, 2.0), ({"x_velocity": 2.0, "pitch": 3.0}, 0.0)],
    ),
    (
        "HalfCheetah-v5",
        "never flip faster than 2 rad/s and never lean back beyond 1 rad",
        "sum",
        "",
        [
            ({"pitch_velocity": -1.0}, 1.0),
            ({"pitch_velocity": -3.0}, 0.0),
            ({"pitch": -0.9}, 1.0),
            ({"pitch": -1.1}, 0.0),
        ],
    ),
    # A word for a limit does not turn one round.
    (
        "HalfCheetah-v5",
        "limit the speed to at most 2 m/s",
        "sum",
        "m/s",
        [({"x_velocity": 2.0}, 2.0), ({"x_velocity": 3.0}, 0.0)],
    ),
    (
        "Humanoid-v5",
        "keep a minimum torso height of more than 1 m",
        "sum",
        "",
        [({"torso_height": 1.2}, 1.0), ({"torso_height": 0.8}, 0.0)],
    ),
    # Heights of a jump are above the start: the best moment, up to what is asked for.
    (
        "Hopper-v5",
        "jump 0.5 m high",
        "max",
        "m",
        [({"torso_rise": 0.2, "torso_height": 1.45}, 0.2), ({"torso_rise": 0.7}, 0.5)],
    ),
    (
        "Hopper-v5",
        "never jump higher than 1 m",
        "sum",
        "",
        [({"torso_rise": 1.0}, 1.0), ({"torso_rise": 1.1}, 0.0)],
    ),
    (
        "Hopper-v5",
        "hop forward and never jump higher than 0.3 m",
        "sum",
        "m/s",
        [
            ({"x_velocity": 2.0, "torso_rise": 0.3}, 2.0),
            ({"x_velocity": 2.0, "torso_rise": 0.4}, 0.0),
        ],
    ),
]


@pytest.mark.parametrize(
    ("name", "words", "accumulate", "unit", "values"), VALUES, ids=[c[1] for c in VALUES]
)
def test_a_goal_of_several_wishes_is_measured_by(name, words, accumulate, unit, values):
    task = bundled_tasks()[name]
    goal = measure(name, words)

    assert (goal.kind, goal.accumulate, goal.unit) == ("program", accumulate, unit)
    assert "no part" not in goal.description
    program = compile_program(goal.program, task.schema_, "fitness")
    for state, value in values:
        assert evaluate(program, task, state) == pytest.approx(value)


NO_PART = [
    # What is to be avoided without a limit: nothing says how much of it is too much.
    ("Hopper-v5", "run forward but never jump", "task", "'not jump' plays no part in it"),
    ("Ant-v5", "walk forward without spinning", "task", "'not spinning' plays no part in it"),
    ("Ant-v5", "run at 2 m/s without spinning", "program", "'not spinning' plays no part in it"),
    ("InvertedPendulum-v5", "keep the pole up, not jerky", "task", "'not jerky' plays no part"),
    # What is of another unit, and what has none.
    ("Ant-v5", "run backwards and jump", "program", "'jump' plays no part in it"),
    ("HalfCheetah-v5", "run smoothly", "task", "'smoothly' plays no part in it"),
    (
        "Reacher-v5",
        "reach the target smoothly, save energy",
        "task",
        "'smoothly' and 'save energy' play no part in it",
    ),
    # What only ever counts down counts whatever else is done.
    ("Pusher-v5", "push it to the goal and stand still", "task", "'stand still' plays no part"),
    # The best moment of a jump says nothing of the moments after it.
    ("Hopper-v5", "jump at most 0.5 m high", "program", "what is beyond plays no part in it"),
]


@pytest.mark.parametrize(("name", "words", "kind", "said"), NO_PART, ids=[c[1] for c in NO_PART])
def test_what_plays_no_part_in_a_measure_is_said(name, words, kind, said):
    goal = measure(name, words)

    assert goal.kind == kind
    assert said in goal.description


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HalfCheetah-v5", "run forward as fast as possible"),
        ("HalfCheetah-v5", "run forward but not backwards"),
        # A fall ends the episode, and with it the way.
        ("Ant-v5", "walk forward without falling"),
    ],
)
def test_of_what_the_tasks_own_fitness_says_nothing_is_left_out(name, words):
    task = bundled_tasks()[name]
    goal = measure(name, words)

    assert (goal.kind, goal.description) == ("task", task.fitness_description)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("HalfCheetah-v5", "hold 0 m/s", "closeness to a standstill (0 from 0.5 on)"),
        ("HalfCheetah-v5", "hold 2 m/s", "2 m/s forward (1 at it, 0 at a standstill)"),
        ("Ant-v5", "spin at 0 rad/s", "closeness to 0 rad/s (1 at it, 0 from 0.1 rad/s on)"),
    ],
)
def test_what_is_said_of_a_closeness_is_what_it_is(name, words, said):
    assert said in measure(name, words).description


def test_wishes_that_nothing_measures_are_named():
    goal = measure("HalfCheetah-v5", "do not run backwards")

    assert goal.kind == "none"
    assert goal.description.startswith("no measure expresses 'not run not backwards'")
