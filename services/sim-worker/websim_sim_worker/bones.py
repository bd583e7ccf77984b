"""Bodies as bones: thick lines that are as long and as thick as their shapes are."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CAPSULE, _CYLINDER = int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER)
_MESH = int(mujoco.mjtGeom.mjGEOM_MESH)
_ENDLESS = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))
_VISIBLE_ALPHA = 0.05
_DEFAULT_RGBA = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
_SHOWN_GROUPS = 3
"""Geoms of groups below are for the eye, those above for collisions, as MuJoCo's viewers have it"""


@dataclass(frozen=True)
class Bone:
    """A thick line, fixed to a body; of length zero it is a dot. Metres, in the body's frame."""

    body: int
    start: Floats
    end: Floats
    radius: float

    @property
    def size(self) -> float:
        """How much of the picture it takes."""
        return float(np.linalg.norm(self.end - self.start)) + 2.0 * self.radius


def bones_of(model: mujoco.MjModel, bodies: Iterable[int]) -> Iterator[Bone]:
    """Yield the bones of bodies."""
    for body in bodies:
        first, count = int(model.body_geomadr[body]), int(model.body_geomnum[body])
        geoms = [g for g in range(first, first + count) if _is_shown(model, g)]
        if any(model.geom_type[g] == _MESH for g in geoms):
            # A robot of meshes has many a body, a part of it for each colour: one bone for all.
            yield _bone_of_body(model, body, geoms)
        elif geoms:
            yield from (_bone_of_geom(model, geom) for geom in geoms)
        elif body:
            yield from _links(model, body)


def _is_shown(model: mujoco.MjModel, geom: int) -> bool:
    return bool(
        model.geom_type[geom] not in _ENDLESS
        and model.geom_group[geom] < _SHOWN_GROUPS
        and geom_rgba(model, geom)[3] >= _VISIBLE_ALPHA
    )


def geom_rgba(model: mujoco.MjModel, geom: int) -> npt.NDArray[np.float32]:
    """A geom's colour (4,), as MuJoCo's viewers have it: its own where that is not the default."""
    own, material = model.geom_rgba[geom], int(model.geom_matid[geom])
    colour = model.mat_rgba[material] if material >= 0 and (own == _DEFAULT_RGBA).all() else own
    return np.asarray(colour)


def _bone_of_geom(model: mujoco.MjModel, geom: int) -> Bone:
    """The line along a geom's longest side, between the centres of its rounded ends."""
    size, body = model.geom_size[geom], int(model.geom_bodyid[geom])
    turn, place = _turn(model, geom), model.geom_pos[geom]
    if model.geom_type[geom] in (_CAPSULE, _CYLINDER):
        radius, length = float(size[0]), float(size[1])
        if model.geom_type[geom] == _CYLINDER:
            length = max(0.0, length - radius)
        arm = turn[:, 2] * length
        return Bone(body, place - arm, place + arm, radius)
    # MuJoCo turns the frame of a mesh so that the box around it lies along its principal axes.
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    return _bone_of_box(body, place + turn @ centre, turn, half)


def _bone_of_body(model: mujoco.MjModel, body: int, geoms: list[int]) -> Bone:
    """The line along the longest side of what a body's geoms are together."""
    if len(geoms) == 1:
        return _bone_of_geom(model, geoms[0])
    sides = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    corners = np.concatenate(
        [
            model.geom_pos[geom]
            + (model.geom_aabb[geom, :3] + sides * model.geom_aabb[geom, 3:]) @ _turn(model, geom).T
            for geom in geoms
        ]
    )
    axes = np.linalg.eigh(np.cov(corners.T))[1]
    along = corners @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    return _bone_of_box(body, axes @ (0.5 * (low + high)), axes, 0.5 * (high - low))


def _bone_of_box(body: int, centre: Floats, axes: Floats, half: Floats) -> Bone:
    """The line along the longest side of a box whose axes are columns, half its sides `half`."""
    axis = int(half.argmax())
    radius = float(np.delete(half, axis).mean())
    arm = axes[:, axis] * max(0.0, float(half[axis]) - radius)
    return Bone(body, centre - arm, centre + arm, radius)


def _turn(model: mujoco.MjModel, geom: int) -> Floats:
    """From a geom's frame to its body's, (3, 3)."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    return rotation.reshape(3, 3)


def _links(model: mujoco.MjModel, body: int) -> Iterator[Bone]:
    """Lines from a body's origin to its children's, for what has no shape of its own."""
    for child in range(body + 1, model.nbody):
        if model.body_parentid[child] == body:
            offset = model.body_pos[child].copy()
            yield Bone(body, np.zeros(3), offset, 0.1 * float(np.linalg.norm(offset)))
