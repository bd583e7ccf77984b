"""What a run trains on from one change to the next: its task, its envs, and what follows from them.

A run begins with the stage of its configuration. A command for other envs or another task begins
the next one; the whole stage is journaled, so a later life, or another version's defaults, change
nothing about it.
"""

from dataclasses import asdict, replace
from typing import Any

import msgspec

from websim.service.errors import UserError
from websim.wire.messages import Value
from websim_learner.defaults import PPOSettings, defaults_of
from websim_learner.run_dir import RunConfig

MAX_ENVS = 65_536
"""A slip of the hand beyond this would keep a fleet building envs for minutes."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A run's task and envs between two changes of them."""

    n: int = 0
    """Stages of the run before it: keys the randomness of its training session."""
    branch: int = 0
    """Number of its branch: each task of a run is one of its own."""
    task: str
    """A bundled task's id, or the path of a task file."""
    task_overrides: dict[str, Value] = {}
    num_envs: int
    """Of all its tasks."""
    others: tuple[tuple[str, int], ...] = ()
    """Tasks that some of the envs simulate instead, and how many: the policy learns from all. Envs
    are numbered in this order, those of the run's own task first."""
    ppo: PPOSettings
    eval_every_updates: int
    eval_every_updates_adapting: int | None = None
    """While a run that began without adapting adapts; None: as otherwise."""
    checkpoint_every_updates: int
    first_update: int = 0
    """Updates of the run done when it began."""
    task_env_steps: int = 0
    """Env steps of the run done when its task began: from there the learning rate falls anew."""

    @property
    def own_envs(self) -> int:
        """Envs of the run's own task."""
        return self.num_envs - sum(count for _, count in self.others)

    def eval_every(self, *, adapting: bool) -> int:
        """Return after how many updates to evaluate; 0: only at the end."""
        every = self.eval_every_updates_adapting if adapting else None
        return self.eval_every_updates if every is None else every

    def applied_to(self, config: RunConfig) -> RunConfig:
        """Return the configuration of a run that would train on this from its start."""
        own = {name: getattr(self, name) for name in _SHARED}
        return msgspec.structs.replace(config, **own)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


_SHARED = (
    "task", "task_overrides", "num_envs", "ppo", "eval_every_updates",
    "eval_every_updates_adapting", "checkpoint_every_updates",
)  # fmt: skip
"""What a stage and a configuration both say."""


def first_stage(config: RunConfig) -> Stage:
    """Return the stage that a run begins with."""
    return Stage(**{name: getattr(config, name) for name in _SHARED})


def with_envs(stage: Stage, config: RunConfig, num_envs: int, update: int) -> Stage:
    """Return the stage of as many envs that follows another one.

    Raises:
        UserError: so many cannot be had.
    """
    if not 1 <= num_envs <= MAX_ENVS:
        raise UserError(f"{num_envs} is no number of environments", f"Choose 1 to {MAX_ENVS:,}.")
    others = stage.num_envs - stage.own_envs
    if num_envs <= others:
        raise UserError(
            f"{others:,} environments have other tasks, so {num_envs:,} would leave none to "
            f"{stage.task}",
            f"Choose more than {others:,}, or give the other tasks fewer.",
        )
    return _following(stage, config, update, num_envs=num_envs)


def with_task(stage: Stage, config: RunConfig, task: str, update: int, env_steps: int) -> Stage:
    """Return the stage of another task, with as many envs, that follows another one.

    Args:
        stage: the one before.
        config: the run's.
        task: a bundled task's id, or the task that the run began with.
        update: updates of the run done by now.
        env_steps: env steps of the run done by now.

    Raises:
        UserError: it is the path of a file, which may be another one when a run is resumed.
    """
    own = task == config.task
    _refuse_path(task, config)
    return _following(
        stage, config, update, branch=stage.branch + 1, task=task, task_env_steps=env_steps,
        task_overrides=config.task_overrides if own else {}, others=(),
    )  # fmt: skip


def with_other_task(
    stage: Stage, config: RunConfig, task: str, num_envs: int, update: int
) -> Stage:
    """Return the stage in which so many of the envs simulate another task.

    Args:
        stage: the one before.
        config: the run's.
        task: a bundled task's id, or one of the configuration's tasks.
        num_envs: of it from now on; 0: none.
        update: updates of the run done by now.

    Raises:
        UserError: so many cannot be had, or the task is the path of a file that the run does not
            know from its start.
    """
    _refuse_path(task, config)
    if task == stage.task:
        raise UserError(f"{task} is the run's own task", "It has the envs that others leave it.")
    others = tuple(each for each in stage.others if each[0] != task)
    most = stage.num_envs - sum(count for _, count in others) - 1
    if not 0 <= num_envs <= most:
        raise UserError(
            f"{num_envs:,} of {stage.num_envs:,} environments cannot have another task",
            f"Choose 0 to {most:,}: {stage.task} keeps at least one.",
        )
    if num_envs:
        others += ((task, num_envs),)
    return _following(stage, config, update, others=others)


def _refuse_path(task: str, config: RunConfig) -> None:
    """Refuse the path of a file, which may be another one when a run is resumed."""
    if task not in (config.task, *config.next_tasks) and (
        task.endswith((".yaml", ".yml")) or "/" in task
    ):
        raise UserError(
            f"{task[:200]} is a path; a run goes on with bundled tasks and its own only",
            "`websim tasks` lists them. Name a task file at the start, by --task or --next-task.",
        )


def in_words(stage: Stage) -> str:
    """Return what a stage's envs simulate."""
    counts = ((stage.task, stage.own_envs), *stage.others)
    return ", ".join(f"{count:,} of {task}" for task, count in counts)


def every_updates(steps: int, steps_per_update: int) -> int:
    """Return after how many updates about so many env steps are done; 0 for 0: never."""
    return max(1, round(steps / steps_per_update)) if steps else 0


def _following(stage: Stage, config: RunConfig, update: int, **changes: Any) -> Stage:  # noqa: ANN401
    named = msgspec.structs.replace(stage, n=stage.n + 1, first_update=update, **changes)
    ppo = _settings(config, named.task).scaled_to(named.num_envs, config.num_envs)
    per_update = named.num_envs * ppo.rollout_length
    at_first = config.num_envs * config.ppo.rollout_length

    def as_often(updates: int) -> int:
        return every_updates(updates * at_first, per_update)

    adapting = config.eval_every_updates_adapting
    return msgspec.structs.replace(
        named,
        ppo=ppo,
        eval_every_updates=as_often(config.eval_every_updates),
        eval_every_updates_adapting=None if adapting is None else as_often(adapting),
        checkpoint_every_updates=as_often(config.checkpoint_every_updates),
    )


def _settings(config: RunConfig, task: str) -> PPOSettings:
    """Return PPO's settings of a task for the envs that the run began with.

    What was chosen by hand for the first task holds for every task; the rest are the task's own.
    """
    if task == config.task:
        return config.ppo
    usual = defaults_of(config.task).ppo_for(config.num_envs)
    own, common = asdict(config.ppo), asdict(usual)
    chosen = {name: value for name, value in own.items() if value != common[name]}
    return replace(defaults_of(task).ppo_for(config.num_envs), **chosen)
