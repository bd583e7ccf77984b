"""Resolves what was asked into a run's configuration, or takes over that of a run to go on with."""

import msgspec
import torch

from websim.client import DEFAULT_NUM_ENVS
from websim.client.knobs import read_knobs, refuse_both
from websim.service.errors import UserError
from websim_learner.adaptation.curriculum import MAX_NEXT_TASKS
from websim_learner.defaults import DEFAULT_TASK, defaults_of
from websim_learner.run_dir import RunConfig, RunDir
from websim_learner.settings import TrainSettings, split_overrides, whole, with_overrides
from websim_learner.stage import every_updates

ALGORITHMS = ("ppo",)

EVAL_EPISODES = 20
CHECKPOINT_EVERY_STEPS = 100_000
EVAL_EVERY_STEPS = 500_000
EVALUATIONS_ADAPTING = 40
EVERY_STEPS_ADAPTING = (50_000, 200_000)
"""Decisions of an adapting run rest on evaluations: there are so many in it where they lie no
closer and no farther apart than this. After an adoption there are looks besides."""

FIXED_ON_RESUME = (
    "task", "algo", "num_envs", "seed", "reward", "adapt", "goal", "target", "difficulty",
)  # fmt: skip
"""Settings that a run keeps for life."""

FREE_ON_RESUME = ("total_steps", "device")
"""What may change of its configuration; the device changes what is learned no more than a machine
does."""


def new_config(settings: TrainSettings) -> tuple[RunConfig, RunDir]:
    """Return the configuration and the directory of a new run; nothing is written.

    Raises:
        UserError: something asked for is not there, or the directory holds a run already.
    """
    run_dir = _run_dir(settings)
    run_dir.check_new()
    return _asked(settings), run_dir


def started_config(settings: TrainSettings) -> tuple[RunConfig, RunDir]:
    """Return the configuration and the directory of a run, whether it is new or has been started.

    Raises:
        UserError: something asked for is not there, or the directory holds a run of other
            settings, or files that are not a run's.
    """
    run_dir, config = _run_dir(settings), _asked(settings)
    if run_dir.started:
        kept, _ = run_dir.read_config()
        if settings.total_steps is None:
            config = msgspec.structs.replace(config, total_steps=kept.total_steps)
        if settings.eval_every_steps is None:
            # How often depends on the steps that it was started with, and on the version.
            config = msgspec.structs.replace(
                config,
                eval_every_updates=kept.eval_every_updates,
                eval_every_updates_adapting=kept.eval_every_updates_adapting,
            )
        # It says whether `adapt` was chosen, and goes with that.
        config = msgspec.structs.replace(config, adapts_with_goal=kept.adapts_with_goal)
        others = [
            name
            for name in RunConfig.__struct_fields__
            if name not in FREE_ON_RESUME and getattr(kept, name) != getattr(config, name)
        ]
        if others:
            raise UserError(
                f"{run_dir.path} holds a run with another {' and another '.join(others)}",
                "Take the change back, or choose another --run-dir (WEBSIM_RUN of compose).",
            )
    else:
        run_dir.check_new()
    return config, run_dir


def is_over(config: RunConfig, run_dir: RunDir) -> bool:
    """Return whether a run has its result, and is asked for no more steps than before."""
    if not (run_dir.started and run_dir.finished):
        return False
    kept, _ = run_dir.read_config()
    return config.total_steps <= kept.total_steps


def resumed_config(settings: TrainSettings) -> tuple[RunConfig, RunDir]:
    """Return the configuration and the directory of the run to go on with.

    Raises:
        UserError: it is not there, or something is asked for that a run keeps for life.
    """
    assert settings.resume is not None
    if settings.resume_if_started:
        raise UserError("--resume is not for a run that may not be there", "Leave out one of them.")
    named = settings.run_dir or settings.resume
    if named.absolute() != settings.resume.absolute():
        raise UserError("--run-dir and --resume name two directories", "Leave out --run-dir.")
    run_dir = RunDir(settings.resume)
    config, _ = run_dir.read_config()
    given = [name for name in FIXED_ON_RESUME if getattr(settings, name) is not None]
    lists = ("set", "next_task", "knobs", "adapt_every_steps")
    given += [name for name in lists if getattr(settings, name)]
    given += _other_rhythm(settings, config)
    if given:
        flag = "--" + given[0].replace("_", "-")
        raise UserError(
            f"{flag} cannot change when a run goes on",
            "Leave it out, or start a new run with another --run-dir.",
        )
    changes = {
        "total_steps": settings.total_steps or config.total_steps,
        "device": _checked_device(settings.device or config.device),
    }
    return msgspec.structs.replace(config, **changes), run_dir


def _other_rhythm(settings: TrainSettings, config: RunConfig) -> list[str]:
    """Return the settings that say otherwise than a run when it evaluates and keeps checkpoints.

    It keeps both for life: decisions rest on its evaluations. The same as before may be said, for
    the environment says it to every process.
    """
    per_update = config.num_envs * config.ppo.rollout_length
    asked = {
        "eval_episodes": (settings.eval_episodes, config.eval_episodes, 1),
        "eval_every_steps": (settings.eval_every_steps, config.eval_every_updates, per_update),
        "checkpoint_every_steps": (
            settings.checkpoint_every_steps, config.checkpoint_every_updates, per_update,
        ),
    }  # fmt: skip
    return [
        name
        for name, (wish, kept, unit) in asked.items()
        if wish is not None and every_updates(wish, unit) != kept
    ]


def _run_dir(settings: TrainSettings) -> RunDir:
    if settings.run_dir is None:
        raise UserError("--run-dir is required", "Name the directory the run is kept in.")
    return RunDir(settings.run_dir)


def _asked(settings: TrainSettings) -> RunConfig:
    """Resolve what was asked."""
    task = settings.task or DEFAULT_TASK
    algo = settings.algo or "ppo"
    if algo not in ALGORITHMS:
        raise UserError(f"there is no algorithm {algo}", f"Choose from: {', '.join(ALGORITHMS)}.")
    defaults = defaults_of(task)
    num_envs = settings.num_envs or DEFAULT_NUM_ENVS
    overrides, task_overrides = split_overrides(settings.set)
    ppo = with_overrides(defaults.ppo_for(num_envs), overrides)
    steps_per_update = num_envs * ppo.rollout_length
    total_steps = settings.total_steps or defaults.total_steps
    adapt = settings.adapt or ("auto" if settings.goal else "off")
    eval_every_steps, adapting = settings.eval_every_steps, None
    if eval_every_steps is None and adapt == "off":
        # Where a person turns adaptation on, decisions rest on evaluations from then on.
        adapting = every_updates(_eval_every_steps_adapting(total_steps), steps_per_update)
    if eval_every_steps is None:
        eval_every_steps = (
            EVAL_EVERY_STEPS if adapt == "off" else _eval_every_steps_adapting(total_steps)
        )
    checkpoint_every_steps = settings.checkpoint_every_steps
    if checkpoint_every_steps is None:
        checkpoint_every_steps = CHECKPOINT_EVERY_STEPS
    return RunConfig(
        task=task,
        task_overrides=task_overrides,
        algo=algo,
        num_envs=num_envs,
        seed=settings.seed or 0,
        total_steps=total_steps,
        device=_checked_device(settings.device or "cpu"),
        ppo=ppo,
        reward_source=_reward_source(settings),
        adapt=adapt,
        adapts_with_goal=settings.adapt is None and adapt == "off",
        goal=settings.goal,
        target=settings.target,
        adapt_every_steps=_adapt_every_steps(settings, adapt),
        next_tasks=_next_tasks(settings, task, adapt),
        difficulty=settings.difficulty,
        knobs=_knobs(settings),
        eval_episodes=settings.eval_episodes or EVAL_EPISODES,
        eval_every_updates=every_updates(eval_every_steps, steps_per_update),
        eval_every_updates_adapting=adapting,
        checkpoint_every_updates=every_updates(checkpoint_every_steps, steps_per_update),
    )


def _eval_every_steps_adapting(total_steps: int) -> int:
    least, most = EVERY_STEPS_ADAPTING
    return min(most, max(least, total_steps // EVALUATIONS_ADAPTING))


def _adapt_every_steps(settings: TrainSettings, adapt: str) -> int:
    if settings.adapt_every_steps is None:
        return 0
    if adapt == "off":
        raise UserError("--adapt-every-steps is for a run that adapts", "Add --adapt auto.")
    return settings.adapt_every_steps


def _next_tasks(settings: TrainSettings, task: str, adapt: str) -> tuple[str, ...]:
    tasks = settings.next_task
    if tasks and adapt == "off":
        raise UserError("--next-task is for a run that adapts", "Add --adapt auto.")
    if len({task, *tasks}) < 1 + len(tasks) or len(tasks) > MAX_NEXT_TASKS:
        raise UserError(
            f"--next-task {tasks[-1]} cannot be had",
            f"Name up to {MAX_NEXT_TASKS} tasks, each once, other than --task.",
        )
    return tasks


def _knobs(settings: TrainSettings) -> dict[str, tuple[float, float]]:
    """Return the ranges of knobs; whether the task has these, the fleet alone knows."""
    refuse_both(settings.knobs, settings.difficulty)
    return read_knobs(whole(settings.knobs))


def _reward_source(settings: TrainSettings) -> str | None:
    if settings.reward is None:
        return None
    try:
        return settings.reward.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the reward program {settings.reward}: {error}") from None


def _checked_device(device: str) -> str:
    try:
        kind = torch.device(device).type
    except RuntimeError:
        kind = ""
    if kind not in ("cpu", "cuda"):
        raise UserError(f"--device {device} is not known", "Choose cpu or cuda.")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda: this machine's torch finds no CUDA device",
            "Use --device cpu, or install a CUDA build of torch.",
        )
    return device
