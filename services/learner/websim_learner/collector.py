"""Collection of rollouts from a fleet session, shard by shard.

At most one command is outstanding per shard. As soon as a shard's result arrives, the frozen actor
runs on that shard's tile and the next action goes out, so physics on the fleet, messages and
inference overlap. Where a number is stored and which noise it gets depend on its (t, env_id)
alone, so the order in which shards answer leaves no trace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from websim_learner.algorithms.state import Arrays, prefixed, unprefixed
from websim_learner.fleet import STOP_PATIENCE_S, FleetClient, Waiter, num_envs, turn_knobs
from websim_learner.models import ActionScale, NumpyActor
from websim_learner.pace import Pace
from websim_learner.randomness import Stream, generator
from websim_learner.rollout import Rollout

Float32 = NDArray[np.float32]


@dataclass
class CollectionTime:
    """Where a collection's wall time went, in seconds, and what was left out."""

    physics_s: float = 0.0
    """Waiting for results of the fleet."""
    inference_s: float = 0.0
    """In the learner: normalising, the actor's forward, storing and sending."""
    skipped_steps: int = 0
    """Steps of a shard that the fleet did not simulate, because they ended one worker after
    another; their transitions are invalid."""


class Collector:
    """Drives one session of the fleet: resets it once, then fills one rollout after another.

    Between two rollouts nothing is outstanding, and the session can be asked for its whole state.
    """

    def __init__(
        self,
        client: FleetClient,
        seed: int,
        waiter: Waiter | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Drive a session.

        Args:
            client: the session.
            seed: the run's seed: keys the action noise and the first episodes' lengths.
            waiter: waits for results; it may stop a rollout.
            pace: holds steps up until they are due; None: as fast as it goes.
        """
        self.client = client
        self.num_envs = num_envs(client)
        self.tile = max(span.num_envs for span in client.shards)
        """Rows of every forward: the largest shard's."""
        self._seed = seed
        self._waiter = waiter or Waiter()
        self._pace = pace or Pace()
        self._spans = [
            slice(span.first_env_id, span.first_env_id + span.num_envs) for span in client.shards
        ]
        self._action_scale = ActionScale.of(client.task.action_low, client.task.action_high)
        self._obs: Float32 = np.zeros((self.num_envs, client.task.obs_dim), np.float32)
        self._steps = 0
        self._cut_at: NDArray[np.int64] = np.zeros(0, np.int64)
        self._rollout: Rollout
        self._actor: NumpyActor
        self._drawn = 0

    def reset(self, seed: int | None = None) -> None:
        """Start new episodes everywhere, the first ones of different lengths.

        Envs that start together would reach the time limit together, for ever: every batch would
        show one moment of all episodes. So env by env the first episode is cut at another step,
        spread evenly over the time limit; on HalfCheetah-v5 that is worth a third of the steps.

        Args:
            seed: re-keys the session's randomness; None goes on with it.
        """
        for shard in range(len(self._spans)):
            self.client.send_reset(shard, seed)
        for _ in self._spans:
            result = self._waiter.receive(self.client)
            self._obs[self._spans[result.shard]] = result.obs
        order = generator(self._seed, Stream.EPISODE_STAGGER, 0).permutation(self.num_envs)
        self._cut_at = 1 + order * self.client.task.max_episode_steps // self.num_envs
        self._steps = 0

    def turn_knobs(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Draw knobs from ranges, from each env's next episode on; observations stay as they are.

        Raises:
            RunStopped, FleetTimeout, FleetUnavailable, FleetRefused: it was not done.
        """
        turn_knobs(self.client, ranges, self._waiter)

    def cut_next(self, env_id: int) -> None:
        """Cut an env's episode after the next step; its first one is cut at no other step then."""
        self._cut_at[env_id] = self._steps

    def arrays(self) -> dict[str, Arrays]:
        """Fetch the state of all envs and return it with the collector's own, for a checkpoint.

        Raises:
            RunStopped, FleetTimeout, FleetUnavailable, FleetRefused: it cannot be had.
        """
        fleet: Arrays = {}
        for shard in range(len(self._spans)):
            fleet |= prefixed(str(shard), self._waiter.snapshot(self.client, shard))
        steps = np.array(self._steps)
        own: Arrays = {"obs": self._obs, "cut_at": self._cut_at, "steps": steps}
        return {"fleet": fleet, "collector": own}

    def restore(self, arrays: dict[str, Arrays]) -> bool:
        """Put all envs, and the collector, where `arrays` was taken.

        Returns:
            Whether the envs look as they did, bit for bit; they are gone on with anyway.

        Raises:
            RunStopped, FleetTimeout, FleetUnavailable, FleetRefused: the fleet does not do it.
        """
        for shard in range(len(self._spans)):
            self.client.send_restore(shard, unprefixed(str(shard), arrays["fleet"]))
        for _ in self._spans:
            result = self._waiter.receive(self.client)
            self._obs[self._spans[result.shard]] = result.obs
        own = arrays["collector"]
        self._cut_at, self._steps = own["cut_at"].copy(), int(own["steps"])
        return self._obs.tobytes() == own["obs"].tobytes()

    def collect(
        self, rollout: Rollout, actor: NumpyActor, first_t: int, fields: Sequence[str] = ()
    ) -> CollectionTime:
        """Fill a rollout.

        Args:
            rollout: where to; what it held is overwritten.
            actor: the frozen policy.
            first_t: vector steps of the run so far: the counter of the noise.
            fields: names of the task's fields to keep beside every transition.

        Raises:
            RunStopped: the run is to stop; the rollout is to be thrown away.
        """
        rollout.begin(first_t, self._obs, actor, fields)
        self._rollout, self._actor, self._drawn = rollout, actor, 0
        timing = CollectionTime()
        clock = self._pace.now_s()
        done = [0] * len(self._spans)
        for shard in range(len(done)):
            self._act(shard, 0)
        left = len(done) * rollout.num_steps
        while left:
            now = self._pace.now_s()
            timing.inference_s += now - clock
            result = self._waiter.receive(self.client, STOP_PATIENCE_S)
            clock = self._pace.now_s()
            timing.physics_s += clock - now
            timing.skipped_steps += result.skipped
            t, rows = done[result.shard], self._spans[result.shard]
            if result.kind == "reset":
                rollout.obs[t, rows] = result.obs
                self._act(result.shard, t)
                continue
            rollout.obs[t + 1, rows] = result.obs
            rollout.store(t, rows.start, result)
            done[result.shard] = t + 1
            left -= 1
            if t + 1 < rollout.num_steps and not self._cut(result.shard, t):
                self._act(result.shard, t + 1)
        np.copyto(self._obs, rollout.obs[-1])
        self._steps += rollout.num_steps
        timing.inference_s += self._pace.now_s() - clock
        return timing

    def _act(self, shard: int, t: int) -> None:
        """Draw and send one shard's action for step t."""
        rollout, rows = self._rollout, self._spans[shard]
        if self._drawn <= t:
            self._pace.step(self.client.task.dt_s)
        while self._drawn <= t:
            # One table per step, in env order, whichever shard asks for it first.
            draw = generator(self._seed, Stream.ACTION_NOISE, rollout.first_t + self._drawn)
            draw.standard_normal(dtype=np.float32, out=rollout.noise[self._drawn])
            self._drawn += 1
        action = rollout.action[t, rows]
        # a = mu(s) + sigma * epsilon
        np.multiply(rollout.noise[t, rows], self._actor.std, out=action)
        np.add(action, self._actor.mean(rollout.obs[t, rows]), out=action)
        self.client.send(shard, self._action_scale(action), tuple(rollout.fields))

    def _cut(self, shard: int, t: int) -> bool:
        """Cut episodes of a shard that are due after step t; False when there are none."""
        rows = self._spans[shard]
        due = self._cut_at[rows] <= self._steps + t
        if not due.any():
            return False
        self._cut_at[rows][due] = np.iinfo(np.int64).max
        # An episode that has just ended by itself needs no cut.
        due &= ~(self._rollout.terminated[t, rows] | self._rollout.truncated[t, rows])
        if not due.any():
            return False
        self._rollout.cut(t, np.flatnonzero(due) + rows.start)
        self.client.send_reset(shard, mask=due)
        return True
