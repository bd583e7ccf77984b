"""Runs one peer in a process of its own, which may be of another environment than the bench's.

Reads one JSON object a line from stdin and answers with one on stdout. Needs nothing of ours:
the bench starts it with the Python that has the peers.

    {"op": "open", "peer": "envpool_sync", "env_id": "Hopper-v5", "num_envs": 1024, "threads": 2,
     "seed": 0, "options": {}}  ->  {"versions": {...}}  or  {"missing": "envpool"}
    {"op": "block", "seconds": 1.0}  ->  {"env_steps": n, "seconds": s, "all_env_steps": m}
    {"op": "curve", "times_s": [30, 60], "episodes": 20}  ->  for each time a line {"asked_s": 30,
     "trained_s": s, "env_steps": n, "returns": [...]}, then {}   (learners only)

Only real physics steps are counted: Gymnasium and EnvPool spend the step after an episode's end on
the reset.
"""

import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

ACTION_TABLES = 32
"""Vectors of random actions, drawn before the timing and then used in turn."""
EVALUATION_ENVS = 10
"""Environments side by side in an evaluation."""


def draw_actions(space: Any, rows: int, seed: int) -> list[np.ndarray]:
    """Draw uniform actions (rows, action_dim) within a space."""
    generator = np.random.Generator(np.random.Philox(seed))
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    shape = (rows, *space.shape)
    return [
        (low + (high - low) * generator.random(shape)).astype(space.dtype)
        for _ in range(ACTION_TABLES)
    ]


class Stepper:
    """Vector environments stepped all at a time."""

    envs: Any
    actions: list[np.ndarray]

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.resetting = np.zeros(num_envs, bool)
        self.t = 0

    def action(self) -> np.ndarray:
        """Return the next table."""
        self.t += 1
        return self.actions[self.t % len(self.actions)]

    def real_steps(self, rows: Any, ended: np.ndarray) -> int:
        """Count the steps just done in `rows` that were not resets; `ended` ones reset next."""
        steps = len(ended) - int(np.count_nonzero(self.resetting[rows]))
        self.resetting[rows] = ended
        return steps

    def block(self, seconds: float) -> tuple[int, float, int]:
        """Step for about `seconds`."""
        started = time.perf_counter()
        steps = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            _, _, terminated, truncated, _ = self.envs.step(self.action())
            steps += self.real_steps(slice(None), terminated | truncated)
        return steps, elapsed, steps

    def close(self) -> None:
        """Stop its processes or threads."""
        self.envs.close()


class Gymnasium(Stepper):
    """Gymnasium's own vector environments."""

    def __init__(self, order: dict[str, Any], mode: str) -> None:
        import gymnasium

        super().__init__(order["num_envs"])
        self.envs = gymnasium.make_vec(
            order["env_id"], self.num_envs, vectorization_mode=mode, **order["options"]
        )
        self.actions = draw_actions(self.envs.single_action_space, self.num_envs, order["seed"])
        self.envs.reset(seed=order["seed"])


def make_envpool(order: dict[str, Any], batch_size: int) -> Any:
    """Make a pool that answers with batch_size environments at a time."""
    import envpool

    return envpool.make(
        order["env_id"],
        env_type="gymnasium",
        num_envs=order["num_envs"],
        batch_size=batch_size,
        num_threads=order["threads"],
        seed=order["seed"],
        **order["options"],
    )


class EnvPoolSync(Stepper):
    """EnvPool, all environments at a time."""

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__(order["num_envs"])
        self.envs = make_envpool(order, self.num_envs)
        self.actions = draw_actions(self.envs.action_space, self.num_envs, order["seed"])
        self.envs.reset()


class EnvPoolAsync(Stepper):
    """EnvPool, half of the environments at a time, whichever are ready."""

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__(order["num_envs"])
        self.batch = self.num_envs // 2
        self.envs = make_envpool(order, self.batch)
        self.actions = draw_actions(self.envs.action_space, self.batch, order["seed"])
        self.envs.async_reset()
        self.idle = [self.envs.recv()[4]["env_id"].copy() for _ in range(2)]

    def block(self, seconds: float) -> tuple[int, float, int]:
        """Keep all busy for about `seconds`; count from the first answer to the last."""
        for env_ids in self.idle:
            self.envs.send(self.action(), env_ids)
        env_ids, done = self.receive()
        self.envs.send(self.action(), env_ids)
        started = now = time.perf_counter()
        steps = 0
        while now - started < seconds:
            env_ids, count = self.receive()
            steps += count
            now = time.perf_counter()
            self.envs.send(self.action(), env_ids)
        done += steps
        self.idle = []
        for _ in range(2):
            env_ids, count = self.receive()
            self.idle.append(env_ids)
            done += count
        return steps, now - started, done

    def receive(self) -> tuple[np.ndarray, int]:
        """Return who has answered, and how many of them really stepped."""
        _, _, terminated, truncated, info = self.envs.recv()
        env_ids = info["env_id"].copy()
        return env_ids, self.real_steps(env_ids, terminated | truncated)


class StableBaselines:
    """PPO of Stable-Baselines3, learning included, settings as its zoo's; one torch thread.

    2,048 steps per update, minibatches of 64, 10 epochs, 64x64 tanh, observations and rewards
    normalised.
    """

    def __init__(self, order: dict[str, Any], vec_env: str) -> None:
        import torch
        from stable_baselines3 import PPO
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

        torch.set_num_threads(1)
        kind = SubprocVecEnv if vec_env == "subproc" else DummyVecEnv
        self.num_envs = order["num_envs"]
        self.envs = VecNormalize(
            make_vec_env(
                order["env_id"],
                self.num_envs,
                seed=order["seed"],
                vec_env_cls=kind,
                env_kwargs=order["options"],
            )
        )
        self.order = order
        self.update = 2048 // self.num_envs * self.num_envs
        self.model = PPO(
            "MlpPolicy",
            self.envs,
            n_steps=self.update // self.num_envs,
            batch_size=64,
            n_epochs=10,
            policy_kwargs={"net_arch": [64, 64]},
            seed=order["seed"],
            device="cpu",
        )

    def block(self, seconds: float) -> tuple[int, float, int]:
        """Do whole updates for at least `seconds`."""
        started = time.perf_counter()
        steps = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            self.model.learn(self.update, reset_num_timesteps=False)
            steps += self.update
        return steps, elapsed, steps

    def curve(self, times_s: list[float], episodes: int) -> Iterator[dict[str, Any]]:
        """Train on, and at each time of training evaluate the mean action.

        Evaluations do not count as training time. A time falls at the end of an update.
        """
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.evaluation import evaluate_policy
        from stable_baselines3.common.vec_env import VecNormalize

        plain = make_vec_env(
            self.order["env_id"],
            EVALUATION_ENVS,
            seed=self.order["seed"] + 10_000,
            env_kwargs=self.order["options"],
        )
        judge = VecNormalize(plain, training=False, norm_reward=False)
        trained_s = 0.0
        steps = 0
        for asked_s in times_s:
            while trained_s < asked_s:
                started = time.perf_counter()
                self.model.learn(self.update, reset_num_timesteps=False)
                trained_s += time.perf_counter() - started
                steps += self.update
            judge.obs_rms = self.envs.obs_rms
            returns, _ = evaluate_policy(
                self.model, judge, episodes, deterministic=True, return_episode_rewards=True
            )
            yield {
                "asked_s": asked_s,
                "trained_s": trained_s,
                "env_steps": steps,
                "returns": [float(value) for value in returns],
            }
        judge.close()

    def close(self) -> None:
        """Stop its processes."""
        self.envs.close()


PEERS = {
    "gym_sync": ("gymnasium", lambda order: Gymnasium(order, "sync")),
    "gym_async": ("gymnasium", lambda order: Gymnasium(order, "async")),
    "envpool_sync": ("envpool", EnvPoolSync),
    "envpool_async": ("envpool", EnvPoolAsync),
    "sb3_dummy": ("stable_baselines3", lambda order: StableBaselines(order, "dummy")),
    "sb3_subproc": ("stable_baselines3", lambda order: StableBaselines(order, "subproc")),
}
"""Name -> the package it needs, and what makes it."""


def versions() -> dict[str, str]:
    """Return the versions of what is installed here and matters."""
    found = {"python": sys.version.split()[0]}
    for name in ("mujoco", "gymnasium", "numpy", "envpool", "stable-baselines3", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def serve() -> None:
    """Answer orders until stdin ends."""
    # Only answers go to stdout, whatever the libraries print.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    peer = None
    for line in sys.stdin:
        order = json.loads(line)
        answer: dict[str, Any] = {}
        if order["op"] == "open":
            package, make = PEERS[order["peer"]]
            try:
                importlib.import_module(package)
            except ModuleNotFoundError as error:
                answer["missing"] = error.name
            else:
                peer = make(order)
                answer["versions"] = versions()
        elif order["op"] == "block" and peer is not None:
            steps, seconds, all_steps = peer.block(order["seconds"])
            answer = {"env_steps": steps, "seconds": seconds, "all_env_steps": all_steps}
        elif order["op"] == "curve" and isinstance(peer, StableBaselines):
            for point in peer.curve(order["times_s"], order["episodes"]):
                answers.write(json.dumps(point) + "\n")
        answers.write(json.dumps(answer) + "\n")
    if peer is not None:
        peer.close()


if __name__ == "__main__":
    serve()
