"""What exactness is made of, as subjects: snapshots every K commands, the tile, the order.

Each way is compared with one that leaves the part out and is not exact, so that the difference is
the part's whole price.
"""

import numpy as np
import torch
from fleet import HIDDEN, LOG_STD, InferenceTier, SendRecvTier, Session
from numpy.typing import NDArray

from websim.client import ShardResult
from websim.local.fleet import LocalFleet
from websim.local.supervisor import ChildSpec
from websim_learner.models import ActorCritic, NumpyActor
from websim_learner.normalizers import ObservationScale, RunningMoments
from websim_learner.rollout import Rollout

NEVER = 1 << 40
"""Commands between two snapshots that never come."""

ROLLOUT_STEPS = 16
"""Vector steps of the rollout that is filled, as PPO's at 1024 environments."""

ORCHESTRATOR = """\
import sys
from websim.wire import lifecycle
lifecycle.SNAPSHOT_EVERY = int(sys.argv.pop(1))
from websim_orchestrator.__main__ import main
main()
"""
"""The orchestrator with another number of commands between snapshots, and nothing else changed."""


class SnapshotFleet(LocalFleet):
    """A fleet that takes a shard's snapshot every so many commands."""

    def __init__(self, workers: int, snapshot_every: int) -> None:
        super().__init__(workers)
        self._snapshot_every = snapshot_every

    def _orchestrator_spec(self) -> ChildSpec:
        spec = super()._orchestrator_spec()
        argv = ("-c", ORCHESTRATOR, str(self._snapshot_every), *spec.argv[2:])
        return ChildSpec(spec.name, argv, spec.stage)


class SnapshotTier(SendRecvTier):
    """send/recv on a fleet that takes snapshots every so many commands."""

    def __init__(self, session: Session, snapshot_every: int) -> None:
        super().__init__(session)
        every = "never" if snapshot_every == NEVER else f"every {snapshot_every}"
        self.key = f"snapshots_{every.replace(' ', '_')}"
        self.label = f"snapshots {every}"


class TileTier(InferenceTier):
    """The exact way: a forward of one fixed shape for each shard, as soon as it has answered."""

    key = "tile"
    label = "a forward for each shard"


class WholeTier(InferenceTier):
    """As many rows by one forward for all environments, after as many answers as there are shards.

    Messages and overlap are the tile's: a shard acts by its rows of the last forward.
    """

    key = "whole"
    label = "one forward for all shards"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        info = session.env.task
        model = ActorCritic(
            info.obs_dim, info.action_dim, HIDDEN, LOG_STD, torch.Generator().manual_seed(0)
        )
        scale = ObservationScale.of(RunningMoments(info.obs_dim))
        self._actor = NumpyActor(model, scale, self.num_envs)
        self._obs = np.zeros((self.num_envs, info.obs_dim), np.float32)
        self._mean: NDArray[np.float32] = np.zeros((self.num_envs, info.action_dim), np.float32)

    def _answer(self, result: ShardResult) -> None:
        self._t += 1
        rows = self._session.rows[result.shard]
        self._obs[rows] = result.obs
        if self._t % len(self._session.rows) == 0:
            self._mean = self._actor.mean(self._obs)
        noise = self._noise[self._t % len(self._noise)][: len(result.obs)]
        self._env.send(result.shard, self._scale(self._mean[rows] + noise))


class OrderTier(SendRecvTier):
    """send/recv, everything stored by (t, env_id) whatever the order in which shards answer."""

    key = "ordered"
    label = "answers stored by (t, env_id)"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        info = session.env.task
        self._rollout = Rollout(ROLLOUT_STEPS, self.num_envs, info.obs_dim, info.action_dim)
        self._done = [0] * len(session.rows)
        self._behaviour = WholeTier(session)._actor

    def _answer(self, result: ShardResult) -> None:
        t = self._done[result.shard] % ROLLOUT_STEPS
        self._done[result.shard] += 1
        rows = self._session.rows[result.shard]
        if t == 0 and result.shard == 0:
            self._rollout.ends()
            self._rollout.begin(0, self._rollout.obs[-1], self._behaviour, ())
        self._rollout.obs[t + 1, rows] = result.obs
        self._rollout.store(t, rows.start, result)
        super()._answer(result)
