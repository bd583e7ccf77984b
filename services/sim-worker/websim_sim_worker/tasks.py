"""Compile a task: its document and overrides against its model, ready to be stepped in a shard.

Called by the worker for every shard it is assigned, and by the commands for people.
"""

import difflib
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import mujoco
import numpy as np

from websim.programs import Program, ProgramSchema
from websim.tasks import AUTOMATIC_FIELDS, TaskBundle, TaskError, parse_task
from websim.tasks.document import Accumulate, Value
from websim.wire.messages import FieldInfo, TaskInfo
from websim_sim_worker.fields import (
    Constants,
    Field,
    ObservationPiece,
    compile_text,
    resolve_fields,
    resolve_observation,
)
from websim_sim_worker.limits import check_actuators
from websim_sim_worker.models import compile_model, model_source
from websim_sim_worker.parameters import merge_overrides
from websim_sim_worker.resets import ResetSampler, resolve_reset
from websim_sim_worker.selection import Selection, object_name
from websim_sim_worker.vetting import vet

_AUTOMATIC_DESCRIPTIONS = {
    "obs": ("", "what the policy sees where the action led"),
    "previous_obs": ("", "what the policy saw when it acted"),
    "previous_action": ("", "the action of the step before; zero on an episode's first"),
    "time_s": ("s", "simulated time since the episode began"),
}


@dataclass(frozen=True)
class CompiledJudge:
    """A per-step program and how an episode accumulates it; `divisor` is 1 or the horizon."""

    program: Program
    accumulate: Accumulate
    divisor: float


@dataclass(frozen=True)
class CompiledTask:
    """All a shard needs. Immutable; shards may share it."""

    info: TaskInfo
    model: mujoco.MjModel
    frame_skip: int
    fields: Mapping[str, Field]
    observation: tuple[ObservationPiece, ...]
    reset: ResetSampler
    reward: Program
    terminated: Program | None
    fitness: CompiledJudge
    success: CompiledJudge | None
    offers_contact_forces: bool

    @property
    def program_fields(self) -> frozenset[str]:
        """Fields that the task's own programs read."""
        programs = [self.reward, self.terminated, self.fitness.program]
        programs.append(self.success.program if self.success else None)
        return frozenset(name for p in programs if p is not None for name in p.fields)


def bundled_names() -> tuple[str, ...]:
    """Names of the tasks that come with the worker, sorted."""
    folder = files("websim_sim_worker").joinpath("bundled")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml")))


@functools.cache
def bundled(name: str) -> TaskBundle:
    """The bundled task of that name.

    Raises:
        TaskError: There is none; the message lists close matches.
    """
    names = bundled_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3)
        guess = f"did you mean {' or '.join(close)}? " if close else ""
        remedy = f"{guess}`websim tasks` lists {', '.join(names)}; or name a task file by its path"
        raise TaskError(f"unknown task {name!r}", remedy=remedy)
    source = files("websim_sim_worker").joinpath("bundled", f"{name}.yaml").read_bytes()
    return TaskBundle(name=name, task_yaml=source)


def compile_task(bundle: TaskBundle, overrides: Mapping[str, Value] | None = None) -> CompiledTask:
    """Compile a task under parameter overrides; one that is not ours is tried in a child first.

    Raises:
        TaskError: One line: what is wrong with the task or an override, where, and the remedy.
    """
    if not _is_bundled(bundle):
        # What needs no engine is said without waiting for a child.
        merge_overrides(parse_task(bundle), overrides or {})
        vet(bundle, overrides or {})
    return compile_trusted(bundle, overrides)


def _is_bundled(bundle: TaskBundle) -> bool:
    if bundle.files or bundle.name not in bundled_names():
        return False
    return bundle.task_yaml == bundled(bundle.name).task_yaml


def compile_trusted(
    bundle: TaskBundle, overrides: Mapping[str, Value] | None = None
) -> CompiledTask:
    """Compile a task in this process, however large it is: see `compile_task`."""
    document = parse_task(bundle)
    settings = merge_overrides(document, overrides or {})
    mjcf, assets = model_source(bundle, document, settings.parameters)
    model = compile_model(mjcf, assets, document.model.file or document.id)
    check_actuators(model, document.model.file or document.id)
    constants = _constants(model, settings.parameters, settings.frame_skip, settings.horizon)
    fields = resolve_fields(document, model, settings.parameters, constants)
    observation = resolve_observation(document, model, settings.parameters, fields)
    obs_dim = sum(piece.width for piece in observation)
    schema = ProgramSchema(
        fields={name: field.columns for name, field in fields.items()}
        | {"obs": obs_dim, "previous_obs": obs_dim, "previous_action": model.nu, "time_s": 0},
        action_dim=model.nu,
        constants=constants,
    )
    reward = compile_text(document.reward.source, schema, "reward", document.reward.where)
    ends = document.terminated
    judge = document.fitness
    fitness = CompiledJudge(
        compile_text(judge.program.source, schema, "fitness", judge.program.where),
        judge.accumulate,
        float(settings.horizon) if judge.per_horizon else 1.0,
    )
    success = None
    if (aim := document.success) is not None:
        success = CompiledJudge(
            compile_text(aim.program.source, schema, "success", aim.program.where),
            aim.accumulate,
            float(settings.horizon) if aim.per_horizon else 1.0,
        )
    terminated = compile_text(ends.source, schema, "terminated", ends.where) if ends else None
    digest = hashlib.sha256(bundle.task_yaml)
    for part in (mjcf.encode(), *(assets[name] for name in sorted(assets))):
        digest.update(hashlib.sha256(part).digest())
    low, high = _action_bounds(model)
    info = TaskInfo(
        id=document.id,
        description=document.description,
        obs_dim=obs_dim,
        action_low=low,
        action_high=high,
        dt_s=model.opt.timestep * settings.frame_skip,
        max_episode_steps=settings.horizon,
        obs_names=tuple(label for piece in observation for label in piece.labels),
        action_names=_action_names(model),
        fields=_field_infos(fields, obs_dim, model.nu),
        reward_components=reward.components,
        reward_source=document.reward.source,
        fitness_unit=judge.unit,
        fitness_description=judge.description,
        has_success=success is not None,
        parameters=dict(settings.parameters),
        content_sha256=digest.hexdigest(),
    )
    return CompiledTask(
        info=info,
        model=model,
        frame_skip=settings.frame_skip,
        fields=fields,
        observation=observation,
        reset=resolve_reset(document.reset, model, settings.parameters),
        reward=reward,
        terminated=terminated,
        fitness=fitness,
        success=success,
        offers_contact_forces=_offers_contact_forces(fields, observation),
    )


def _constants(
    model: mujoco.MjModel, parameters: Mapping[str, Value], frame_skip: int, horizon: int
) -> Constants:
    constants: Constants = {
        "dt": model.opt.timestep * frame_skip,
        "timestep": model.opt.timestep,
        "frame_skip": frame_skip,
        "max_episode_steps": horizon,
        "initial_qpos": tuple(model.qpos0.tolist()),
        "body_mass": tuple(model.body_mass.tolist()),
        "total_mass": float(model.body_mass.sum()),
        "gravity": tuple(model.opt.gravity.tolist()),
    }
    for name, value in parameters.items():
        if not isinstance(value, str):
            constants[name] = value
    return constants


def _action_bounds(model: mujoco.MjModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    limited = model.actuator_ctrllimited.astype(bool)
    bounds = np.where(limited[:, None], model.actuator_ctrlrange, (-np.inf, np.inf))
    # The action space is float32, as Gymnasium's: the bounds are what float32 can hold.
    low, high = bounds.astype(np.float32).astype(np.float64).T
    return tuple(low.tolist()), tuple(high.tolist())


def _action_names(model: mujoco.MjModel) -> tuple[str, ...]:
    def name(index: int) -> str:
        own = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, index)
        joints = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
        if own or int(model.actuator_trntype[index]) not in joints:
            return own or object_name(model, "actuator", index)
        return object_name(model, "joint", int(model.actuator_trnid[index, 0]))

    return tuple(name(index) for index in range(model.nu))


def _field_infos(fields: Mapping[str, Field], obs_dim: int, nu: int) -> tuple[FieldInfo, ...]:
    own = [
        FieldInfo(name=f.name, columns=f.columns, unit=f.unit, description=f.description)
        for f in fields.values()
    ]
    columns = {"obs": obs_dim, "previous_obs": obs_dim, "previous_action": nu, "time_s": 0}
    automatic = [
        FieldInfo(name, columns[name], *_AUTOMATIC_DESCRIPTIONS[name]) for name in AUTOMATIC_FIELDS
    ]
    return (*own, *automatic)


def _offers_contact_forces(
    fields: Mapping[str, Field], observation: tuple[ObservationPiece, ...]
) -> bool:
    """Whether the observation or a field reads cfrc_ext, which comes at a cost."""
    made_of = [field.made_of for field in fields.values()] + [piece.what for piece in observation]
    return any(isinstance(what, Selection) and what.array == "cfrc_ext" for what in made_of)
