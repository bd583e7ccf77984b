"""The peers as subjects: each in a process of its own that speaks JSON lines, see peer_host.py."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import load
from subject import Count, NotMeasured

from websim.local.child import CHILD_ENVIRONMENT

HOST = Path(__file__).with_name("peer_host.py")
REQUIREMENTS = "tests/bench/requirements-peers.txt"
CLOSE_TIMEOUT_S = 10.0
"""How long a peer may take to end by itself."""

GYMNASIUM_ENVS = 64
"""Environments of Gymnasium's vector environments: as one process each, more do not fit."""
STABLE_BASELINES_ENVS = 8
"""Environments of a Stable-Baselines3 run, as its zoo has them."""


@dataclass(frozen=True)
class Nearest:
    """What a task is called elsewhere."""

    env_id: str
    gymnasium: Mapping[str, Any] = field(default_factory=dict)
    envpool: Mapping[str, Any] = field(default_factory=dict)


# Without contact forces both leave out what they can; Gymnasium computes them in any case.
_NO_CONTACT_FORCES = {"post_constraint": False, "use_contact_force": False}
_FAST = {"include_cfrc_ext_in_observation": False}
NEAREST = {
    "AntFast-v0": Nearest("Ant-v5", _FAST, _NO_CONTACT_FORCES),
    "HumanoidFast-v0": Nearest("Humanoid-v5", _FAST, _NO_CONTACT_FORCES),
}
"""Our tasks that the peers know by another name; those of Gymnasium have their own."""


def nearest(task: str) -> Nearest | None:
    """Return what peers call a task; None when they do not have it."""
    if task in NEAREST:
        return NEAREST[task]
    return Nearest(task) if task.endswith("-v5") else None


@dataclass(frozen=True)
class PeerKind:
    """A peer as the bench lists it."""

    key: str
    label: str
    num_envs: int | None
    """None: as many as the fleet has."""
    trains: bool = False


VECTOR_PEERS = (
    PeerKind("envpool_sync", "EnvPool sync", None),
    PeerKind("envpool_async", "EnvPool async", None),
    PeerKind("gym_sync", "Gymnasium sync", GYMNASIUM_ENVS),
    PeerKind("gym_async", "Gymnasium async", GYMNASIUM_ENVS),
)
TRAINING_PEERS = (
    PeerKind("sb3_dummy", "SB3 PPO Dummy", STABLE_BASELINES_ENVS, trains=True),
    PeerKind("sb3_subproc", "SB3 PPO Subproc", STABLE_BASELINES_ENVS, trains=True),
)


class Peer:
    """One peer on one task.

    Attributes:
        versions: What its Python has installed, once open.
        note: What a reader must know to compare it.
    """

    def __init__(
        self, kind: PeerKind, task: str, num_envs: int, threads: int, seed: int, python: str
    ) -> None:
        self.key = kind.key
        self.num_envs = kind.num_envs or num_envs
        self.label = kind.label if kind.num_envs is None else f"{kind.label} N={kind.num_envs}"
        self.versions: dict[str, str] = {}
        self._kind = kind
        self._task = task
        self._threads = threads
        self._seed = seed
        self._python = python
        self._process: subprocess.Popen[str] | None = None
        # Its owner closes it.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115

    @property
    def note(self) -> str:
        """What it runs, where that is not the task's own name."""
        same = nearest(self._task)
        return "" if same is None or same.env_id == self._task else f"runs {same.env_id}"

    def open(self) -> None:
        """Start its process and make its environments."""
        same = nearest(self._task)
        if same is None:
            raise NotMeasured(f"has no {self._task}")
        try:
            self._process = subprocess.Popen(
                [self._python, "-P", str(HOST)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                bufsize=1,
                env={**os.environ, **CHILD_ENVIRONMENT},
            )
        except OSError as error:
            raise NotMeasured(f"{self._python} does not start: {error.strerror}") from None
        answer = self._ask(
            op="open",
            peer=self.key,
            env_id=same.env_id,
            num_envs=self.num_envs,
            threads=self._threads,
            seed=self._seed,
            options=dict(same.envpool if self.key.startswith("envpool") else same.gymnasium),
        )
        if package := answer.get("missing"):
            raise NotMeasured(f"{package} is not installed: see {REQUIREMENTS}")
        self.versions = answer["versions"]

    def block(self, seconds: float) -> Count:
        """Measure in its process."""
        answer = self._ask(op="block", seconds=seconds)
        return Count(answer["env_steps"], answer["seconds"], answer["all_env_steps"])

    def memory_bytes(self) -> int | None:
        """Return what its process and those it started hold."""
        if self._process is None:
            return None
        return load.memory_bytes(process.pid for process in load.tree(self._process.pid))

    def close(self) -> None:
        """End its process."""
        process = self._process
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                for child in reversed(load.tree(process.pid)):
                    child.kill()
                process.wait()
            process.stdout.close()
            self._process = None
        self._errors.close()

    def curve(self, times_s: Sequence[float], episodes: int) -> Iterator[dict[str, Any]]:
        """Yield evaluations at times of training; see peer_host.py."""
        self._send(op="curve", times_s=list(times_s), episodes=episodes)
        while point := self._read():
            yield point

    def _ask(self, **order: Any) -> dict[str, Any]:
        self._send(**order)
        return self._read()

    def _send(self, **order: Any) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        # A process that has ended is noticed when its answer is read.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order) + "\n")

    def _read(self) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            self._errors.seek(0)
            lines = self._errors.read().strip().splitlines() or ["its process ended"]
            raise NotMeasured(f"failed: {lines[-1][:200]}")
        answer: dict[str, Any] = json.loads(line)
        return answer
