"""Evaluation: the mean action's episodes, on a session of its own, never learned from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.measure import GoalMeasure
from websim_learner.adaptation.points import ComponentTally, Trajectory
from websim_learner.adaptation.trend import mean_of
from websim_learner.episodes import Act, FirstEpisodes, run_first_episodes
from websim_learner.fleet import FleetClient, Waiter
from websim_learner.models import ActionScale, NumpyActor
from websim_learner.randomness import Stream, generator
from websim_learner.rewards import Reward
from websim_learner.tallies import tally

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
    """Best, worst and median episode by fitness, then others from all over the range."""

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
        trajectories: how many episodes to keep whole, at most.
        note_skipped: called with the steps of shards that were not simulated, if any.

    Raises:
        RunStopped: it was stopped; the session's state is unknown.
        MeasureFailed, RewardFailed: a program failed; the session can be used again.
    """
    actor = make_actor(max(span.num_envs for span in client.shards))
    scale = ActionScale.of(client.task.action_low, client.task.action_high)
    program = reward if reward is not None and reward.source is not None else None
    fields = _fields(client, measure, program, trajectories)
    episodes = run_first_episodes(
        client,
        lambda shard, t, obs: scale(actor.mean(obs)),
        seed,
        waiter or Waiter(),
        fields=fields,
        keep=measure is not None or program is not None or trajectories > 0,
        note_skipped=note_skipped,
    )
    fitness = episodes.episode_fitness if measure is None else _fitness(episodes, measure)
    sums, components = episodes.episode_return, dict[str, ComponentTally]()
    if program is not None:
        sums, components = _rewards(episodes, program, fitness)
    return Evaluation(
        episode_return=episodes.episode_return,
        episode_length=episodes.episode_length,
        episode_fitness=fitness,
        episode_success=episodes.episode_success,
        episode_reward=sums,
        components=components,
        trajectories=tuple(
            trajectory(episodes, env_id, float(fitness[env_id]), label)
            for env_id, label in chosen(fitness, trajectories)
        ),
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
    names = tuple(info.name for info in task.fields)
    probes = []
    for label, act in policies.items():
        episodes = run_first_episodes(
            client, act, seed, waiter,
            fields=names, keep=True, only=0, note_skipped=note_skipped,
        )  # fmt: skip
        fitness = episodes.episode_fitness if measure is None else _fitness(episodes, measure)
        probes.append(trajectory(episodes, 0, float(fitness[0]), label))
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


def trajectory(episodes: FirstEpisodes, env_id: int, fitness: float, label: str) -> Trajectory:
    """Return the first episode of an env whole; its steps were kept."""
    shard = max(s for s, first in enumerate(episodes.first_env_id) if first <= env_id)
    row = env_id - episodes.first_env_id[shard]
    # Where the engine diverged, which ends an episode, there is nothing to judge.
    steps = [step for step in episodes.steps[shard] if step.counted[row]]
    if not steps:
        return Trajectory(label, fitness, {}, np.zeros((0, 0), np.float32))
    names = steps[0].fields
    return Trajectory(
        label=label,
        fitness=fitness,
        fields={name: np.stack([step.fields[name][row] for step in steps]) for name in names},
        action=np.stack([step.action[row] for step in steps]),
    )


def _fields(
    client: FleetClient, measure: GoalMeasure | None, program: Reward | None, trajectories: int
) -> Sequence[str]:
    """Return the fields that are needed, in the task's order."""
    everything = [info.name for info in client.task.fields]
    if trajectories > 0:
        return everything
    needed = {*(measure.fields if measure else ()), *(program.fields if program else ())}
    return [name for name in everything if name in needed]


def _fitness(episodes: FirstEpisodes, measure: GoalMeasure) -> Float64:
    """Return the fitness of first episodes by the goal's measure. Shape: (num_envs,)."""
    fitness = np.full_like(episodes.episode_fitness, np.nan)
    for first, steps in zip(episodes.first_env_id, episodes.steps, strict=True):
        if steps:
            # Step by step in the shard's own rows, as the worker does: the same bits.
            n = len(steps[0].running)
            counted = measure.begin(n)
            for step in steps:
                counted.add(step.fields, step.action, step.counted)
            fitness[first : first + n] = counted.report()
    return fitness


def _rewards(
    episodes: FirstEpisodes, reward: Reward, fitness: Float64
) -> tuple[Float64, dict[str, ComponentTally]]:
    """Return the sum of a reward over each first episode (num_envs,), and its components."""
    total = np.zeros_like(fitness)
    values: dict[str, list[Float64]] = {}
    sums: dict[str, Float64] = {}
    for first, steps in zip(episodes.first_env_id, episodes.steps, strict=True):
        for step in steps:
            guarded = reward.judge_step(step.fields, step.action, step.task_reward)
            rows, counted = slice(first, first + len(step.running)), step.counted
            total[rows] += np.where(counted, guarded.total, 0.0)
            for name, part in guarded.components.items():
                values.setdefault(name, []).append(part[counted])
                sums.setdefault(name, np.zeros_like(fitness))[rows] += np.where(counted, part, 0.0)
    flat = {name: np.concatenate(parts) for name, parts in values.items()}
    return total, tally(flat, sums, fitness)
