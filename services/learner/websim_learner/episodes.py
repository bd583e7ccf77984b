"""One episode of each env of a session, whose steps are shown to a watcher as they come."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from websim.wire.messages import FIGURE_FIELD
from websim_learner.adaptation.film import Film
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.fleet import FleetClient, Waiter, num_envs
from websim_learner.rewards import RewardFailed

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]

Act = Callable[[int, int, Float32], Float32]
"""Gives the action to send (n, action_dim), of (shard, step, observations (n, obs_dim))."""


@dataclass(frozen=True)
class Step:
    """One step of a shard of n envs, as the fleet lends it: what is to last is copied."""

    running: Bool
    """Envs whose first episode this step belongs to. Shape: (n,)."""
    action: Float32
    """As sent. Shape: (n, action_dim)."""
    task_reward: Float64
    """Shape: (n,)."""
    invalid: Bool
    """Shape: (n,)."""
    fields: dict[str, Float64]
    """Where the action led, before any reset. Shape: (n,) or (n, columns)."""

    @property
    def counted(self) -> Bool:
        """Transitions of first episodes in which the engine did not diverge. Shape: (n,)."""
        return self.running & ~self.invalid

    def first(self, rows: int) -> "Step":
        """Return a copy of the first envs."""
        return Step(
            running=self.running[:rows].copy(),
            action=self.action[:rows].copy(),
            task_reward=self.task_reward[:rows].copy(),
            invalid=self.invalid[:rows].copy(),
            fields={name: values[:rows].copy() for name, values in self.fields.items()},
        )


class StepWatcher(Protocol):
    """Sees the steps of first episodes."""

    def fields(self, shard: int) -> tuple[str, ...]:
        """Return the fields to ask for with a shard's steps."""

    def note(self, shard: int, step: Step) -> None:
        """Take in a step.

        Raises:
            MeasureFailed, RewardFailed: a program failed.
        """


class PutOff(Exception):
    """Episodes are not run to their end, for somebody waits; the session can be used again."""


@dataclass(frozen=True)
class FirstEpisodes:
    """The first episode of each env, by env_id; NaN where it was not wanted."""

    episode_return: Float64
    """Shape: (num_envs,), like the next three."""
    episode_length: Float64
    episode_fitness: Float64
    episode_success: Float64


@dataclass
class _Shard:
    running: Bool
    done: int = 0
    action: Float32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def run_first_episodes(
    client: FleetClient,
    act: Act,
    seed: int,
    waiter: Waiter,
    *,
    watcher: StepWatcher | None = None,
    only: int | None = None,
    film: Film | None = None,
    put_off: Callable[[], bool] = lambda: False,
    note_skipped: Callable[[int], None] = lambda _: None,
) -> FirstEpisodes:
    """Let every env of a session do one episode; nothing is outstanding afterwards.

    A program that fails in the watcher ends it, and leaves a session that can be used again.

    Args:
        client: the session; nothing is outstanding on it.
        act: decides.
        seed: re-keys the session, so that episodes start from the same states every time.
        waiter: waits for results; it may stop the whole.
        watcher: sees each step; None: nobody does.
        only: wait for this env alone, and leave other shards alone; None for all.
        film: takes their figures.
        put_off: asked with every result; True ends it at once.
        note_skipped: called in the end with the steps of shards that were not simulated, if any.

    Raises:
        RunStopped: it was stopped; the session's state is unknown.
        PutOff: it was put off.
    """
    table = np.full((4, num_envs(client)), np.nan)
    wanted = np.ones(num_envs(client), np.bool_)
    if only is not None:
        wanted = np.arange(num_envs(client)) == only
    spans = [slice(s.first_env_id, s.first_env_id + s.num_envs) for s in client.shards]
    shards = [_Shard(wanted[rows].copy()) for rows in spans]
    outstanding = skipped = 0
    for index, shard in enumerate(shards):
        if shard.running.any():
            client.send_reset(index, seed)
            outstanding += 1
    while outstanding:
        result = waiter.receive(client)
        shard, rows = shards[result.shard], spans[result.shard]
        skipped += result.skipped
        try:
            if put_off():
                raise PutOff
            if watcher is not None and result.kind != "reset":
                seen = {name: result.fields[name] for name in watcher.fields(result.shard)}
                step = Step(shard.running, shard.action, result.reward, result.invalid, seen)
                watcher.note(result.shard, step)
        except (MeasureFailed, RewardFailed, PutOff):
            for _ in range(outstanding - 1):
                waiter.receive(client)
            raise
        if result.kind != "reset":
            if film is not None:
                counted = shard.running & ~result.invalid
                film.take(rows, shard.done, result.fields.get(FIGURE_FIELD), counted)
            shard.done += 1
        for k, index in enumerate(result.ended.tolist()):
            if shard.running[index]:
                shard.running[index] = False
                table[:, rows.start + index] = (
                    result.episode_return[k],
                    result.episode_length[k],
                    result.episode_fitness[k],
                    result.episode_success[k],
                )
        if shard.running.any():
            shard.action = act(result.shard, shard.done, result.obs)
            fields = watcher.fields(result.shard) if watcher is not None else ()
            filmed = film.fields(shard.done) if film is not None else ()
            client.send(result.shard, shard.action, (*fields, *filmed))
        else:
            outstanding -= 1
    if skipped:
        note_skipped(skipped)
    returns, lengths, fitness, success = table
    return FirstEpisodes(returns, lengths, fitness, success)
