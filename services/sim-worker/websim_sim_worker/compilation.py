"""Compile a task: its document and overrides against its model, ready to be stepped in a shard.

In two halves, so that the trial of a foreign task can give up its powers between them: `prepare`
reads files but runs nothing of MuJoCo's, `compile_prepared` runs MuJoCo but reads nothing.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import mujoco

from websim.programs import Program, ProgramSchema
from websim.tasks import TaskBundle, TaskDocument, parse_task
from websim.tasks.document import Accumulate, Judge, Value
from websim.wire.messages import TaskInfo
from websim_sim_worker.description import describe_task
from websim_sim_worker.fields import (
    Constants,
    Field,
    ObservationPiece,
    compile_text,
    make_schema,
    resolve_fields,
    resolve_observation,
)
from websim_sim_worker.figure import Figure, make_figure
from websim_sim_worker.knobs import Knob, resolve_knobs
from websim_sim_worker.limits import check_actuators, check_info, check_limits
from websim_sim_worker.models import compile_model, model_source
from websim_sim_worker.parameters import Settings, merge_overrides
from websim_sim_worker.resets import ResetSampler, resolve_reset
from websim_sim_worker.selection import Selection


@dataclass(frozen=True)
class PreparedTask:
    """A parsed and checked task with the text of its model, before MuJoCo has seen it."""

    document: TaskDocument
    settings: Settings
    mjcf: str
    assets: Mapping[str, bytes]
    content_sha256: str


@dataclass(frozen=True)
class CompiledJudge:
    """A per-step program and how an episode accumulates it; `divisor` is 1 or the horizon."""

    program: Program
    accumulate: Accumulate
    divisor: float


@dataclass(frozen=True, eq=False)
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
    knobs: tuple[Knob, ...]
    figure: Figure
    """How its environments are drawn, many at a time."""

    @property
    def program_fields(self) -> frozenset[str]:
        """Fields that the task's own programs read."""
        programs = [self.reward, self.terminated, self.fitness.program]
        programs.append(self.success.program if self.success else None)
        return frozenset(name for p in programs if p is not None for name in p.fields)


def prepare(bundle: TaskBundle, overrides: Mapping[str, Value]) -> PreparedTask:
    """Parse a task, merge the overrides and get its model's text, checked if it is not ours.

    Raises:
        TaskError: One line: what is wrong with the task or an override, where, and the remedy.
    """
    document = parse_task(bundle)
    settings = merge_overrides(document, overrides)
    mjcf, assets = model_source(bundle, document, settings.parameters)
    digest = hashlib.sha256(bundle.task_yaml)
    for part in (mjcf.encode(), *(assets[name] for name in sorted(assets))):
        digest.update(hashlib.sha256(part).digest())
    return PreparedTask(document, settings, mjcf, assets, digest.hexdigest())


def compile_prepared(prepared: PreparedTask) -> CompiledTask:
    """Compile the model and everything that refers to it.

    Raises:
        TaskError: One line: what is wrong with the model or with what refers to it.
    """
    document, settings = prepared.document, prepared.settings
    where = document.model.file or document.id
    model = compile_model(prepared.mjcf, prepared.assets, where, document.knobs)
    check_limits(model, where)
    check_actuators(model, where)
    constants = _constants(model, settings)
    fields = resolve_fields(document, model, settings.parameters, constants)
    observation = resolve_observation(document, model, settings.parameters, fields)
    schema = _schema(fields, observation, model, constants)
    reward = compile_text(document.reward, schema, "reward")
    dt_s = model.opt.timestep * settings.frame_skip
    knobs = resolve_knobs(document.knobs, model, settings.parameters, dt_s)
    reset = resolve_reset(document.reset, model, settings.parameters)
    starts = model.qpos0 if reset.keyframe < 0 else model.key_qpos[reset.keyframe]
    figure = make_figure(model, starts)
    info = describe_task(prepared, model, fields, observation, reward, knobs, figure)
    check_info(info, document.id)
    ends = document.terminated
    return CompiledTask(
        info=info,
        model=model,
        frame_skip=settings.frame_skip,
        fields=fields,
        observation=observation,
        reset=reset,
        reward=reward,
        terminated=compile_text(ends, schema, "terminated") if ends else None,
        fitness=_judge(document.fitness, schema, "fitness", settings),
        success=_judge(document.success, schema, "success", settings) if document.success else None,
        offers_contact_forces=_offers_contact_forces(fields, observation),
        knobs=knobs,
        figure=figure,
    )


def _judge(
    judge: Judge, schema: ProgramSchema, kind: Literal["fitness", "success"], settings: Settings
) -> CompiledJudge:
    program = compile_text(judge.program, schema, kind)
    return CompiledJudge(
        program, judge.accumulate, float(settings.horizon) if judge.per_horizon else 1.0
    )


def _schema(
    fields: Mapping[str, Field],
    observation: tuple[ObservationPiece, ...],
    model: mujoco.MjModel,
    constants: Constants,
) -> ProgramSchema:
    obs_dim = sum(piece.width for piece in observation)
    columns = {name: field.columns for name, field in fields.items()}
    columns |= {"obs": obs_dim, "previous_obs": obs_dim, "previous_action": model.nu, "time_s": 0}
    return make_schema(columns, model.nu, constants)


def _constants(model: mujoco.MjModel, settings: Settings) -> Constants:
    constants: Constants = {
        "dt": model.opt.timestep * settings.frame_skip,
        "timestep": model.opt.timestep,
        "frame_skip": settings.frame_skip,
        "max_episode_steps": settings.horizon,
        "initial_qpos": tuple(model.qpos0.tolist()),
        "body_mass": tuple(model.body_mass.tolist()),
        "total_mass": float(model.body_mass.sum()),
        "gravity": tuple(model.opt.gravity.tolist()),
    }
    for name, value in settings.parameters.items():
        if not isinstance(value, str):
            constants[name] = value
    return constants


def _offers_contact_forces(
    fields: Mapping[str, Field], observation: tuple[ObservationPiece, ...]
) -> bool:
    """Whether the observation or a field reads cfrc_ext, which comes at a cost."""
    made_of = [field.made_of for field in fields.values()] + [piece.what for piece in observation]
    return any(isinstance(what, Selection) and what.array == "cfrc_ext" for what in made_of)
