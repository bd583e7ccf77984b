"""Evaluation: the mean action's episodes, on a session of its own, never learned from."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.film import Clip, Film
from websim_learner.adaptation.measure import GoalMeasure
from websim_learner.adaptation.points import ComponentTally, Trajectory
from websim_learner.adaptation.trend import mean_of
from websim_learner.episodes import Act, FirstEpisodes, run_first_episodes
from websim_learner.fleet import FleetClient, Waiter, num_envs
from websim_learner.models import ActionScale, NumpyActor
from websim_learner.randomness import Stream, generator
from websim_learner.rewards import Reward
from websim_learner.watching import Recorder, Watcher

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """One episode of each env of an evaluation session; each of shape (num_envs,)."""

    episode_return: Float64
    """Sum of the task's own reward."""
    episode_length: Float64
    """Env steps."""
    episode_fitness: Float64
    """By the goal's measure where one was given, else the task's own."""
    episode_success: Float64
    """NaN where the task defines no success."""
    episode_reward: Float64
    """Sum of the reward in force over the valid transitions; the task's own return for its own."""
    components: dict[str, ComponentTally] = field(default_factory=dict)
    """Of the reward in force, over the valid transitions of all episodes."""
    trajectories: tuple[Trajectory, ...] = ()
    """Best, worst and median episode by fitness of those of the first envs, which are recorded,
    then others from all over the range."""
    clip: Clip | None = None
    """How the median episode begins, where one was filmed."""

    @property
    def fitness_mean(self) -> float | None:
        """Mean of the finite ones; None where there is none."""
        mean = mean_of(self.episode_fitness.tolist())
        return mean if math.isfinite(mean) else None

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
    *,
    measure: GoalMeasure | None = None,
    reward: Reward | None = None,
    trajectories: int = 0,
    filmed: bool = False,
    put_off: Callable[[], bool] = lambda: False,
    note_skipped: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Let every env of a session do one episode with the mean action.

    Args:
        client: the evaluation session; nothing is outstanding on it.
        make_actor: freezes the policy for forwards of as many rows as told.
        seed: re-keys the session, so that every evaluation starts from the same states.
        waiter: waits for results; it may stop the evaluation.
        measure: the goal's; None for the task's own fitness.
        reward: the one in force; None for the task's own.
        trajectories: how many episodes to keep, at most, of those that are recorded.
        filmed: whether to film; where the fleet knows of no figures there is no clip.
        put_off: asked with every step; True ends the evaluation at once.
        note_skipped: called with the steps of shards that were not simulated, if any.

    Raises:
        RunStopped: it was stopped; the session's state is unknown.
        MeasureFailed, RewardFailed: a program failed; the session can be used again.
        PutOff: it was put off; the session can be used again.
    """
    actor = make_actor(max(span.num_envs for span in client.shards))
    scale = ActionScale.of(client.task.action_low, client.task.action_high)
    program = reward if reward is not None and reward.source is not None else None
    watcher = Watcher(client, measure, program, record=trajectories > 0)
    figure, film = client.task.figure, None
    if filmed and figure is not None:
        film = Film(client.task, figure, num_envs(client))
    episodes = run_first_episodes(
        client,
        lambda shard, t, obs: scale(actor.mean(obs)),
        seed,
        waiter or Waiter(),
        watcher=watcher,
        film=film,
        put_off=put_off,
        note_skipped=note_skipped,
    )
    fitness = episodes.episode_fitness if measure is None else watcher.fitness()
    sums, components = episodes.episode_return, dict[str, ComponentTally]()
    if program is not None:
        sums, components = watcher.rewards(fitness)
    return Evaluation(
        episode_return=episodes.episode_return,
        episode_length=episodes.episode_length,
        episode_fitness=fitness,
        episode_success=episodes.episode_success,
        episode_reward=sums,
        components=components,
        trajectories=_recorded(watcher.recorder, fitness, trajectories),
        clip=None if film is None else _median(film, episodes, fitness),
    )


def _recorded(recorder: Recorder | None, fitness: Float64, count: int) -> tuple[Trajectory, ...]:
    if recorder is None:
        return ()
    return tuple(
        recorder.trajectory(env_id, float(fitness[env_id]), label)
        for env_id, label in chosen(fitness[: recorder.num_envs], count)
    )


def probe_trajectories(
    client: FleetClient,
    seed: int,
    waiter: Waiter,
    measure: GoalMeasure | None,
    note_skipped: Callable[[int], None] = lambda _: None,
) -> tuple[Trajectory, ...]:
    """Return an episode of each of four policies that want nothing, all from the same start.

    Args:
        client: the evaluation session; nothing is outstanding on it.
        seed: re-keys the session and keys the random actions.
        waiter: waits for results.
        measure: the goal's; None for the task's own fitness.
        note_skipped: called with the steps of shards that were not simulated, if any.

    Raises:
        RunStopped: it was stopped; the session's state is unknown.
        MeasureFailed: the goal's program failed; the session can be used again.
    """
    task, n = client.task, client.shards[0].num_envs
    scale = ActionScale.of(task.action_low, task.action_high)
    still = np.clip(np.zeros((n, task.action_dim), np.float32), scale.low, scale.high)
    one = np.ones_like(still)

    def random(_shard: int, t: int, _obs: Float32) -> Float32:
        draw = generator(seed, Stream.PROBE_ACTIONS, t)
        return scale(draw.uniform(-1.0, 1.0, still.shape).astype(np.float32))

    policies: dict[str, Act] = {
        "standing still": lambda *_: still,
        "random actions": random,
        "highest actions": lambda *_: scale(one),
        "lowest actions": lambda *_: scale(-one),
    }
    probes = []
    for label, act in policies.items():
        recorder = (watcher := Watcher(client, measure, record=True)).recorder
        episodes = run_first_episodes(
            client, act, seed, waiter, watcher=watcher, only=0, note_skipped=note_skipped
        )
        fitness = episodes.episode_fitness if measure is None else watcher.fitness()
        assert recorder is not None
        probes.append(recorder.trajectory(0, float(fitness[0]), label))
    return tuple(probes)


def chosen(fitness: Float64, count: int) -> list[tuple[int, str]]:
    """Return env_id and label of up to count episodes: best, worst, median, then evenly spread.

    Args:
        fitness: of each env's episode; one that is not a number ranks lowest. Shape: (num_envs,).
        count: how many.
    """
    n = len(fitness)
    ranked = np.argsort(np.where(np.isnan(fitness), -np.inf, fitness), kind="stable")
    spread = np.linspace(0, n - 1, max(count, 1)).round().astype(int).tolist()
    named = {(n - 1) // 2: "median", 0: "worst", n - 1: "best"}
    ranks = list(dict.fromkeys([n - 1, 0, (n - 1) // 2, *spread, *range(n)]))[: max(count, 0)]
    return [
        (int(ranked[rank]), f"{named[rank]} of {n}" if rank in named else f"rank {n - rank} of {n}")
        for rank in ranks
    ]


def _median(film: Film, episodes: FirstEpisodes, fitness: Float64) -> Clip:
    """Return the clip of the median episode by fitness (num_envs,)."""
    env_id, _ = chosen(fitness, 3)[-1]
    label = f"median of {len(fitness)}"
    return film.clip(env_id, label, float(episodes.episode_length[env_id]))
