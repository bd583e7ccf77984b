"""A run's directory: what was asked, what happened, what came of it.

    config.json  journal.jsonl  metrics.jsonl  checkpoints/  tb/  result.json

Only the learner writes here, logs excepted. Whole files are replaced atomically; lines are
appended, and a line that a kill cut short is dropped by the next life of the run.
"""

import fcntl
import json
import os
import uuid
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from websim.service.errors import UserError
from websim.service.files import write_atomic
from websim.wire.messages import TaskInfo, Value
from websim_learner.control import AdaptMode
from websim_learner.defaults import PPOSettings
from websim_learner.failpoints import failpoint
from websim_learner.records import JournalEntry, MetricsRecord
from websim_learner.writing import writing


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run was asked to do, resolved: with its journal it determines the weights."""

    task: str
    """A bundled task's id, or the path of a task file."""
    task_overrides: dict[str, Value] = {}
    """Parameters of the task that differ from its own defaults."""
    algo: str
    num_envs: int
    seed: int
    total_steps: int
    device: str
    ppo: PPOSettings
    reward_source: str | None = None
    """The reward program the run started with; None is the task's own reward."""
    adapt: AdaptMode = "off"
    adapts_with_goal: bool = False
    """Whether a goal that is set later turns adapting on: nobody has said if the run adapts."""
    goal: str | None = None
    """What the run is for, in words; None: the task's own purpose."""
    target: float | None = None
    """Fitness at which the goal is reached."""
    adapt_every_steps: int = 0
    """Ask for a change so many env steps after the last adaptation ended; 0: not by the clock."""
    next_tasks: tuple[str, ...] = ()
    """Tasks that some of the envs may get when the goal is reached and nothing harder is left."""
    difficulty: float | None = None
    """Of the physics from the first episodes on; None: `knobs` say all."""
    knobs: dict[str, tuple[float, float]] = {}
    """Ranges that the first episodes draw knobs from; those not named are nominal."""
    eval_episodes: int
    eval_every_updates: int
    """0: only at the end."""
    eval_every_updates_adapting: int | None = None
    """While a run that began without adapting adapts; None: as otherwise."""
    checkpoint_every_updates: int
    """0: only at the end."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run."""

    task: str
    algo: str
    seed: int
    env_steps: int
    task_env_steps: int
    """Those of them since the task became the run's: all, unless it had another one before."""
    wall_s: float
    """From the first step to the last update, evaluation and pauses excluded."""
    steps_per_s: float
    """env_steps / wall_s."""
    eval_return_mean: float
    eval_return_std: float
    eval_fitness_mean: float | None
    """Over the episodes in which it is a finite number; None where it is in none."""
    eval_length_mean: float
    eval_success_mean: float | None
    weights_sha256: str
    updates: int
    num_envs: int
    reward_id: str
    skipped_steps: int
    """Steps of a shard that the fleet could not simulate. Where there are any, the run depends on
    more than its configuration, seed and journal."""


class RunDir:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tb"
        self._config = path / "config.json"
        self._journal = path / "journal.jsonl"
        self._metrics = path / "metrics.jsonl"
        self._result = path / "result.json"
        self._lock: int | None = None
        """Descriptor that holds the lock."""

    @property
    def started(self) -> bool:
        """Whether a run is kept here already."""
        return self._config.exists()

    @cached_property
    def run_uuid(self) -> str:
        """What tells the run from all others, also from one that was in this directory before.

        It is drawn for a new run and goes into nothing else. Empty for a run begun without one.
        """
        try:
            return str(json.loads(self._config.read_bytes()).get("run_uuid", ""))
        except FileNotFoundError:
            return uuid.uuid4().hex

    def check_new(self) -> None:
        """Refuse to begin a run where one is kept already, or would overwrite what is there.

        Raises:
            UserError: says what to do instead.
        """
        if self.started:
            raise UserError(
                f"{self.path} already holds a run",
                f"Go on with it by --resume {self.path}, or choose another --run-dir.",
            )
        # config.json comes first of a run's files: without it, they are somebody else's.
        files = [self._journal, self._metrics, self._result, self.path / "adaptations.jsonl"]
        for other in [*files, *self.checkpoints.glob("*")]:
            if other.exists():
                raise UserError(
                    f"{self.path} holds no run, but a {other.relative_to(self.path)}, "
                    "which one would overwrite",
                    "Choose another --run-dir.",
                )

    def create(self) -> None:
        """Make the directory, if it is not there yet.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot create {self.path}: {(error.strerror or str(error)).lower()}",
                "Choose another --run-dir.",
            ) from None

    def lock(self) -> None:
        """Keep every other process from working on the run, until `release` or the process's end.

        Raises:
            UserError: another one does.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UserError(
                f"another learner works on {self.path}",
                "Wait for it, or stop it; two would write into each other's files.",
            ) from None
        except OSError:
            # A file system without locks: nobody can be kept out.
            os.close(descriptor)
            return
        self._lock = descriptor

    def release(self) -> None:
        """Let other processes work on the run."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def write_config(self, config: RunConfig, task: TaskInfo) -> None:
        """Write what was asked, and what the fleet says the task is."""
        told = {
            "run_uuid": self.run_uuid,
            "config": msgspec.to_builtins(config),
            "task_info": msgspec.to_builtins(task),
        }
        # json, not msgspec: the bounds of an unbounded action space are written as Infinity.
        with writing(self._config):
            write_atomic(self._config, json.dumps(told, indent=1).encode())

    def read_config(self) -> tuple[RunConfig, TaskInfo]:
        """Read what `write_config` wrote.

        Raises:
            UserError: this is no run's directory, or the file is damaged.
        """
        try:
            both = json.loads(self._config.read_bytes())
            config = msgspec.convert(both["config"], RunConfig)
            return config, msgspec.convert(both["task_info"], TaskInfo)
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{self.path} is not a run directory: it has no config.json",
                "Name the directory that `websim train` wrote.",
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self._config} is damaged: {error}") from None

    def write_result(self, result: RunResult) -> None:
        """Write what came of the run."""
        failpoint("result.before_write")
        with writing(self._result):
            write_atomic(self._result, msgspec.json.format(msgspec.json.encode(result), indent=1))
        failpoint("result.after_write")

    @property
    def finished(self) -> bool:
        """Whether the run has its result."""
        return self._result.exists()

    def remove_result(self) -> None:
        """Remove the result of a run that goes on."""
        self._result.unlink(missing_ok=True)

    def append_metrics(self, record: MetricsRecord) -> None:
        """Append a row to metrics.jsonl."""
        failpoint("metrics.before_write")
        with writing(self._metrics), self._metrics.open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")
        failpoint("metrics.after_write")

    def rewind_metrics(self, update: int) -> None:
        """Drop the rows of updates that the run is about to do again."""
        rows = [row for row in _lines(self._metrics) if json.loads(row)["update"] <= update]
        with writing(self._metrics):
            write_atomic(self._metrics, b"".join(row + b"\n" for row in rows))

    def append_journal(self, update: int, kind: str, values: dict[str, Any]) -> JournalEntry:
        """Append an entry to journal.jsonl; it is on disk when this returns."""
        entry = JournalEntry(n=len(self.journal()) + 1, update=update, kind=kind, values=values)
        lines = [*_lines(self._journal), msgspec.json.encode(entry)]
        # The journal is short: rewriting it whole keeps a cut line out of it for good.
        failpoint("journal.before_write")
        with writing(self._journal):
            write_atomic(self._journal, b"".join(line + b"\n" for line in lines))
        failpoint("journal.after_write")
        return entry

    def journal(self) -> list[JournalEntry]:
        """Return all entries, in order."""
        return [msgspec.json.decode(line, type=JournalEntry) for line in _lines(self._journal)]


def _lines(path: Path) -> list[bytes]:
    """Return the whole lines of a file; a last one without its end is left out."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
