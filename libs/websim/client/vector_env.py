"""A fleet's environments as a gymnasium.vector.VectorEnv: a Gymnasium user needs nothing else."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from websim.client.errors import FleetError
from websim.client.knobs import Knobs, as_ranges
from websim.client.results import EnvironmentState, ShardResult
from websim.client.session import FleetSession, Socket
from websim.local.fleet import LocalFleet
from websim.tasks import load_bundle
from websim.tasks.knobs import ranges_at
from websim.wire import lifecycle
from websim.wire.codec import Array
from websim.wire.messages import ObsDtype, ShardSpan, TaskInfo, Value

DEFAULT_NUM_ENVS = 1024
"""Environments where nobody says otherwise, the same for make_vec, training and benchmarks."""


def make_vec(
    task: str | Path,
    num_envs: int = DEFAULT_NUM_ENVS,
    *,
    seed: int | None = None,
    fleet: str | None = None,
    workers: int | None = None,
    obs_dtype: ObsDtype = "float32",
    shard_envs: int = 0,
    label: str = "",
    keys: str | Path | None = None,
    knobs: Knobs | None = None,
    while_waiting: Callable[[], object] = lambda: None,
    **task_overrides: Value,
) -> "FleetVectorEnv":
    """Make environments on a fleet.

    Args:
        task: a bundled task's id (`websim tasks` lists them) or a task file's path.
        num_envs: how many.
        seed: keys all randomness of the environments; None takes a fresh one.
        fleet: address of a running fleet, "tcp://HOST:5556"; None starts a private one on this
            machine, which close() stops.
        workers: processes of the private fleet; None: one per core.
        obs_dtype: "float32" or "float64".
        shard_envs: environments per shard; 0 takes the default, a function of num_envs alone.
        label: shown to people beside the session.
        keys: directory with this side's part of a key set (`websim keys`), for a fleet that wants
            keys.
        knobs: ranges of the task's knobs from the first reset on; see FleetVectorEnv.set_knobs.
        while_waiting: called several times a second until a running fleet has built them; what it
            raises ends the waiting.
        **task_overrides: the task's parameters, by Gymnasium's names (reset_noise_scale=0.0).

    Raises:
        FleetError: the fleet is not there, or refuses the task or a knob; the text says what to do.
        TaskError: the task file is broken; the text says what and where.
    """
    if obs_dtype not in ("float32", "float64"):
        raise FleetError(f"obs_dtype is {obs_dtype!r}", "Choose 'float32' or 'float64'.")
    if workers is not None and fleet is not None:
        raise FleetError("workers belongs to a private fleet", "Leave out workers or fleet.")
    name, files = str(task), None
    if name.endswith((".yaml", ".yml")) or "/" in name:
        bundle = load_bundle(Path(name))
        name = bundle.name
        files = {"task.yaml": bundle.task_yaml, **bundle.files}
    private = LocalFleet(workers, keys=keys) if fleet is None else None
    try:
        if private is not None:
            private.start()
            private.wait_ready()
            address = private.client_address
        else:
            address = fleet or ""
        session = FleetSession(
            address,
            task=name,
            num_envs=num_envs,
            seed=secrets.randbits(32) if seed is None else seed,
            obs_dtype=obs_dtype,
            shard_envs=shard_envs,
            label=label,
            overrides=task_overrides,
            files=files,
            keys=keys,
            while_waiting=while_waiting,
        )
    except BaseException:
        if private is not None:
            private.close()
        raise
    env = FleetVectorEnv(session, private)
    try:
        env.set_knobs(knobs or {})
    except BaseException:
        env.close()
        raise
    return env


class FleetVectorEnv(VectorEnv[Any, Any, Any]):
    """Environments of a fleet session.

    `step` and `reset` follow Gymnasium with SAME_STEP autoreset: where an episode ends, obs is the
    next one's first and `info["final_obs"]` the last one's. Rewards are float64. `send` and `recv`
    work by shard, so that a user's computation overlaps with physics.
    """

    def __init__(self, session: FleetSession, private_fleet: LocalFleet | None = None) -> None:
        self._session = session
        self._private_fleet = private_fleet
        task = session.task
        dtype = np.float64 if session.obs_dtype == "float64" else np.float32
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.num_envs = session.num_envs
        self.single_observation_space = gymnasium.spaces.Box(
            -np.inf, np.inf, (task.obs_dim,), dtype
        )
        self.single_action_space = gymnasium.spaces.Box(
            np.array(task.action_low, np.float32), np.array(task.action_high, np.float32)
        )
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._obs: Array = np.zeros((self.num_envs, task.obs_dim), dtype)
        self._started = False

    @property
    def session_id(self) -> int:
        """The fleet's number for the session that these environments are."""
        return self._session.session_id

    @property
    def task(self) -> TaskInfo:
        """What the environments simulate."""
        return self._session.task

    @property
    def shards(self) -> tuple[ShardSpan, ...]:
        """The runs of consecutive environments that send and recv work on."""
        return self._session.shards

    @property
    def waiting(self) -> str:
        """Why nothing happens just now, for a person; empty while all is well."""
        return self._session.waiting

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """Where results arrive; see FleetSession.sockets."""
        return self._session.sockets

    # --- Gymnasium

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Start new episodes, whatever became of an earlier command: one may have been interrupted.

        Args:
            seed: re-keys the randomness of all environments; None goes on with it.
            options: {"reset_mask": (num_envs,) bool} resets only those.

        Returns:
            obs (num_envs, obs_dim), and an empty info.
        """
        if seed is not None and not isinstance(seed, int | np.integer):
            raise FleetError("seed is a list", "Give one int: it keys all environments.")
        mask = dict(options or {}).pop("reset_mask", None)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
                raise ValueError(
                    f"reset_mask must be bool of shape ({self.num_envs},) with at least one True"
                )
            self._check_idle()
        else:
            self._session.discard()
        pending = 0
        for shard, span in enumerate(self.shards):
            part = None if mask is None else mask[self._slice(span)]
            if part is None or part.any():
                self.send_reset(shard, None if seed is None else int(seed), part)
                pending += 1
        obs = self._obs.copy()
        for _ in range(pending):
            result = self.recv()
            obs[self._slice(self.shards[result.shard])] = result.obs
        self._obs = obs
        self._started = True
        return obs, {}

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Array, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Act in all environments.

        Args:
            actions: (num_envs, action_dim) float32.

        Returns:
            obs (num_envs, obs_dim), reward (num_envs,) float64, terminated and truncated
            (num_envs,) bool, and an info with final_obs and final_info where episodes ended.
        """
        if not self._started:
            raise gymnasium.error.ResetNeeded("call reset before the first step")
        action = np.ascontiguousarray(actions, np.float32)
        if action.shape != self.action_space.shape:
            raise ValueError(f"actions have shape {action.shape}, not {self.action_space.shape}")
        self._check_idle()
        for shard, span in enumerate(self.shards):
            self.send(shard, action[self._slice(span)])
        obs = np.empty_like(self._obs)
        reward = np.empty(self.num_envs)
        terminated = np.empty(self.num_envs, np.bool_)
        truncated = np.empty(self.num_envs, np.bool_)
        info: dict[str, Any] = {}
        for _ in self.shards:
            result = self.recv()
            part = self._slice(self.shards[result.shard])
            obs[part] = result.obs
            reward[part] = result.reward
            terminated[part] = result.terminated
            truncated[part] = result.truncated
            if len(result.ended):
                self._add_final(info, result, part.start)
        self._obs = obs
        return obs, reward, terminated, truncated, info

    def close_extras(self, **kwargs: object) -> None:
        """Give the environments back and stop a private fleet."""
        self._session.close()
        if self._private_fleet is not None:
            self._private_fleet.close()

    # --- by shard

    def send_reset(
        self, shard: int, seed: int | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Reset a shard's environments; see FleetSession.send_reset."""
        self._session.send_reset(shard, seed, mask)

    def send(self, shard: int, action: NDArray[np.float32], fields: Sequence[str] = ()) -> None:
        """Act in a shard's environments; see FleetSession.send."""
        self._session.send(shard, action, fields)

    def send_knobs(self, shard: int, knobs: Knobs) -> None:
        """Set ranges of a shard's knobs; see FleetSession.send_knobs."""
        self._session.send_knobs(shard, knobs)

    def recv(self, timeout_s: float = lifecycle.FLEET_DEADLINE_S) -> ShardResult:
        """Wait for the next shard that has an answer; see FleetSession.recv."""
        return self._session.recv(timeout_s)

    def snapshot(
        self, shard: int, timeout_s: float = lifecycle.FLEET_DEADLINE_S
    ) -> dict[str, Array]:
        """Return a shard's whole state; see FleetSession.snapshot."""
        return self._session.snapshot(shard, timeout_s)

    def send_restore(self, shard: int, snapshot: Mapping[str, Array]) -> None:
        """Continue a shard from a snapshot; see FleetSession.send_restore."""
        self._session.send_restore(shard, snapshot)

    # --- physics

    def set_knobs(self, knobs: Knobs) -> None:
        """Vary the physics: every environment draws its knobs anew at its next episode's begin.

        Args:
            knobs: knob -> (low, high), drawn from uniformly, or one number for all environments,
                in the knob's unit. Those not named keep their range. `task.knobs` lists them with
                what is nominal and how far they go; get_state shows what an environment has.

        Raises:
            FleetError: the task has no such knob, or a range is wider than it allows.
        """
        ranges = as_ranges(self.task.knobs, knobs)
        if not ranges:
            return
        self._check_idle()
        for shard in range(len(self.shards)):
            self.send_knobs(shard, ranges)
        for _ in self.shards:
            self.recv()

    def set_difficulty(self, difficulty: float) -> None:
        """Set all knobs: nominal at difficulty 0, the task's hard ranges at 1, linear between."""
        self.set_knobs(ranges_at(self.task.knobs, difficulty))

    # --- one environment

    def get_state(self, env_id: int) -> EnvironmentState:
        """Return one environment's time, qpos, qvel, fields and return so far."""
        return self._session.get_state(env_id)

    def set_state(self, env_id: int, qpos: NDArray[np.float64], qvel: NDArray[np.float64]) -> Array:
        """Put one environment at qpos (nq,), qvel (nv,), start an episode there; return its obs."""
        obs = self._session.set_state(env_id, qpos, qvel)
        self._obs = self._obs.copy()
        self._obs[env_id] = obs
        return obs

    def reset_env(self, env_id: int) -> None:
        """Truncate one environment at its next step, where it is reset."""
        self._session.reset_env(env_id)

    # --- inside

    def _check_idle(self) -> None:
        """Refuse to go on where answers wait, as of a step that was interrupted: they would mix."""
        if not self._session.idle:
            raise FleetError(
                "answers to an earlier command were not received",
                "Call reset for all environments, or recv until all are there.",
            )

    @staticmethod
    def _slice(span: ShardSpan) -> slice:
        return slice(span.first_env_id, span.first_env_id + span.num_envs)

    def _add_final(self, info: dict[str, Any], result: ShardResult, first: int) -> None:
        """Add a shard's ended episodes to a step's info, in Gymnasium's SAME_STEP form."""
        if "final_obs" not in info:
            flags = np.zeros(self.num_envs, np.bool_)
            info["final_obs"] = np.full(self.num_envs, None, dtype=object)
            info["_final_obs"] = flags
            episode = {
                "r": np.zeros(self.num_envs),
                "l": np.zeros(self.num_envs, np.int64),
                "fitness": np.zeros(self.num_envs),
                "success": np.full(self.num_envs, np.nan),
            }
            info["final_info"] = {"episode": episode, "_episode": flags}
            info["_final_info"] = flags
        episode = info["final_info"]["episode"]
        env_ids = first + result.ended
        info["_final_obs"][env_ids] = True
        for env_id, obs in zip(env_ids, result.final_obs, strict=True):
            info["final_obs"][env_id] = obs.copy()
        episode["r"][env_ids] = result.episode_return
        episode["l"][env_ids] = result.episode_length
        episode["fitness"][env_ids] = result.episode_fitness
        episode["success"][env_ids] = result.episode_success
