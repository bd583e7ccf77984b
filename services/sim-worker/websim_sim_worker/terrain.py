"""Height fields at several heights: what a knob for terrain chooses from.

A height field is an asset that all simulations of a batch share; which one a geom shows is not. So
a task with such a knob is compiled with copies of its height fields at heights across the range.
"""

from collections.abc import Sequence

import mujoco
import numpy as np
import numpy.typing as npt

from websim.tasks.document import KnobSpec

Floats = npt.NDArray[np.float64]

LEVELS = 16
"""Heights across a knob's range, besides the model's own."""
_PREFIX = "websim-terrain"


def add_levels(spec: mujoco.MjSpec, knobs: Sequence[KnobSpec]) -> None:
    """Add copies of all height fields for the first knob that is about terrain, if there is one."""
    ranges = [knob.range for knob in knobs if knob.target == "terrain"]
    if not ranges:
        return
    for index, field in enumerate(list(spec.hfields)):
        for number, scale in enumerate(_scales(ranges[0])):
            copy = spec.add_hfield()
            copy.name = f"{_PREFIX}:{index}:{number}"
            copy.file, copy.content_type = field.file, field.content_type
            copy.nrow, copy.ncol, copy.userdata = field.nrow, field.ncol, field.userdata
            radius_x, radius_y, height, base = field.size
            copy.size = [radius_x, radius_y, height * scale, base]


def terrain_levels(
    model: mujoco.MjModel, hfield: int, limits: tuple[float, float]
) -> tuple[Floats, Floats]:
    """The levels (m,) there are of a height field, times its own height, and their ids (m,)."""
    kind = mujoco.mjtObj.mjOBJ_HFIELD
    copies = [mujoco.mj_name2id(model, kind, f"{_PREFIX}:{hfield}:{i}") for i in range(LEVELS)]
    return np.array([1.0, *_scales(limits)]), np.array([hfield, *copies], np.float64)


def _scales(limits: tuple[float, float]) -> list[float]:
    scales: list[float] = np.linspace(*limits, LEVELS).tolist()
    return scales
