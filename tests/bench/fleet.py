"""The fleet's tiers: with random actions by send/recv and by step(), and with the learner's policy.

All tiers of a task share one session; none leaves anything in flight between its blocks. Actions
are cut into shards before the timing. Sessions with other shard sizes may be compared with it.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import load
import numpy as np
import torch
from numpy.typing import NDArray
from subject import Count, random_actions

from websim.client import ShardResult
from websim.client.session import FleetSession
from websim.client.vector_env import FleetVectorEnv
from websim.local.fleet import ORCHESTRATOR, LocalFleet
from websim.tasks import load_bundle
from websim_learner.models import ActionScale, ActorCritic, NumpyActor
from websim_learner.normalizers import ObservationScale, RunningMoments

HIDDEN = (64, 64)
"""Hidden layers of the policy that acts in the inference tier."""
LOG_STD = -0.55
"""Its log standard deviation: that of uniform actions, to keep the bodies in the same states."""


class PrivateFleet:
    """A fleet of our own for one task; a context manager.

    Attributes:
        sessions: By shard size; 0 is the default size. All of the same number of environments.
        keys: Directory of its key set, if it has one.
    """

    def __init__(
        self,
        task: str,
        num_envs: int,
        workers: int,
        seed: int,
        shard_sizes: Sequence[int] = (0,),
        keys: Path | None = None,
        local: LocalFleet | None = None,
    ) -> None:
        self.keys = keys
        self._fleet = local or LocalFleet(workers, keys=keys)
        self.sessions: dict[int, Session] = {}
        self._fleet.start()
        try:
            self._fleet.wait_ready()
            for size in shard_sizes:
                self.sessions[size] = Session(self, task, num_envs, seed, size)
        except BaseException:
            self.close()
            raise

    @property
    def address(self) -> str:
        """Where clients connect."""
        return self._fleet.client_address

    def memory_bytes(self) -> int:
        """Return what workers and orchestrator hold together."""
        pids = self._fleet.worker_pids()
        if (pid := self._fleet.supervisor.pid(ORCHESTRATOR)) is not None:
            pids.append(pid)
        return load.memory_bytes(pids)

    def close(self) -> None:
        """End the sessions and the fleet."""
        for session in self.sessions.values():
            session.env.close()
        self._fleet.close()

    def __enter__(self) -> "PrivateFleet":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Session:
    """The environments of a task, reset, with actions drawn."""

    def __init__(
        self, fleet: PrivateFleet, task: str, num_envs: int, seed: int, shard_envs: int
    ) -> None:
        bundle = load_bundle(Path(task)) if task.endswith((".yaml", ".yml")) else None
        self.fleet = fleet
        self.env = FleetVectorEnv(
            FleetSession(
                fleet.address,
                task=task if bundle is None else bundle.name,
                num_envs=num_envs,
                seed=seed,
                shard_envs=shard_envs,
                files=None if bundle is None else {"task.yaml": bundle.task_yaml, **bundle.files},
                keys=fleet.keys,
            )
        )
        self.env.reset()
        info = self.env.task
        self.actions = random_actions(
            np.array(info.action_low), np.array(info.action_high), num_envs, seed
        )
        self.rows = [
            slice(span.first_env_id, span.first_env_id + span.num_envs) for span in self.env.shards
        ]


class _Tier:
    """One way of driving a session."""

    key: str
    label: str

    def __init__(self, session: Session) -> None:
        self.num_envs = session.env.num_envs
        self._session = session
        self._env = session.env
        self._t = 0

    def open(self) -> None:
        """Do nothing: the session is open."""

    def memory_bytes(self) -> int | None:
        """Return what workers and orchestrator hold together, for all sessions of the fleet."""
        return self._session.fleet.memory_bytes()

    def close(self) -> None:
        """Do nothing: the session is closed by its owner."""


class StepTier(_Tier):
    """step(): all shards out, all shards back, as a Gymnasium user does."""

    key = "fleet_step"
    label = "+ fleet, step()"

    def block(self, seconds: float) -> Count:
        """Step for about `seconds`."""
        actions = self._session.actions
        started = time.perf_counter()
        steps = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            self._t += 1
            self._env.step(actions[self._t % len(actions)])
            steps += self.num_envs
        return Count(steps, elapsed, steps)


class SendRecvTier(_Tier):
    """send/recv: a shard's next action goes out as soon as its answer is in."""

    key = "fleet_send_recv"
    label = "+ fleet, send/recv"

    def __init__(self, session: Session, shard_envs: int = 0) -> None:
        super().__init__(session)
        if shard_envs:
            self.key = f"{self.key}_{shard_envs}"
            self.label = f"+ fleet, shards of {shard_envs}"
        if session.fleet.keys is not None:
            self.key += "_keys"
            self.label += ", with keys"
        self._actions = [
            [np.ascontiguousarray(table[rows]) for rows in session.rows]
            for table in session.actions
        ]
        self._first = [table[0] for table in zip(*self._actions, strict=True)]

    def block(self, seconds: float) -> Count:
        """Keep all shards busy for about `seconds`; count from the first answer to the last.

        At the first answer as at the last all other shards are under way, so nothing is gained or
        lost at the ends.
        """
        env = self._env
        for shard in range(len(env.shards)):
            env.send(shard, self._first[shard])
        self._answer(env.recv())
        started = now = time.perf_counter()
        steps = 0
        while now - started < seconds:
            result = env.recv()
            steps += len(result.reward)
            now = time.perf_counter()
            self._answer(result)
        done = steps
        for _ in env.shards:
            done += len(env.recv().reward)
        return Count(steps, now - started, done + self._first[0].shape[0])

    def _answer(self, result: ShardResult) -> None:
        self._t += 1
        table = self._actions[self._t % len(self._actions)]
        self._env.send(result.shard, table[result.shard])


class InferenceTier(SendRecvTier):
    """send/recv with a forward of the learner's 64x64 actor on each shard's obs before send."""

    key = "fleet_inference"
    label = "+ inference (64x64)"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        info = session.env.task
        tile = max(span.num_envs for span in session.env.shards)
        model = ActorCritic(
            info.obs_dim, info.action_dim, HIDDEN, LOG_STD, torch.Generator().manual_seed(0)
        )
        scale = ObservationScale.of(RunningMoments(info.obs_dim))
        self._actor = NumpyActor(model, scale, tile)
        self._scale = ActionScale.of(info.action_low, info.action_high)
        generator = np.random.Generator(np.random.Philox(1))
        self._noise: list[NDArray[np.float32]] = [
            self._actor.std * generator.standard_normal((tile, info.action_dim), np.float32)
            for _ in session.actions
        ]

    def _answer(self, result: ShardResult) -> None:
        self._t += 1
        noise = self._noise[self._t % len(self._noise)][: len(result.obs)]
        self._env.send(result.shard, self._scale(self._actor.mean(result.obs) + noise))
