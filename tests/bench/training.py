"""A real training run as a subject: between its blocks it is paused.

The run is what `websim train` does, learner and private fleet included, without end and without
evaluations; its own clock, which stands while it is paused, says how long it trained.
"""

import os
import shutil
import tempfile
from pathlib import Path

import load
from subject import Count, NotMeasured

from websim.local.learner_api import LearnerApi, LearnerUnreachableError
from websim.local.options import RunOptions
from websim.local.run import Run
from websim.service.errors import UserError

ENDLESS_STEPS = 10**9
"""More than any bench does; the learning rate hardly falls."""


class TrainingRun:
    """PPO with the default settings of a task."""

    key = "fleet_training"
    label = "+ training (PPO)"

    def __init__(self, task: str, num_envs: int, workers: int, seed: int) -> None:
        self.num_envs = num_envs
        self._directory = Path(tempfile.mkdtemp(prefix="websim-bench-"))
        self._options = RunOptions(
            task=task,
            num_envs=num_envs,
            seed=seed,
            workers=workers,
            total_steps=ENDLESS_STEPS,
            run_dir=self._directory / "run",
        )
        self._run: Run | None = None

    def open(self) -> None:
        """Start fleet and learner, and pause them."""
        # Evaluations and checkpoints are no training; the learner reads this when it starts.
        os.environ["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = "0"
        os.environ["WEBSIM_LEARNER_CHECKPOINT_EVERY_STEPS"] = "0"
        try:
            self._run = Run(self._options)
            self._run.wait_ready()
            self._api = LearnerApi(self._run.http_url)
            self._api.command("pause")
        except (UserError, LearnerUnreachableError) as error:
            raise NotMeasured(f"failed: {error}") from None

    def block(self, seconds: float) -> Count:
        """Train for about `seconds`, whole updates."""
        try:
            before = self._api.status()
            self._api.command("resume")
            self._wait(seconds)
            self._api.command("pause")
            after = self._api.status()
        except (UserError, LearnerUnreachableError) as error:
            raise NotMeasured(f"failed: {error}") from None
        steps = after["env_steps"] - before["env_steps"]
        trained_s = after["wall_s"] - before["wall_s"]
        return Count(steps, trained_s, steps)

    def memory_bytes(self) -> int | None:
        """Return what learner, workers and orchestrator hold together."""
        run = self._run
        if run is None or run.fleet is None:
            return None
        supervisor = run.fleet.supervisor
        pids = (supervisor.pid(name) for name in ("learner", "orchestrator"))
        return load.memory_bytes(
            [*run.fleet.worker_pids(), *(pid for pid in pids if pid is not None)]
        )

    def close(self) -> None:
        """Stop everything and forget the run."""
        if self._run is not None:
            self._run.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self, seconds: float) -> None:
        assert self._run is not None
        try:
            self._run.result(timeout_s=seconds)
        except TimeoutError:
            return
        raise NotMeasured("failed: the run ended early")
