"""Resolve a task's knobs against its model: which numbers of the model each one moves.

Called when a task is compiled. What becomes of them in a shard is in knob_state.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from websim.tasks import TaskError
from websim.tasks.document import KnobSpec, KnobTarget, PushTimes, Value
from websim.wire.messages import KnobInfo
from websim_sim_worker.selection import select_objects
from websim_sim_worker.terrain import terrain_levels

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

CONSTANT_INPUTS = frozenset({"opt.gravity", "body_mass", "body_inertia", "geom_dataid"})
"""Fields that others are derived from (mj_setConst), of those that a knob may move."""

_UNITS: dict[KnobTarget, str] = {
    "gravity": "m/s2",
    "mass": "kg",
    "damping": "N s/m or N m s/rad",
    "push": "N",
}
_GAINS = (mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtGain.mjGAIN_AFFINE)
_BIASES = (mujoco.mjtBias.mjBIAS_NONE, mujoco.mjtBias.mjBIAS_AFFINE)


@dataclass(frozen=True)
class Write:
    """Numbers of one model field, flattened: index (k,) becomes base (k,) times the knob's value.

    Where there are `levels` (m,), it becomes the one of `choices` (m,) whose level is nearest.
    `own` (k,) is what the model has, `nominal` the value that stands for it.
    """

    field: str
    index: Index
    base: Floats
    own: Floats
    nominal: float
    levels: Floats | None = None
    choices: Floats | None = None

    def numbers(self, values: Floats) -> Floats:
        """What to write (rows, k) where the knob has these values (rows,)."""
        if self.levels is not None and self.choices is not None:
            nearest = np.abs(values[:, None] - self.levels).argmin(axis=1)
            chosen: Floats = self.choices[nearest].reshape(-1, 1)
            return chosen
        numbers: Floats = self.base * values[:, None]
        # A nominal knob leaves the model's bits alone, however its base was rounded.
        numbers[values == self.nominal] = self.own
        return numbers


@dataclass(frozen=True)
class Push:
    """A force on a body, now and then. Times are in environment steps."""

    body: int
    period: int
    duration: int
    along: str


@dataclass(frozen=True)
class Knob:
    """A knob of a compiled task."""

    info: KnobInfo
    writes: tuple[Write, ...] = ()
    push: Push | None = None


def resolve_knobs(
    specs: Sequence[KnobSpec], model: mujoco.MjModel, parameters: Mapping[str, Value], dt_s: float
) -> tuple[Knob, ...]:
    """Resolve the knobs of a task file against its model.

    Raises:
        TaskError: A name is unknown, the model has nothing to move, or two knobs move the same.
    """
    about_terrain = [spec for spec in specs if spec.target == "terrain"]
    if len(about_terrain) > 1:
        raise TaskError("there is one knob for terrain at most", where=about_terrain[1].where)
    knobs = tuple(_resolve(spec, model, parameters, dt_s) for spec in specs)
    taken: dict[tuple[str, int], str] = {}
    for spec, knob in zip(specs, knobs, strict=True):
        places = [(w.field, i) for w in knob.writes for i in w.index.tolist()]
        places += [("push", knob.push.body)] if knob.push else []
        for place in places:
            if place in taken:
                raise TaskError(
                    f"the knobs {taken[place]} and {spec.name} both move {place[0]}",
                    where=spec.where,
                    remedy="select different objects, or leave one out",
                )
            taken[place] = spec.name
    return knobs


def _resolve(
    spec: KnobSpec, model: mujoco.MjModel, parameters: Mapping[str, Value], dt_s: float
) -> Knob:
    objects = None
    if spec.objects_kind is not None and spec.objects is not None:
        objects = select_objects(spec.objects_kind, spec.objects, model, parameters, spec.where)
    push, writes = None, tuple[Write, ...]()
    match spec.target:
        case "gravity":
            writes, own = _gravity(spec, model)
        case "mass":
            writes, own = _mass(spec, model, objects)
        case "friction":
            writes, own = _friction(spec, model, objects)
        case "damping":
            writes, own = _damping(spec, model, objects)
        case "actuator_strength":
            writes, own = _strength(spec, model, objects), 1.0
        case "terrain":
            writes, own = _terrain(spec, model, objects), 1.0
        case "push":
            push, own = _push(spec, spec.push, model, objects, dt_s), 0.0
    return Knob(_info(spec, own), writes, push)


def _info(spec: KnobSpec, own: float) -> KnobInfo:
    """The knob as clients see it; `own` is what the model has, in the knob's unit."""
    low, high = spec.range
    if spec.nominal is not None and spec.nominal != own:
        raise TaskError(
            f"nominal is {spec.nominal:g}, but the model has {own:g}",
            where=spec.where,
            remedy="leave nominal out, or change the model",
        )
    if not low <= own <= high:
        raise TaskError(
            f"the range [{low:g}, {high:g}] does not hold {own:g}, which is what the model has",
            where=spec.where,
        )
    ends = spec.hard if isinstance(spec.hard, tuple) else (min(own, spec.hard), max(own, spec.hard))
    unit = _UNITS.get(spec.target, "") if spec.kind == "set" else "x"
    return KnobInfo(
        name=spec.name,
        nominal=own,
        low=low,
        high=high,
        hard_low=ends[0],
        hard_high=ends[1],
        unit=spec.unit or unit,
        description=spec.description,
    )


def _scaled(field: str, index: Index, values: Floats) -> Write:
    """Numbers of the model times the knob's value."""
    return Write(field, index, values, values, 1.0)


def _gravity(spec: KnobSpec, model: mujoco.MjModel) -> tuple[tuple[Write, ...], float]:
    gravity, index = model.opt.gravity.copy(), np.arange(3)
    strength = float(np.linalg.norm(gravity))
    if spec.kind == "scale":
        if not strength:
            raise TaskError("the model has no gravity to scale", where=spec.where)
        return (_scaled("opt.gravity", index, gravity),), 1.0
    direction = gravity / strength if strength else np.array([0.0, 0.0, -1.0])
    return (Write("opt.gravity", index, direction, gravity, strength),), strength


def _mass(
    spec: KnobSpec, model: mujoco.MjModel, objects: list[int] | None
) -> tuple[tuple[Write, ...], float]:
    bodies = np.array(range(1, model.nbody) if objects is None else objects, np.intp)
    bodies = _having(spec, bodies, model.body_mass[bodies], "mass")
    mass, inertia = model.body_mass[bodies], model.body_inertia[bodies].ravel()
    index = (bodies[:, None] * 3 + np.arange(3)).ravel()
    if spec.kind == "scale":
        return (_scaled("body_mass", bodies, mass), _scaled("body_inertia", index, inertia)), 1.0
    own = _common(spec, mass, "mass")
    return (
        Write("body_mass", bodies, np.ones(len(bodies)), mass, own),
        Write("body_inertia", index, inertia / own, inertia, own),
    ), own


def _friction(
    spec: KnobSpec, model: mujoco.MjModel, objects: list[int] | None
) -> tuple[tuple[Write, ...], float]:
    geoms = np.array(range(model.ngeom) if objects is None else objects, np.intp)
    # An explicit contact pair has a friction of its own, in both tangential directions.
    pairs = np.arange(model.npair if objects is None else 0)
    places = (
        ("geom_friction", geoms * 3, model.geom_friction[geoms, 0]),
        ("pair_friction", (pairs[:, None] * 5 + [0, 1]).ravel(), model.pair_friction[pairs, :2]),
    )
    found = [(field, index, values.ravel()) for field, index, values in places if len(index)]
    if not found:
        raise TaskError("the model has no geoms whose friction could change", where=spec.where)
    if spec.kind == "scale":
        return tuple(_scaled(*each) for each in found), 1.0
    own = _common(spec, np.concatenate([values for _, _, values in found]), "friction")
    return tuple(
        Write(field, index, np.ones(len(index)), values, own) for field, index, values in found
    ), own


def _damping(
    spec: KnobSpec, model: mujoco.MjModel, objects: list[int] | None
) -> tuple[tuple[Write, ...], float]:
    joints = range(model.njnt) if objects is None else objects
    dofs = np.flatnonzero(np.isin(model.dof_jntid, list(joints)))
    damping = model.dof_damping[dofs]
    if spec.kind == "set":
        own = _common(spec, damping, "damping")
        return (Write("dof_damping", dofs, np.ones(len(dofs)), damping, own),), own
    dofs = _having(spec, dofs, damping, "damping")
    return (_scaled("dof_damping", dofs, model.dof_damping[dofs]),), 1.0


def _strength(
    spec: KnobSpec, model: mujoco.MjModel, objects: list[int] | None
) -> tuple[Write, ...]:
    """Scale an actuator's force: gain, bias and the limits of the force are all linear in it."""
    actuators = np.array(range(model.nu) if objects is None else objects, np.intp)
    columns = []
    for i in actuators.tolist():
        gain, bias = int(model.actuator_gaintype[i]), int(model.actuator_biastype[i])
        is_muscle = gain == mujoco.mjtGain.mjGAIN_MUSCLE and bias == mujoco.mjtBias.mjBIAS_MUSCLE
        if not is_muscle and not (gain in _GAINS and bias in _BIASES):
            raise TaskError(
                f"actuator {i} is of a type whose strength is not known",
                where=spec.where,
                remedy="select the others by actuator",
            )
        # A muscle's peak force is prm[2], or prm[3] by its acceleration where that is negative.
        columns.append([2, 3] if is_muscle else [0, 1, 2])
    width = model.actuator_gainprm.shape[1]
    pairs = zip(actuators.tolist(), columns, strict=True)
    index = np.array([i * width + column for i, own in pairs for column in own], np.intp)
    limits = (actuators[:, None] * 2 + np.arange(2)).ravel()
    return (
        _scaled("actuator_gainprm", index, model.actuator_gainprm.ravel()[index]),
        _scaled("actuator_biasprm", index, model.actuator_biasprm.ravel()[index]),
        _scaled("actuator_forcerange", limits, model.actuator_forcerange.ravel()[limits]),
    )


def _terrain(spec: KnobSpec, model: mujoco.MjModel, objects: list[int] | None) -> tuple[Write, ...]:
    is_field = model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD
    geoms = np.flatnonzero(is_field) if objects is None else np.array(objects, np.intp)
    if not len(geoms) or not is_field[geoms].all():
        raise TaskError("terrain is about geoms with a height field", where=spec.where)
    writes = []
    for geom in geoms.tolist():
        levels, choices = terrain_levels(model, int(model.geom_dataid[geom]), spec.range)
        place = np.array([geom], np.intp)
        writes.append(Write("geom_dataid", place, choices[:1], choices[:1], 1.0, levels, choices))
    return tuple(writes)


def _push(
    spec: KnobSpec, times: PushTimes, model: mujoco.MjModel, objects: list[int] | None, dt_s: float
) -> Push:
    bodies = [1] if objects is None else objects
    if len(bodies) != 1 or not 0 < bodies[0] < model.nbody:
        raise TaskError("a push is about one body, and not the world", where=spec.where)
    duration = max(1, round(times.duration_s / dt_s))
    period = max(duration + 1, round(times.period_s / dt_s))
    return Push(bodies[0], period, duration, times.along)


def _having(spec: KnobSpec, objects: Index, values: Floats, what: str) -> Index:
    """Of the objects those that have some of it: nothing times anything is nothing."""
    having: Index = objects[values > 0.0]
    if not len(having):
        raise TaskError(f"nothing selected has any {what} to scale", where=spec.where)
    return having


def _common(spec: KnobSpec, values: Floats, what: str) -> float:
    if not len(values) or np.ptp(values) > 0.0:
        raise TaskError(
            f"the selected objects differ in {what}, so one number is not nominal for all",
            where=spec.where,
            remedy="use kind: scale, or select objects that are alike",
        )
    return float(values[0])
