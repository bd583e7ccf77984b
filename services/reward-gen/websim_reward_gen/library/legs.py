"""Which columns of the joints are the legs of the bundled robots.

A field says how many joints there are, not whose they are; so this is known of bundled tasks only.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Legs:
    """Expressions of what legs do; all but the speeds of joints are (N,) columns."""

    swing_a: str
    """rad/s: how fast one leg, or one diagonal pair of them, swings to one end of its stride."""
    swing_b: str
    """rad/s, likewise of the other; to the same end it has the same sign."""
    spared_speeds: str
    """(N, k) rad/s, of the joints of the leg that limps."""
    other_speeds: str
    """(N, k) rad/s, of the joints of the other legs."""
    thighs: str | None = None
    """rad between the thighs of two legs side by side; None where there are no such ones."""


_V = "state.joint_velocities"

_CHEETAH = Legs(f"{_V}[:, 0]", f"{_V}[:, 3]", f"{_V}[:, 3:6]", f"{_V}[:, 0:3]")
_WALKER = Legs(
    f"{_V}[:, 0]",
    f"{_V}[:, 3]",
    f"{_V}[:, 0:3]",
    f"{_V}[:, 3:6]",
    "state.joint_angles[:, 0] - state.joint_angles[:, 3]",
)
# Legs stand at (+, +), (-, +), (-, -), (+, -) and their hips turn about z: turned the same way,
# those at opposite corners swing one forward and one back.
_ANT = Legs(
    f"{_V}[:, 4] - {_V}[:, 0]",
    f"{_V}[:, 6] - {_V}[:, 2]",
    f"{_V}[:, 0:2]",
    f"{_V}[:, 2:8]",
)
# 3 of the abdomen come first, then hip x, z, y and knee of the right leg and of the left.
_HUMANOID = Legs(
    f"{_V}[:, 5]",
    f"{_V}[:, 9]",
    f"{_V}[:, 3:7]",
    f"{_V}[:, 7:11]",
    "state.joint_angles[:, 5] - state.joint_angles[:, 9]",
)

_OF_TASKS: Mapping[str, tuple[int, Legs]] = {
    "HalfCheetah-v5": (6, _CHEETAH),
    "Walker2d-v5": (6, _WALKER),
    "Ant-v5": (8, _ANT),
    "AntFast-v0": (8, _ANT),
    "Humanoid-v5": (17, _HUMANOID),
    "HumanoidFast-v0": (17, _HUMANOID),
}
"""Columns of the joints, and the legs among them, by task."""


def legs_of(task_id: str, columns: Mapping[str, int]) -> Legs | None:
    """Return the legs of a task's robot; None where they are not known."""
    num_joints, legs = _OF_TASKS.get(task_id, (0, None))
    known = all(columns.get(name) == num_joints for name in ("joint_angles", "joint_velocities"))
    return legs if known else None
