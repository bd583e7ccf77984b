"""Measures of goals on episodes made by hand: they rank them as a person would.

An episode is a state per step; what is not said is 0. A full one lasts 4 steps here, and a shorter
one ended early. The values are computed by hand from the description of the measure.
"""

import asyncio

import numpy as np
import pytest
from reward_gen_samples import bundled_tasks, make_task
from test_reward_gen_library import evaluate

from websim.programs import compile_program
from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.library.provider import LibraryProvider, compose_request
from websim_reward_gen.proposal import GoalAsk

STEPS = 4

SWING_UP = make_task(
    id="SwingUp-v0",
    description="A cart swings the pole that hangs from it up, and keeps it there.",
    action_low=[-1.0],
    action_high=[1.0],
    fields=[
        {"name": name, "columns": columns}
        for name, columns in {
            "cart_position": 0,
            "pole_angle": 0,
            "tip_height": 0,
            "up": 0,
            "obs": 5,
            "previous_action": 1,
            "time_s": 0,
        }.items()
    ],
    fitness_unit="",
    fitness_description="share of the episode during which the pole is up",
)
"""As examples/swing-up has it: the pole is up with its tip above 0.5 m, of 0.6 m at most."""


def at(steps=STEPS, **state):
    """An episode in one state."""
    return [state] * steps


def turning(*rates):
    return [{"torso_rotation": (0, 0, rate)} for rate in rates]


EPISODES = [
    # task, words, episodes from the best to the worst with their values
    (
        "HalfCheetah-v5",
        "run bakwards",
        [
            (at(x_velocity=-1.0), 1.0),
            # A dive: fast, and over after one step.
            (at(1, x_velocity=-3.0), 0.75),
            (at(x_velocity=1.0), -1.0),
        ],
    ),
    (
        "HalfCheetah-v5",
        "run at 7.2 km/h",
        [(at(x_velocity=2.0), 1.0), (at(x_velocity=1.0), 0.5), (at(x_velocity=4.0), 0.0)],
    ),
    (
        "HalfCheetah-v5",
        "run between 1 and 2 m/s",
        [(at(x_velocity=1.5), 1.0), (at(x_velocity=0.5), 0.5), (at(x_velocity=3.0), 0.0)],
    ),
    (
        "HalfCheetah-v5",
        "run forward and keep the pitch within 10 degrees",
        [(at(x_velocity=2.0, pitch=0.1), 2.0), (at(x_velocity=2.0, pitch=-0.3), 0.0)],
    ),
    (
        "Hopper-v5",
        "keep it from falling",
        [(at(healthy=1.0), 1.0), (at(2, healthy=1.0), 0.5), (at(healthy=0.0), 0.0)],
    ),
    (
        "Hopper-v5",
        "jump 20 inches high",
        [
            ([{"torso_rise": rise} for rise in (0.0, 0.3, 0.6, 0.0)], 0.508),
            ([{"torso_rise": rise} for rise in (0.0, 0.2, 0.1, 0.0)], 0.2),
        ],
    ),
    (
        "Walker2d-v5",
        "keep its torso between 0.8 m and 1.2 m",
        [
            (at(torso_height=1.0), 1.0),
            ([*at(2, torso_height=0.7), *at(2, torso_height=1.0)], 0.5),
            (at(torso_height=1.3), 0.0),
        ],
    ),
    (
        "Ant-v5",
        "spin slowly",
        [
            (turning(0.5, 0.5, 0.5, 0.5), 1.0),
            (turning(0.25, 0.25, 0.25, 0.25), 0.5),
            (turning(3.0, 3.0, 3.0, 3.0), 0.0),
        ],
    ),
    (
        "Ant-v5",
        "wander around",
        [
            (
                [{"x_velocity": x, "y_velocity": y} for x, y in ((1, 0), (0, -1), (-1, 0), (0, 1))],
                1.0,
            ),
            (at(x_velocity=0.5), 0.5),
        ],
    ),
    (
        "Humanoid-v5",
        "it must not move",
        [
            (at(healthy=1.0), 1.0),
            (at(healthy=1.0, x_velocity=0.25), 0.5),
            (at(1, healthy=1.0), 0.25),
        ],
    ),
    (
        "Reacher-v5",
        "stay 5 cm from the target",
        # 0.05 m of difference are half of the width, 0.1 m.
        [(at(distance=0.05), 1.0), (at(distance=0.1), 0.5), (at(distance=0.2), 0.0)],
    ),
    (
        "Reacher-v5",
        "keep at least 10 cm from the target",
        [
            (at(distance=0.1), 1.0),
            ([*at(1, distance=0.05), *at(3, distance=0.2)], 0.75),
            (at(distance=0.05), 0.0),
        ],
    ),
    (
        "Pusher-v5",
        "get the object to within 5 cm of the goal",
        [(at(goal_distance=0.04), 1.0), (at(goal_distance=0.06), 0.0)],
    ),
    (
        "InvertedPendulum-v5",
        "keep the pole within 5 degrees",
        [(at(angle=-0.05), 1.0), (at(2, angle=0.05), 0.5), (at(angle=0.2), 0.0)],
    ),
    (
        "InvertedPendulum-v5",
        "keep the cart in the middle",
        [(at(cart_position=0.1), 1.0), (at(cart_position=0.5), 0.0)],
    ),
    (
        "SwingUp-v0",
        "swing up and keep the cart centred",
        [
            (at(up=1.0, tip_height=0.6), 1.0),
            ([*at(2, tip_height=-0.6), *at(2, up=1.0, tip_height=0.6)], 0.5),
            (at(up=1.0, tip_height=0.6, cart_position=0.5), 0.0),
        ],
    ),
]


def task_named(name):
    return SWING_UP if name == SWING_UP.id else bundled_tasks()[name]


def accumulated(goal, task, episode):
    program = compile_program(goal.program, task.schema_, "fitness")
    values = [evaluate(program, task, state) for state in episode]
    if goal.accumulate == "sum":
        assert goal.per_horizon
        return sum(values) / STEPS
    return values[-1] if goal.accumulate == "last" else max(values)


@pytest.mark.parametrize(("name", "words", "episodes"), EPISODES, ids=[c[1] for c in EPISODES])
def test_a_measure_ranks_episodes(name, words, episodes):
    task = task_named(name)
    request = GoalRequest(task=task, description=words)

    goal = asyncio.run(LibraryProvider().measure(GoalAsk(request)))

    assert (goal.kind, goal.not_understood) == ("program", ())
    values = [accumulated(goal, task, episode) for episode, _ in episodes]
    assert values == pytest.approx([value for _, value in episodes])
    assert values == sorted(values, reverse=True)


def test_a_pole_that_hangs_is_paid_for_the_way_up():
    drafts = compose_request(SWING_UP, "swing up")[0].drafts
    heights = (-0.6, 0.0, 0.4)

    assert drafts
    for draft in drafts:
        program = compile_program(draft.program, SWING_UP.schema_)
        paid = [evaluate(program, SWING_UP, {"tip_height": height}) for height in heights]
        assert np.all(np.diff(paid) > 0.0), draft
