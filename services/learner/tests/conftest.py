"""Runs on the toy task of toy_fleet.py; toy_host.py lets them die in processes of their own."""

import contextlib
import functools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_learner import run as run_module
from websim_learner.adaptation import questions
from websim_learner.control import RunOver
from websim_learner.defaults import PPOSettings
from websim_learner.run import Run
from websim_learner.run_dir import RunConfig, RunDir

# Lets the tests share their helpers.
sys.path.insert(0, str(Path(__file__).parent))

from scripted import Scripted
from toy_fleet import TOY, ToyClient

torch.set_num_threads(1)


@pytest.fixture
def make_client() -> type[ToyClient]:
    """Return the factory of toy sessions."""
    return ToyClient


@pytest.fixture
def toy_task() -> TaskInfo:
    """Return the toy's task."""
    return TOY


NUM_ENVS, LENGTH = 24, 8
STEPS = NUM_ENVS * LENGTH


def _make_config(**overrides) -> RunConfig:
    ppo = {"rollout_length": LENGTH, "minibatch_size": 64, "epochs": 2, "hidden": (16,)}
    ppo |= overrides.pop("ppo", {})
    defaults = {
        "task": "Toy-v0",
        "algo": "ppo",
        "num_envs": NUM_ENVS,
        "seed": 1,
        "total_steps": 10 * STEPS,
        "device": "cpu",
        "ppo": PPOSettings(**ppo),
        "eval_episodes": 5,
        "eval_every_updates": 4,
        "checkpoint_every_updates": 3,
    }
    return RunConfig(**{**defaults, **overrides})


REWARD_GEN_DEADLINE_S = 60.0


@contextlib.contextmanager
def running_reward_gen(place: Path, *flags: str, **environment: str) -> Iterator[str]:
    """Start a real reward-gen in a directory of its own; give its address."""
    ready = place / "ready.json"
    command = [sys.executable, "-m", "websim_reward_gen", "--http-port", "0", *flags]
    command += ["--ready-file", str(ready), "--ledger", str(place / "ledger.jsonl")]
    plain = {name: value for name, value in os.environ.items() if "ANTHROPIC" not in name}
    with subprocess.Popen(
        command, cwd=place, env=plain | environment, stderr=subprocess.DEVNULL
    ) as service:
        give_up_s = time.monotonic() + REWARD_GEN_DEADLINE_S
        while not ready.exists():
            assert service.poll() is None
            assert time.monotonic() < give_up_s
            time.sleep(0.05)
        yield json.loads(ready.read_text())["http_url"]
        service.terminate()


@pytest.fixture(scope="session")
def reward_gen(tmp_path_factory):
    """The address of a real reward-gen without a key."""
    with running_reward_gen(tmp_path_factory.mktemp("reward-gen")) as url:
        yield url


class Harness:
    """A run, and what a test wants to do at certain updates."""

    def __init__(self, directory, make_client, **overrides):
        self.client_options = overrides.pop("client", {})
        author = overrides.pop("author", None)
        self.config = _make_config(**overrides)
        self.make_client = make_client
        self.run_dir = RunDir(directory)
        self.stopped = False
        self.clients = []
        self.at = {}
        self.answers = []
        self.run = Run(
            self.config, self.run_dir, self._open, self._open_evaluation, self._stop, author=author
        )
        advance = self.run._trainer._advance

        def watched():
            advance()
            for action in self.at.get(self.branch.updates, []):
                action(self)

        self.run._trainer._advance = watched

    @property
    def branch(self):
        return self.run._branches[0]

    def _open(self, asked, seed):
        self.clients.append(
            self.make_client(asked.num_envs, seed, task=asked.task, **self.client_options)
        )
        return self.clients[-1]

    def _open_evaluation(self, asked, num_envs, seed):
        # Several shards, unless the test chose how wide they are.
        width = self.client_options.get("shard_envs", 2)
        self.clients.append(self.make_client(num_envs, seed, task=asked.task, shard_envs=width))
        return self.clients[-1]

    def _stop(self):
        return self.stopped

    def send(self, command):
        """Submit a command from another thread, as HTTP would; do not wait for it here."""

        def submit():
            try:
                self.answers.append(self.run.control.submit(command, 20.0))
            except (UserError, RunOver) as error:
                self.answers.append(error)

        before = self.run.control._queue.qsize()
        thread = threading.Thread(target=submit)
        thread.start()
        while self.run.control._queue.qsize() == before and thread.is_alive():
            pass
        self.threads = [*getattr(self, "threads", []), thread]

    def go(self):
        self.run.begin()
        try:
            state = self.run.train()
        finally:
            self.run.close()
        for thread in getattr(self, "threads", []):
            thread.join(20.0)
        return state

    def result(self):
        return json.loads((self.run_dir.path / "result.json").read_text())

    def metrics(self):
        return [
            json.loads(x) for x in (self.run_dir.path / "metrics.jsonl").read_text().splitlines()
        ]

    def digest(self):
        return self.branch.weights_sha256()


@pytest.fixture
def harness(tmp_path, make_client):
    count = iter(range(100))

    def make(directory=None, **overrides):
        return Harness(directory or tmp_path / f"run-{next(count)}", make_client, **overrides)

    return make


@pytest.fixture
def adapting(harness, monkeypatch):
    """Return the factory of runs that adapt, whose trials are over soon."""
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory=None, **overrides):
        defaults = {"adapt": "auto", "total_steps": 24 * STEPS, "eval_every_updates": 4}
        defaults["client"] = {"shard_envs": 12}
        return harness(directory, **{**defaults, **overrides})

    return build


@pytest.fixture
def learning(adapting):
    """Return the factory of runs that adapt, and learn what little there is within a round."""
    large_steps = {"learning_rate": 1e-2}
    return functools.partial(adapting, eval_episodes=12, ppo=large_steps)


@pytest.fixture
def asking(harness, monkeypatch):
    """Return the factory of runs whose author answers as scripted, each with its author."""
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))
    monkeypatch.setattr(questions, "ASK_AGAIN_S", 0.0)

    def build(*script, directory=None, author=True, **overrides):
        own = {"adapt": "auto", "total_steps": 20 * STEPS, "eval_every_updates": 4}
        own |= {"client": {"shard_envs": 12}, "checkpoint_every_updates": 8}
        asked = Scripted(*script) if author else None
        h = harness(directory, author=asked, **{**own, **overrides})
        if asked is not None:
            asked.now = lambda: h.branch.updates
        return h, asked

    return build


@pytest.fixture
def make_config():
    """Return the factory of the configurations that `harness` runs."""
    return _make_config
