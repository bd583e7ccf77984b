"""Gait styles: what of a way of going shows in a task's fields.

A gait pays for one feature that tells it from a plain run, beside the motion itself: legs that
swing against each other (trot), a torso that rocks (gallop) or leaves the ground (skip), thighs
that are lifted in turn (march), a leg that works less than the rest (limp).
"""

from collections.abc import Callable
from dataclasses import dataclass

from websim_reward_gen.library.columns import Missing, Term, need
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import Wish


@dataclass(frozen=True)
class Gait:
    """One style on one robot."""

    expression: str
    """Shape (N,), within -1 and 1: how much of its feature there is; above 0 where there is any."""
    least: float
    """Beyond it the feature counts as shown, for the measure."""
    weight: float
    purpose: str


def gait_terms(wish: Wish, robot: Robot) -> list[Term]:
    """Return the term of a gait, or of keeping from it; the motion itself is another wish.

    Raises:
        Missing: the task's fields do not show it.
    """
    gait = gait_of(wish, robot)
    if wish.avoid:
        cost = f"-np.maximum({gait.expression}, 0.0)"
        return [Term(f"no_{wish.kind}", cost, gait.weight, f"not: {gait.purpose}")]
    return [Term(wish.kind, gait.expression, gait.weight, gait.purpose)]


def gait_of(wish: Wish, robot: Robot) -> Gait:
    """Return what a wish for a gait is about; raises Missing where the fields do not show it."""
    return _GAITS[wish.kind](robot)


def _trot(robot: Robot) -> Gait:
    legs = robot.legs
    if legs is None:
        raise Missing("this task has no field for the swing of two legs")
    # Both swing: the product of their speeds; against each other: it is negative.
    opposed = f"np.tanh(-0.1 * ({legs.swing_a}) * ({legs.swing_b}))"
    return Gait(opposed, 0.0, 0.5, "legs swing against each other")


def _gallop(robot: Robot) -> Gait:
    speed = need(robot.pitch_speed, "pitching")
    # 1 rad/s is seen as rocking: tanh(0.1 * 1^2) is 0.0997.
    return Gait(f"np.tanh(0.1 * np.square({speed}))", 0.0997, 0.5, "torso rocks to and fro")


def _skip(robot: Robot) -> Gait:
    rise = need(robot.start_rise, "height above the start")
    return Gait(f"np.tanh(5.0 * {rise})", 0.0, 0.5, "torso above where it starts")


def _march(robot: Robot) -> Gait:
    thighs = robot.legs.thighs if robot.legs else None
    if thighs is None:
        raise Missing("this task has no field for the lift of two thighs")
    # One is up while the other is down; 0.5 rad between them is a high step: tanh(0.5) is 0.462.
    return Gait(f"np.tanh(np.abs({thighs}))", 0.462, 1.0, "thighs lifted high in turn")


def _limp(robot: Robot) -> Gait:
    legs = robot.legs
    if legs is None:
        raise Missing("this task has no field for the joints of two legs")
    spared, others = legs.spared_speeds, legs.other_speeds
    uneven = f"np.mean(np.square({others}), axis=1) - np.mean(np.square({spared}), axis=1)"
    return Gait(f"np.tanh(0.05 * ({uneven}))", 0.0, 0.5, "one leg works less than the rest")


_GAITS: dict[str, Callable[[Robot], Gait]] = {
    "trot": _trot,
    "gallop": _gallop,
    "skip": _skip,
    "march": _march,
    "limp": _limp,
}
