"""A goal's program gives the fitness that the worker counts, bit for bit."""

import numpy as np
import pytest

from websim.client import make_vec
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.measure import GoalMeasure
from websim_learner.algorithms.ppo import PPO
from websim_learner.defaults import PPOSettings
from websim_learner.evaluation import evaluate

FORWARD = "def fitness(state, action):\n    return state.x_velocity\n"


@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Hopper-v5"])
def test_both_count_the_same_bits(fleet, task):
    client = make_vec(task, 6, seed=3, fleet=fleet.client_address)
    goal = Goal(kind="program", program=FORWARD, accumulate="sum", per_horizon=True)
    measure = GoalMeasure(goal, client.task, 6)
    ppo = PPO(PPOSettings(hidden=(8,)), client.task.obs_dim, client.task.action_dim, 6, 0)
    own = evaluate(client, ppo.actor, 7)
    by_goal = evaluate(client, ppo.actor, 7, measure=measure)
    measure.close()
    client.close()
    assert len(np.unique(own.episode_fitness)) > 1
    assert by_goal.episode_fitness.tobytes() == own.episode_fitness.tobytes()
    assert by_goal.episode_length.tobytes() == own.episode_length.tobytes()
