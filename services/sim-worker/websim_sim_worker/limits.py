"""What a compiled model may be before it is stepped for other people: checked after compilation."""

import msgspec
import mujoco
import numpy as np

from websim.tasks import TaskError
from websim.wire.codec import MAX_TASK_INFO_BYTES
from websim.wire.messages import TaskInfo
from websim_sim_worker.terrain import LEVELS

TIMESTEP_RANGE_S = (1e-4, 0.05)
MAX_SOLVER_ITERATIONS = 200
MAX_COUNTS = {
    "nbody": 300,
    "ngeom": 1_000,
    "nq": 600,
    "nv": 600,
    "nu": 100,
    "na": 200,
    "nsite": 1_000,
    "nmocap": 100,
    "ntendon": 300,
    "neq": 300,
    "nflexvert": 1_000,
    "nmeshvert": 200_000,
    "nhfielddata": 250_000 * (1 + LEVELS),
    "nsensordata": 2_000,
    "nuserdata": 10_000,
    "nhistory": 20_000,
    "nkey": 1_000,
}
"""Largest sizes of a model, by the name MuJoCo gives them."""
_FINITE = (
    "qpos0",
    "body_mass",
    "body_inertia",
    "body_pos",
    "dof_damping",
    "dof_armature",
    "jnt_stiffness",
    "geom_size",
    "actuator_gear",
    "actuator_ctrlrange",
    "actuator_gainprm",
    "actuator_biasprm",
    "key_qpos",
)
_FINITE_OPTIONS = ("gravity", "wind", "magnetic", "density", "viscosity", "impratio", "tolerance")


def check_limits(model: mujoco.MjModel, where: str) -> None:
    """Raise TaskError for the first limit that `model` passes."""
    low, high = TIMESTEP_RANGE_S
    if not low <= model.opt.timestep <= high:
        raise TaskError(
            f"the timestep is {model.opt.timestep} s; it must be from {low} to {high} s",
            where=where,
        )
    for option in ("iterations", "ls_iterations", "noslip_iterations", "ccd_iterations"):
        if getattr(model.opt, option) > MAX_SOLVER_ITERATIONS:
            raise TaskError(f"{option} is above {MAX_SOLVER_ITERATIONS}", where=where)
    for size, most in MAX_COUNTS.items():
        if (count := int(getattr(model, size, 0))) > most:
            raise TaskError(f"{size} is {count}; at most {most}", where=where)
    finite = [(f"option {name}", getattr(model.opt, name)) for name in _FINITE_OPTIONS]
    for name, values in [*finite, *((name, getattr(model, name)) for name in _FINITE)]:
        if not np.isfinite(values).all():
            raise TaskError(f"{name} holds a number that is not finite", where=where)


def check_info(info: TaskInfo, where: str) -> None:
    """Raise TaskError if the description of a task, its parameters' values too, cannot travel."""
    size = len(msgspec.msgpack.encode(info))
    if size > MAX_TASK_INFO_BYTES:
        raise TaskError(
            f"names, descriptions, programs and parameters take {size} bytes; at most "
            f"{MAX_TASK_INFO_BYTES}",
            where=where,
        )


def check_actuators(model: mujoco.MjModel, where: str) -> None:
    """Raise TaskError unless there are actuators and each has a control range."""
    if model.nu == 0:
        raise TaskError("the model has no actuators, so there is nothing to learn", where=where)
    limited = model.actuator_ctrllimited.astype(bool)
    if not limited.all():
        index = int(np.flatnonzero(~limited)[0])
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, index) or index
        raise TaskError(
            f"the actuator {name} has no control range", where=where, remedy='add ctrlrange="-1 1"'
        )
