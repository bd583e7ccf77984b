"""Evaluation: the mean action's episodes, on a session of its own, never learned from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from websim_learner.fleet import FleetClient, Waiter, num_envs
from websim_learner.models import ActionScale, NumpyActor

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """One episode of each env of an evaluation session; each of shape (num_envs,)."""

    episode_return: Float64
    """Sum of the task's own reward."""
    episode_length: Float64
    """Env steps."""
    episode_fitness: Float64
    episode_success: Float64
    """NaN where the task defines no success."""

    @property
    def success_mean(self) -> float | None:
        """Share of successful episodes; None where the task defines no success."""
        known = self.episode_success[~np.isnan(self.episode_success)]
        return float(known.mean()) if len(known) else None


def evaluate(
    client: FleetClient,
    make_actor: Callable[[int], NumpyActor],
    seed: int,
    waiter: Waiter | None = None,
) -> Evaluation:
    """Let every env of a session do one episode with the mean action.

    Args:
        client: the evaluation session; nothing is outstanding on it.
        make_actor: freezes the policy for forwards of as many rows as told.
        seed: re-keys the session, so that every evaluation starts from the same states.
        waiter: waits for results; it may stop the evaluation.

    Raises:
        RunStopped: it was stopped; the session's state is unknown.
    """
    waiter = waiter or Waiter()
    actor = make_actor(max(span.num_envs for span in client.shards))
    scale = ActionScale.of(client.task.action_low, client.task.action_high)
    table = np.full((4, num_envs(client)), np.nan)
    pending = [True] * num_envs(client)
    for shard in range(len(client.shards)):
        client.send_reset(shard, seed)
    outstanding = len(client.shards)
    while outstanding:
        result = waiter.receive(client)
        span = client.shards[result.shard]
        for k, index in enumerate(result.ended.tolist()):
            env_id = span.first_env_id + index
            if pending[env_id]:
                pending[env_id] = False
                table[:, env_id] = (
                    result.episode_return[k],
                    result.episode_length[k],
                    result.episode_fitness[k],
                    result.episode_success[k],
                )
        if any(pending[span.first_env_id : span.first_env_id + span.num_envs]):
            client.send(result.shard, scale(actor.mean(result.obs)))
        else:
            outstanding -= 1
    return Evaluation(*table)
