"""A task's environments as stick figures: key points and bones, taken from its model alone.

Made once for a task, for whoever looks at many environments at a time. A point is fixed to a body,
so its place is linear in that body's position and rotation: two matrix products give the points of
a whole shard (see watching.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
import numpy.typing as npt

from websim_sim_worker.bones import Bone, bones_of
from websim_sim_worker.selection import object_name

Floats = npt.NDArray[np.float64]
Plane = Literal["xz", "xy", "yz"]

MAX_POINTS = 24
"""Bound of a figure's points: what is smallest is left out."""
STEPS_ACROSS = 2048
"""Units of the int16 coordinates across the figure's picture, which may be left sixteen times."""
OBLIQUE = (0.35, 0.2)
"""How far right and up a metre away from the viewer is drawn, where a robot moves in all three."""
_UPRIGHT = 1.3
"""Height of a robot that stands, as a multiple of how far it reaches from its root."""
_SAMPLES = 64
_NEGLIGIBLE = 1e-3
"""Share of the largest variance below which an axis is not one that a robot moves along."""

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)


@dataclass(frozen=True)
class Figure:
    """What is drawn of an environment of p points.

    Attributes:
        plane: The picture's axes: which one is right, which is up.
        bones: Pairs of points; a pair of one point is a dot.
        radii: Half the thickness of each bone, m.
        names: The points' names.
        bodies: (p,) the body each point is fixed to.
        local: (p, 3) where, in its frame, m.
        projection: (2, 3) from the world's axes to the picture's right and up.
        root: The body that the picture follows, or 0 where it stands still.
        view: Left, bottom, right and top of a picture that holds it, m, relative to the root.
    """

    plane: Plane
    bones: tuple[tuple[int, int], ...]
    radii: tuple[float, ...]
    names: tuple[str, ...]
    bodies: npt.NDArray[np.intp]
    local: Floats
    projection: Floats
    root: int
    view: tuple[float, float, float, float]

    @property
    def extent_m(self) -> float:
        """The larger of the picture's width and height."""
        left, bottom, right, top = self.view
        return max(right - left, top - bottom)

    @property
    def scale_m(self) -> float:
        """Metres per unit of the coordinates that travel."""
        return self.extent_m / STEPS_ACROSS


def make_figure(model: mujoco.MjModel, qpos: Floats) -> Figure:
    """Derive a figure from a model.

    Args:
        model: Any model.
        qpos: (nq,) where episodes begin, but for noise.
    """
    root = _root(model)
    still = _stands_still(model, root)
    poses = _Poses(model, qpos, root, still)
    bones = list(bones_of(model, range(1, model.nbody)))
    if still:
        bones += bones_of(model, [0])
    points = _Points(poses)
    points.take(sorted(bones, key=lambda bone: bone.size, reverse=True))
    points.join()
    plane, projection = _plane(model, poses, points)
    root = 0 if still else root
    return Figure(
        plane=plane,
        bones=tuple(points.bones),
        radii=tuple(points.radii),
        names=_names(model, points.bodies),
        bodies=np.array(points.bodies, np.intp),
        local=np.array(points.local).reshape(-1, 3),
        projection=projection,
        root=root,
        view=_view(poses, points, projection, plane, root),
    )


# --- where a robot can be


def _root(model: mujoco.MjModel) -> int:
    """The body on the world that carries the most of what moves; 0 where nothing does."""
    on_world = [
        body
        for body in range(1, model.nbody)
        if model.body_parentid[body] == 0 and (model.body_rootid[model.jnt_bodyid] == body).any()
    ]

    def weight(body: int) -> tuple[int, float]:
        joints = int((model.body_rootid[model.jnt_bodyid] == body).sum())
        return joints, float(model.body_subtreemass[body])

    return max(on_world, key=weight, default=0)


def _joints_of(model: mujoco.MjModel, body: int) -> range:
    first, count = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    return range(first, first + count) if count else range(0)


def _stands_still(model: mujoco.MjModel, root: int) -> bool:
    """Whether the robot is bolted down, or on a rail with an end."""
    for joint in _joints_of(model, root):
        kind = model.jnt_type[joint]
        endless = kind == _SLIDE and not model.jnt_limited[joint]
        if endless or kind == _FREE:
            return False
    return True


class _Poses:
    """Positions and rotations of all bodies in sampled configurations; the first is the initial.

    `moved` has every joint sampled; in `posed` it is the robot's own joints, and one that can go
    somewhere keeps its place.
    """

    def __init__(self, model: mujoco.MjModel, qpos: Floats, root: int, still: bool) -> None:
        self.model = model
        self._data = mujoco.MjData(model)
        self._random = np.random.default_rng(0)
        own = np.flatnonzero(model.body_rootid[model.jnt_bodyid] == root).tolist()
        kept = () if still else _joints_of(model, root)
        self.moved = self._sample(qpos, list(range(model.njnt)))
        self.posed = self._sample(qpos, [joint for joint in own if joint not in kept])

    def _sample(self, qpos: Floats, joints: list[int]) -> tuple[Floats, Floats]:
        """Return xpos (s, nbody, 3) and xmat (s, nbody, 3, 3)."""
        places, turns = [], []
        for index in range(_SAMPLES):
            self._data.qpos[:] = qpos
            for joint in joints if index else []:
                self._draw(joint)
            mujoco.mj_kinematics(self.model, self._data)
            places.append(self._data.xpos.copy())
            turns.append(self._data.xmat.reshape(-1, 3, 3).copy())
        return np.stack(places), np.stack(turns)

    def _draw(self, joint: int) -> None:
        model, random, kind = self.model, self._random, self.model.jnt_type[joint]
        at = int(model.jnt_qposadr[joint])
        low, high = model.jnt_range[joint]
        if kind == _FREE:
            self._data.qpos[at : at + 3] += random.uniform(-1.0, 1.0, 3)
            at += 3
        if kind in (_FREE, _BALL):
            quat = random.normal(size=4)
            self._data.qpos[at : at + 4] = quat / np.linalg.norm(quat)
            return
        if not model.jnt_limited[joint]:
            low, high = (-1.0, 1.0) if kind == _SLIDE else (-np.pi, np.pi)
        self._data.qpos[at] = random.uniform(low, high)


class _Points:
    """The points of the bones taken so far; ends that always coincide are one point."""

    def __init__(self, poses: _Poses) -> None:
        self._poses = poses
        self._paths: list[Floats] = []
        self._radii: list[float] = []
        self.bodies: list[int] = []
        self.local: list[Floats] = []
        self.bones: list[tuple[int, int]] = []
        self.radii: list[float] = []

    def take(self, bones: Iterable[Bone]) -> None:
        """Take the bones in this order, as long as there are points for them."""
        for bone in bones:
            ends = [self._find(bone, bone.start), self._find(bone, bone.end)]
            dot = bool(np.array_equal(bone.start, bone.end))
            needed = sum(end is None for end in (ends[:1] if dot else ends))
            if len(self.bodies) + needed > MAX_POINTS:
                return
            first = self._add(bone, bone.start) if ends[0] is None else ends[0]
            last = first
            if not dot:
                last = self._add(bone, bone.end) if ends[1] is None else ends[1]
            if (first, last) not in self.bones and (last, first) not in self.bones:
                self.bones.append((first, last))
                self.radii.append(bone.radius)

    def join(self) -> None:
        """Draw thin lines where the parts of a robot do not touch: the shortest there are."""
        if not self.bodies:
            return
        places = self.at(self._poses.posed)
        gaps = np.linalg.norm(places[:, :, None] - places[:, None], axis=3).max(axis=0)
        robot = self._poses.model.body_rootid[self.bodies]
        part = np.arange(len(robot))
        for start, end in self.bones:
            part[part == part[end]] = part[start]
        while True:
            apart = (part[:, None] != part) & (robot[:, None] == robot) & (robot > 0)
            if not apart.any():
                return
            shortest = np.where(apart, gaps, np.inf).argmin()
            start, end = map(int, np.unravel_index(shortest, gaps.shape))
            self.bones.append((start, end))
            self.radii.append(0.5 * min(self._radii[start], self._radii[end]))
            part[part == part[end]] = part[start]

    def thickness(self) -> Floats:
        """Half the thickness of the thickest bone that ends at each point, m, (p,)."""
        thickness = np.zeros(len(self.bodies))
        for bone, radius in zip(self.bones, self.radii, strict=True):
            np.maximum.at(thickness, list(bone), radius)
        return thickness

    def at(self, sample: tuple[Floats, Floats]) -> Floats:
        """Places of all points in sampled configurations, (s, p, 3)."""
        places, turns = sample
        local = np.array(self.local).reshape(-1, 3)
        bodies = np.array(self.bodies, np.intp)
        at: Floats = places[:, bodies] + np.einsum("spij,pj->spi", turns[:, bodies], local)
        return at

    def _path(self, bone: Bone, end: Floats) -> Floats:
        places, turns = self._poses.posed
        path: Floats = places[:, bone.body] + turns[:, bone.body] @ end
        return path

    def _find(self, bone: Bone, end: Floats) -> int | None:
        path = self._path(bone, end)
        for index, (other, radius) in enumerate(zip(self._paths, self._radii, strict=True)):
            near = max(radius, bone.radius)
            if np.linalg.norm(path - other, axis=1).max() <= near:
                return index
        return None

    def _add(self, bone: Bone, end: Floats) -> int:
        self._paths.append(self._path(bone, end))
        self._radii.append(bone.radius)
        self.bodies.append(bone.body)
        self.local.append(end)
        return len(self.bodies) - 1


def _names(model: mujoco.MjModel, bodies: list[int]) -> tuple[str, ...]:
    names: list[str] = []
    for index, body in enumerate(bodies):
        count = bodies[:index].count(body)
        name = object_name(model, "body", body)
        names.append(f"{name} {count + 1}" if bodies.count(body) > 1 else name)
    return tuple(names)


# --- the picture


def _plane(model: mujoco.MjModel, poses: _Poses, points: _Points) -> tuple[Plane, Floats]:
    """The plane that a robot moves in; from the side where it moves in all three directions."""
    x, y, z = np.eye(3)
    spread = points.at(poses.moved).var(axis=0).sum(axis=0) if points.bodies else np.ones(3)
    flat = spread <= _NEGLIGIBLE * spread.max()
    if flat[2] or not model.opt.gravity.any():
        return "xy", np.stack([x, y])
    if flat[1]:
        return "xz", np.stack([x, z])
    if flat[0]:
        return "yz", np.stack([y, z])
    right, up = OBLIQUE
    return "xz", np.stack([x + right * y, z + up * y])


def _view(
    poses: _Poses, points: _Points, projection: Floats, plane: Plane, root: int
) -> tuple[float, float, float, float]:
    """A picture in which the robot can move its joints and, if it can go somewhere, fall over."""
    if not points.bodies:
        return (-1.0, -1.0, 1.0, 1.0)
    places = points.at(poses.posed)
    thick = points.thickness()
    if root == 0:
        picture = places @ projection.T
        left, bottom = (picture - thick[:, None]).reshape(-1, 2).min(axis=0)
        right, top = (picture + thick[:, None]).reshape(-1, 2).max(axis=0)
        margin = 0.05 * max(right - left, top - bottom, 1e-3)
        return (
            float(left - margin),
            float(bottom - margin),
            float(right + margin),
            float(top + margin),
        )
    distances = np.linalg.norm(places - poses.posed[0][:, root, None], axis=2)
    reach = float((distances + thick).max())
    if plane == "xy":
        return (-reach, -reach, reach, reach)
    # Its other end is about as far from the root as the farthest one when it stands upright.
    top = max(_UPRIGHT * reach, float((places[0, :, 2] + thick).max()))
    across, below = float(np.linalg.norm(projection[0])), float(abs(projection[1, 1]))
    return (-across * reach, -(0.05 + below) * reach, across * reach, 1.05 * top)
