"""Leans and postures: how a torso is pitched. What holds in one, and what pays for it."""

from dataclasses import replace
from math import cos, pi

from websim_reward_gen.library.columns import Missing, Term, need, signed
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import LEAN, SOME_LEAN, TOLD_LEAN, Wish

_NEAR = 0.7
"""Cosine of the angle from a posture within which it is taken: about 45 degrees."""

_UPRIGHT = 0.95
"""Of the angle from upright, or from level: about 18 degrees."""

_MIN_WIDTH = 0.01
"""Of a lean by an angle, in rad."""


def posture(wish: Wish, robot: Robot) -> str:
    """Return what holds in the posture that a wish to lean asks for.

    A lean is half of what is asked at least: who stands upright does not lean a little.
    """
    wish = _of_this_robot(wish, robot)
    pitch = need(robot.pitch, "pitch")
    angle = wish.target or 0.0
    lean = signed(need(robot.lean, "pitch"), wish.sign)
    if wish.bound == "least":
        return f"{lean} >= {angle:.6g}"
    if wish.bound and wish.avoid:
        return f"{lean} <= {angle:.6g}"
    if wish.bound:
        return f"{need(robot.upright, 'pitch')} >= {cos(min(angle, pi)):.6g}"
    if angle == pi:
        # The pitch of what turns to the side as well is never so far.
        return f"{need(robot.upright, 'pitch')} < -{_NEAR}"
    enough = _NEAR if angle else _UPRIGHT
    near = f"np.cos({pitch} - ({wish.sign * angle:.6g})) > {enough}"
    if not 0.0 < angle < LEAN:
        return near
    if angle in (SOME_LEAN, TOLD_LEAN):
        return f"({near}) & ({lean} > {angle / 2:.6g})"
    return f"np.abs({lean} - {angle:.6g}) < {max(angle / 2, _MIN_WIDTH):.6g}"


def tilt_terms(wish: Wish, robot: Robot) -> list[Term]:
    """Return what pays for a pitch of the torso, or for keeping from one."""
    wish = _of_this_robot(wish, robot)
    pitch = need(robot.pitch, "pitch")
    angle = wish.target or 0.0
    if wish.bound:
        return [_tilt_bound(wish, robot)]
    if wish.avoid and 0.0 < angle < LEAN:
        # Upright is as good as any lean to the other side.
        away = f"-np.maximum({signed(f'np.sin({pitch})', wish.sign)}, 0.0)"
        return [Term("not_leaning", away, 1.0, "no lean")]
    purpose = f"torso pitched by {wish.sign * angle:.3g} rad"
    if 0.0 < angle < LEAN:
        return _lean_terms(signed(need(robot.lean, "pitch"), wish.sign), angle, purpose)
    # (1 + cos(pitch - target)) / 2: 1 there, 0 opposite
    near = f"0.5 + 0.5 * np.cos({pitch} - ({wish.sign * angle:.6g}))"
    if angle == pi:
        near = f"0.5 - 0.5 * ({need(robot.upright, 'pitch')})"
    if wish.avoid:
        return [Term("not_tilted", f"-({near})", 1.0, "another posture")]
    return [Term("posture", near, 1.5, purpose)]


def _lean_terms(lean: str, angle: float, purpose: str) -> list[Term]:
    """Return what pays for a small angle, which a cosine hardly tells from none."""
    near = f"np.exp(-np.square(({lean} - {angle:.6g}) / {max(angle / 2, _MIN_WIDTH):.6g}))"
    towards = f"-np.abs({lean} - {angle:.6g})"
    return [
        Term("posture", near, 1.0, purpose),
        Term("towards_posture", towards, 1.0, "no less and no more"),
    ]


def _tilt_bound(wish: Wish, robot: Robot) -> Term:
    angle = wish.target or 0.0
    lean = signed(need(robot.lean, "pitch"), wish.sign)
    purpose = f"torso pitched by {angle:.3g} rad at {wish.bound}"
    if wish.bound == "least":
        return Term("lean", f"np.minimum({lean}, {angle:.6g})", 1.5, purpose)
    if wish.avoid:
        return Term("lean_limit", f"-np.maximum({lean} - {angle:.6g}, 0.0)", 1.5, purpose)
    # To whatever side: the cosine of the angle from upright.
    within = f"np.minimum({need(robot.upright, 'pitch')}, {cos(min(angle, pi)):.6g})"
    return Term("lean_limit", within, 1.5, purpose)


def _of_this_robot(wish: Wish, robot: Robot) -> Wish:
    """Return a wish for a posture as the pitch that it is of a robot that stands, or is level.

    Raises:
        Missing: it is one that no pitch tells.
    """
    said = set(wish.text.split())
    if wish.target == pi and "back" in said and robot.stands:
        return replace(wish, sign=-1.0, target=pi / 2)
    if wish.target == 0.0 and ("horizontal" if robot.stands else "vertical") in said:
        usual = "upright" if robot.stands else "level"
        raise Missing(f"a pitch of 0 is {usual} here, and no term says this posture")
    return wish
