"""What a training run on this machine can be told; the terminal and notebooks share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from websim.client.knobs import Knobs, as_pairs, read_knobs, refuse_both
from websim.local.unbegun import has_begun, is_free
from websim.service.errors import UserError

MAX_GOAL = 2000
"""Characters of a goal."""

DEFAULT_TASK = "HalfCheetah-v5"
"""What a new run trains where nobody says otherwise."""


@dataclass(frozen=True)
class RunOptions:
    """What to train, how, and where; None leaves a choice to the learner's own defaults."""

    task: str | None = None
    """Name of a bundled task, or a task file; None is HalfCheetah-v5."""
    algo: str | None = None
    """Learning algorithm; None is ppo."""
    num_envs: int | None = None
    """Environments that are simulated side by side."""
    seed: int | None = None
    """The run is a function of it: the same seed gives the same weights; None is 0."""
    total_steps: int | None = None
    """Environment steps after which training is over."""
    run_dir: Path | None = None
    """Where the run is kept, a new or an empty directory, or one where a run did not begin; None
    chooses runs/<task>-<algo>-s<seed>-<time>."""
    resume: Path | None = None
    """Directory of a run to go on with; what it was started with holds, and is refused here."""
    device: str | None = None
    """Where the learner computes: cpu or cuda."""
    reward: Path | None = None
    """File of a reward program to train on instead of the task's own."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Further settings of the algorithm, as in {"ppo.learning_rate": 3e-4}."""
    checkpoint_every_steps: int | None = None
    """Write a checkpoint about every so many environment steps."""
    goal: str | None = None
    """What the run is for, in words; None is the task's own purpose."""
    adapt: str | None = None
    """auto, approve or off; None is auto with a goal, else off."""
    target: float | None = None
    """Fitness at which the goal is reached."""
    adapt_every_steps: int | None = None
    """Ask for a change about so long after the last adaptation; None asks by measures only."""
    next_tasks: Sequence[str] = ()
    """Tasks that some environments get when the target is reached and nothing harder is left."""
    difficulty: float | None = None
    """Of the physics from the first episode on, from 0, nominal, to 1, the task's hard ranges."""
    knobs: Knobs = field(default_factory=dict)
    """Ranges of some knobs from the first episode on, as in {"gravity": (0.7, 1.3), "mass": 1.2};
    the others are nominal."""
    reward_gen: str | None = None
    """Address of a running reward-gen; None starts a private one where the run adapts, and where
    there is a page."""
    workers: int | None = None
    """Sim workers of the private fleet; None is one per core."""
    fleet: str | None = None
    """Address of a running fleet to use instead of a private one, as in tcp://host:5556."""
    keys: Path | None = None
    """Directory of the key set that the fleet uses; None uses none."""

    def check(self) -> None:
        """Refuse what cannot work before anything is started.

        Raises:
            UserError: Says what and why.
        """
        if self.workers is not None and self.fleet is not None:
            raise UserError("--workers is for a private fleet, and --fleet names another one")
        if self.goal is not None and not 0 < len(self.goal.strip()) <= MAX_GOAL:
            raise UserError(
                f"--goal has {len(self.goal)} characters, and takes 1 to {MAX_GOAL}",
                "Say in a sentence what is to be learned.",
            )
        if self.adapt not in (None, "auto", "approve", "off"):
            raise UserError(f"--adapt {self.adapt} is unknown", "Choose auto, approve or off.")
        if self.difficulty is not None and not 0.0 <= self.difficulty <= 1.0:
            raise UserError(
                f"--difficulty {self.difficulty:g} is not from 0 to 1",
                "0 is nominal, 1 the task's hard ranges.",
            )
        refuse_both(self.knobs, self.difficulty)
        read_knobs(as_pairs(self.knobs))
        for name, value in (
            ("--num-envs", self.num_envs),
            ("--total-steps", self.total_steps),
            ("--adapt-every-steps", self.adapt_every_steps),
        ):
            if value is not None and value < 1:
                raise UserError(f"{name} {value} must be at least 1")
        if self.resume is not None:
            if not (self.resume / "config.json").is_file():
                raise UserError(f"{self.resume} is not a run directory: it has no config.json")
            if self.run_dir not in (None, self.resume):
                raise UserError(
                    "--run-dir and --resume name two directories", "Leave out --run-dir."
                )
        elif self.run_dir is not None and has_begun(self.run_dir):
            raise UserError(
                f"{self.run_dir} already holds a run",
                f"Go on with it by --resume {self.run_dir}, or choose another --run-dir.",
            )
        elif self.run_dir is not None and not is_free(self.run_dir):
            raise UserError(
                f"--run-dir {self.run_dir} is not empty", "Name a new or an empty directory."
            )
        if self.reward is not None and not self.reward.is_file():
            raise UserError(f"there is no reward file {self.reward}")

    @property
    def adapts(self) -> bool:
        """Whether the run adapts its own training, or measures a goal in words."""
        return self.goal is not None or self.adapt in ("auto", "approve")

    @property
    def identity(self) -> tuple[str, str, int]:
        """Task, algorithm and seed of a new run."""
        return self.task or DEFAULT_TASK, self.algo or "ppo", self.seed or 0

    def directory(self) -> Path:
        """Return where the run is kept."""
        if self.resume is not None:
            return self.resume
        if self.run_dir is not None:
            return self.run_dir
        task, algo, seed = self.identity
        task = Path(task).parent.name if task.endswith((".yaml", ".yml")) else task
        now = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        return Path("runs") / f"{task or 'task'}-{algo}-s{seed}-{now}"

    def learner_arguments(self, run_dir: Path, fleet: str) -> list[str]:
        """Return the command line of `python -m websim_learner` for this run.

        Of a run that goes on it has whatever was asked for: the learner says what it refuses.
        """
        resumed = self.resume is not None
        task, algo, seed = (self.task, self.algo, self.seed) if resumed else self.identity
        arguments = ["train", "--fleet", fleet, "--run-dir", str(run_dir)]
        for flag, wish in (
            ("--goal", self.goal),
            ("--adapt", self.adapt),
            ("--target", self.target),
            ("--adapt-every-steps", self.adapt_every_steps),
            ("--difficulty", self.difficulty),
        ):
            arguments += [] if wish is None else [f"{flag}={wish}"]
        for next_task in self.next_tasks:
            arguments += ["--next-task", next_task]
        arguments += [f"--knobs={pair}" for pair in as_pairs(self.knobs)]
        for flag, value in (
            ("--keys", self.keys),
            # The same words as --run-dir's: the learner refuses two directories.
            ("--resume", run_dir if resumed else None),
            ("--task", task),
            ("--algo", algo),
            ("--seed", seed),
            ("--reward-gen", self.reward_gen),
            ("--num-envs", self.num_envs),
            ("--total-steps", self.total_steps),
            ("--device", self.device),
            ("--reward", self.reward),
            ("--checkpoint-every-steps", self.checkpoint_every_steps),
        ):
            if value is not None:
                arguments += [flag, str(value)]
        for key, setting in self.settings.items():
            arguments += ["--set", f"{key}={setting}"]
        return arguments


def make_log_dir(directory: Path) -> Path:
    """Make the directory of a run, with a place for the logs of its services, and return that.

    Raises:
        UserError: It cannot be made.
    """
    log_dir = directory / "logs"
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot write to {directory}: {error.strerror}", "Choose another --run-dir."
        ) from None
    return log_dir
