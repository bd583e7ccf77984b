"""Draw the states in which episodes begin: one table for the whole shard per command.

One counter-based generator per (seed, stream, shard, command) draws a row for every environment in
order, whichever of them end, so what one environment gets never depends on the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
import numpy.typing as npt

from websim.tasks import TaskError
from websim.tasks.document import Noise, Region, ResetSpec, Value
from websim_sim_worker.fields import number
from websim_sim_worker.selection import select_joint

Floats = npt.NDArray[np.float64]

RESET_STREAM = 1
"""Number of the random stream that resets draw from."""
_PROBE_DRAWS = 4096
"""Points that judge at compile time how much of its box a region fills."""
_LEAST_ACCEPTANCE = 0.02
"""A region that fills less of its box than this is refused: rejection would take long."""


@dataclass(frozen=True)
class _Distribution:
    """Noise of qpos or qvel: center (k,) and scale (k,)."""

    is_normal: bool
    center: Floats
    scale: Floats

    def draw(self, generator: np.random.Generator, rows: int) -> Floats:
        shape = (rows, len(self.center))
        if self.is_normal:
            noise = generator.standard_normal(shape)
        else:
            noise = generator.random(shape)
            noise *= 2.0
            noise -= 1.0
        noise *= self.scale
        noise += self.center
        return noise


@dataclass(frozen=True)
class _RegionSampler:
    """Uniform points of a region by rejection; `columns` are where they go in qpos."""

    columns: npt.NDArray[np.intp]
    low: Floats
    high: Floats
    inside_radius: float
    outside_radius: float

    def draw(self, generator: np.random.Generator, rows: int) -> Floats:
        points = np.empty((rows, len(self.low)))
        missing = np.arange(rows)
        while len(missing):
            drawn = self.low + (self.high - self.low) * generator.random(
                (len(missing), len(self.low))
            )
            accepted = self.accepts(drawn)
            points[missing[accepted]] = drawn[accepted]
            missing = missing[~accepted]
        return points

    def accepts(self, points: Floats) -> npt.NDArray[np.bool_]:
        radius = np.sqrt(np.vecdot(points, points))
        accepted: npt.NDArray[np.bool_] = (radius < self.inside_radius) & (
            radius > self.outside_radius if self.outside_radius else True
        )
        return accepted


@dataclass(frozen=True)
class ResetSampler:
    """Initial states of a compiled task. `keyframe` -1: the model's default state."""

    keyframe: int
    _qpos: _Distribution
    _qvel: _Distribution
    _regions: tuple[_RegionSampler, ...]

    def draw(self, seed: int, first_env_id: int, t: int, rows: int) -> tuple[Floats, Floats]:
        """Draw qpos (rows, nq) and qvel (rows, nv) for command `t` of a shard."""
        key = np.array([seed % 2**64, RESET_STREAM << 32 | first_env_id], dtype=np.uint64)
        counter = np.array([0, 0, 0, t], dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
        qpos = self._qpos.draw(generator, rows)
        qvel = self._qvel.draw(generator, rows)
        for region in self._regions:
            qpos[:, region.columns] = region.draw(generator, rows)
        return qpos, qvel


def resolve_reset(
    spec: ResetSpec, model: mujoco.MjModel, parameters: Mapping[str, Value]
) -> ResetSampler:
    """Resolve the reset part of a task file against its model."""
    keyframe, qpos, qvel = _initial_state(spec, model)
    return ResetSampler(
        keyframe=keyframe,
        _qpos=_distribution(spec.qpos, "qpos", qpos, model, parameters),
        _qvel=_distribution(spec.qvel, "qvel", qvel, model, parameters),
        _regions=tuple(_region(region, model) for region in spec.regions),
    )


def _initial_state(spec: ResetSpec, model: mujoco.MjModel) -> tuple[int, Floats, Floats]:
    if spec.keyframe is None:
        return -1, model.qpos0.copy(), np.zeros(model.nv)
    keyframe = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, spec.keyframe)
    if keyframe < 0:
        raise TaskError(f"the model has no keyframe {spec.keyframe!r}", where="reset.keyframe")
    return keyframe, model.key_qpos[keyframe].copy(), model.key_qvel[keyframe].copy()


def _distribution(
    noise: Noise | None,
    array: str,
    center: Floats,
    model: mujoco.MjModel,
    parameters: Mapping[str, Value],
) -> _Distribution:
    scale = np.zeros(len(center))
    if noise is None:
        return _Distribution(False, center, scale)
    scale[:] = _scale(number(noise.scale, parameters, noise.where), noise.where)
    for joint in noise.joints:
        columns = select_joint(array, joint.joint, model, noise.where)
        if joint.center is not None:
            center[columns] = number(joint.center, parameters, noise.where)
        if joint.scale is not None:
            scale[columns] = _scale(number(joint.scale, parameters, noise.where), noise.where)
    return _Distribution(noise.distribution == "normal", center, scale)


def _scale(scale: float, where: str) -> float:
    if not 0.0 <= scale < float("inf"):
        raise TaskError(f"a noise scale of {scale} is not zero or more", where=where)
    return scale


def _region(region: Region, model: mujoco.MjModel) -> _RegionSampler:
    columns = [select_joint("qpos", joint, model, region.where) for joint in region.joints]
    if any(len(joint) != 1 for joint in columns):
        raise TaskError("a region is about joints of one coordinate each", where=region.where)
    sampler = _RegionSampler(
        np.array([joint[0] for joint in columns], dtype=np.intp),
        np.array(region.low),
        np.array(region.high),
        region.inside_radius,
        region.outside_radius,
    )
    unit = np.random.Generator(np.random.Philox(0)).random((_PROBE_DRAWS, len(region.low)))
    filled = sampler.accepts(sampler.low + (sampler.high - sampler.low) * unit).mean()
    if filled < _LEAST_ACCEPTANCE:
        raise TaskError(
            f"only {filled:.1%} of the box lies in the region",
            where=region.where,
            remedy="draw the box closer around it",
        )
    return sampler
