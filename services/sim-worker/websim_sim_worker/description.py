"""Describe a compiled task as clients, learners and people get it: a TaskInfo."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from websim.programs import Program
from websim.programs.spell_out import spell_out
from websim.tasks import AUTOMATIC_FIELDS
from websim.wire.messages import FieldInfo, FigureInfo, TaskInfo
from websim_sim_worker.fields import Field, ObservationPiece
from websim_sim_worker.figure import Figure
from websim_sim_worker.knobs import Knob
from websim_sim_worker.selection import object_name

if TYPE_CHECKING:
    from websim_sim_worker.compilation import PreparedTask

_AUTOMATIC_DESCRIPTIONS = {
    "obs": ("", "what the policy sees where the action led"),
    "previous_obs": ("", "what the policy saw when it acted"),
    "previous_action": ("", "the action of the step before; zero on an episode's first"),
    "time_s": ("s", "simulated time since the episode began"),
}


def describe_task(
    prepared: "PreparedTask",
    model: mujoco.MjModel,
    fields: Mapping[str, Field],
    observation: tuple[ObservationPiece, ...],
    reward: Program,
    knobs: tuple[Knob, ...],
    figure: Figure,
) -> TaskInfo:
    """Return what there is to know about a task without its model."""
    document, settings = prepared.document, prepared.settings
    labels = tuple(label for piece in observation for label in piece.labels)
    low, high = _action_bounds(model)
    return TaskInfo(
        id=document.id,
        description=document.description,
        obs_dim=len(labels),
        action_low=low,
        action_high=high,
        dt_s=model.opt.timestep * settings.frame_skip,
        max_episode_steps=settings.horizon,
        obs_names=labels,
        action_names=_action_names(model),
        fields=_field_infos(fields, len(labels), model.nu),
        reward_components=reward.components,
        reward_source=spell_out(reward.source, reward.schema.constants),
        fitness_unit=document.fitness.unit,
        fitness_description=document.fitness.description,
        has_success=document.success is not None,
        parameters=dict(settings.parameters),
        content_sha256=prepared.content_sha256,
        knobs=tuple(knob.info for knob in knobs),
        figure=_figure_info(figure, model),
    )


def _action_bounds(model: mujoco.MjModel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # The action space is float32, as Gymnasium's: the bounds are what float32 can hold.
    low, high = model.actuator_ctrlrange.astype(np.float32).astype(np.float64).T
    return tuple(low.tolist()), tuple(high.tolist())


def _action_names(model: mujoco.MjModel) -> tuple[str, ...]:
    def name(index: int) -> str:
        own = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, index)
        joints = (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT))
        if own or int(model.actuator_trntype[index]) not in joints:
            return own or object_name(model, "actuator", index)
        return object_name(model, "joint", int(model.actuator_trnid[index, 0]))

    return tuple(name(index) for index in range(model.nu))


def _figure_info(figure: Figure, model: mujoco.MjModel) -> FigureInfo:
    return FigureInfo(
        plane=figure.plane,
        k=len(figure.names),
        bones=figure.bones,
        bone_radii_m=tuple(round(radius, 5) for radius in figure.radii),
        scale_m=figure.scale_m,
        view_m=figure.view,
        ground_z_m=_ground(model),
        stands_still=figure.root == 0,
    )


def _ground(model: mujoco.MjModel) -> float | None:
    """Height of the highest level plane of the world, or None where there is none."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    planes = model.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE)
    level = planes & (model.geom_bodyid == 0) & (data.geom_xmat[:, 8] > 0.999)
    return max(data.geom_xpos[level, 2].tolist(), default=None)


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
