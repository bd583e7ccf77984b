"""Terms: what one wish becomes on one robot. A term is a column to be maximised, with a weight."""

from dataclasses import replace

from websim_reward_gen.library.columns import (
    Missing,
    Term,
    bounded_gain,
    motion,
    need,
    signed,
    start_distance,
)
from websim_reward_gen.library.gaits import gait_terms
from websim_reward_gen.library.leans import tilt_terms
from websim_reward_gen.library.postures import height_terms, jump_terms, stand_terms
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import GAITS, Wish

MUCH_SPEED = 4.0
"""A high speed for a robot of a metre or so, in m/s."""


def terms_of(wish: Wish, robot: Robot, *, bounded: bool = False) -> list[Term]:
    """Return the terms of a wish.

    Args:
        wish: what is wanted.
        robot: what the task offers.
        bounded: let every term saturate rather than grow with its quantity.

    Raises:
        Missing: the task has no field for it.
    """
    terms = _RULES[wish.kind](wish, robot)
    return [replace(term, expression=_squashed(term)) if bounded else term for term in terms]


def _squashed(term: Term) -> str:
    if not term.main or "np.exp(" in term.expression:
        return term.expression
    if term.size == 1.0:
        return f"np.tanh({term.expression})"
    return f"{term.size:.6g} * np.tanh(({term.expression}) / {term.size:.6g})"


def _move(wish: Wish, robot: Robot) -> list[Term]:
    speed, name = motion(wish, robot)
    if wish.avoid:
        return [Term(f"not_{name}", f"-np.maximum({speed}, 0.0)", purpose=f"never {name}")]
    if wish.target is None:
        return [Term(name, speed, purpose=f"{name} as fast as possible", size=MUCH_SPEED)]
    target = f"{wish.target:.6g}"
    if wish.bound:
        purpose = f"{name} at {target} m/s at {wish.bound}"
        return [Term(name, bounded_gain(speed, target, wish), purpose=purpose, size=MUCH_SPEED)]
    # exp(-((v - t) / w)^2) rewards being there, -|v - t| shows the way there.
    width = max(0.25, 0.5 * wish.target)
    near = f"np.exp(-np.square(({speed} - {target}) / {width:.6g}))"
    return [
        Term("at_speed", near, 1.0, f"{name} at {target} m/s"),
        Term("towards_speed", f"-np.abs({speed} - {target})", 0.5, "no faster and no slower"),
    ]


def _still(wish: Wish, robot: Robot) -> list[Term]:
    speeds = [speed for speed in (robot.forward_speed, robot.side_speed) if speed]
    terms = []
    if speeds:
        squares = " + ".join(f"np.square({speed})" for speed in speeds)
        terms.append(Term("in_place", f"np.exp(-4.0 * ({squares}))", 1.0, "stay in place"))
    if robot.joint_speeds:
        calm = f"-np.mean(np.square({robot.joint_speeds}), axis=1)"
        terms.append(Term("calm", calm, 0.02, "joints at rest", main=not speeds))
    if not terms:
        raise Missing("this task has no field for motion")
    return terms


def _turn(speed: str, name: str, unit_name: str, wish: Wish) -> list[Term]:
    if wish.avoid and wish.bound:
        beyond = f"-np.maximum(np.abs({speed}) - {wish.target:.6g}, 0.0)"
        return [Term(f"{name}_limit", beyond, 0.5, f"{name} at {wish.target:.6g} rad/s at most")]
    if wish.avoid:
        return [Term(f"no_{name}", f"-np.square({speed})", 0.2, f"no {name}")]
    if wish.target is None:
        capped = f"np.clip({signed(speed, wish.sign)}, -10.0, 10.0)"
        return [Term(name, capped, 0.5, f"{name} as fast as possible")]
    target = f"{wish.target:.6g}"
    if wish.bound:
        gain = bounded_gain(signed(speed, wish.sign), target, wish)
        return [Term(name, gain, 0.5, f"{name} at {target} rad/s at {wish.bound}", size=10.0)]
    error = f"{signed(speed, wish.sign)} - {target}"
    width = max(0.5, 0.5 * wish.target)
    return [
        Term(f"at_{name}_speed", f"np.exp(-np.square(({error}) / {width:.6g}))", 1.0, unit_name),
        Term(f"towards_{name}_speed", f"-np.abs({error})", 0.2, "neither faster nor slower"),
    ]


def _spin(wish: Wish, robot: Robot) -> list[Term]:
    return _turn(need(robot.yaw_speed, "turning"), "spin", "spin at the speed asked for", wish)


def _flip(wish: Wish, robot: Robot) -> list[Term]:
    return _turn(need(robot.pitch_speed, "pitching"), "flip", "flip at the speed asked for", wish)


def _balance(wish: Wish, robot: Robot) -> list[Term]:
    if wish.sign < 0:
        upright = need(robot.upright or robot.alive, "falling")
        return [Term("fallen", f"-({upright})", 1.0, "fall over")]
    terms = []
    if robot.alive:
        terms.append(Term("alive", robot.alive, 1.0, "stay in a healthy state"))
    if robot.upright:
        terms.append(Term("upright", robot.upright, 0.5, "stay upright"))
    if robot.height and not robot.upright:
        # A pole that may hang: its tip shows the way up.
        terms.append(Term("tip", robot.height, 0.5, "tip high"))
    if not (robot.alive or robot.upright):
        raise Missing("this task has no field for falling")
    return terms


def effort_term(robot: Robot, weight: float) -> Term:
    """Return the cost of acting: mean of the squared actions, 1 when all are at their limits."""
    scale = f"{robot.action_scale:.6g}"
    squares = "action" if scale == "1" else f"action / {scale}"
    return Term(
        "effort", f"-np.mean(np.square({squares}), axis=1)", weight, "little effort", main=False
    )


def smooth_term(weight: float) -> Term:
    """Return the cost of changing the action from one step to the next."""
    change = "-np.mean(np.square(action - state.previous_action), axis=1)"
    return Term("smooth", change, weight, "smooth actions", main=False)


def _effort(wish: Wish, robot: Robot) -> list[Term]:
    term = effort_term(robot, 1.0)
    if wish.sign < 0:
        return [replace(term, name="vigour", expression=term.expression[1:], purpose="much effort")]
    return [term]


def _smooth(wish: Wish, robot: Robot) -> list[Term]:
    term = smooth_term(0.5)
    if wish.sign < 0:
        return [replace(term, name="jerk", expression=term.expression[1:], purpose="jerky actions")]
    return [term]


def _impact(wish: Wish, robot: Robot) -> list[Term]:
    contact = need(robot.contact, "contact forces")
    size = f"np.tanh(0.01 * np.sum(np.square({contact}), axis=1))"
    name, expression = ("soft", f"-{size}") if wish.sign > 0 else ("impact", size)
    return [Term(name, expression, 0.5, "soft contacts" if wish.sign > 0 else "hard contacts")]


def _reach(wish: Wish, robot: Robot) -> list[Term]:
    distance = need(robot.reach_distance, "a distance to a target")
    if wish.target is not None:
        return [_at_distance(wish, distance, "the target")]
    if wish.sign < 0 or wish.avoid:
        return [Term("away", f"np.minimum({distance}, 1.0)", 1.0, "away from the target")]
    near = f"np.exp(-np.square({distance} / 0.05))"
    return [
        Term("distance", f"-{distance}", 1.0, "close to the target"),
        Term("touch", near, 0.2, "at the target"),
    ]


def _push(wish: Wish, robot: Robot) -> list[Term]:
    distance = need(robot.push_distance, "a distance from object to goal")
    if wish.avoid:
        hand = need(robot.reach_distance, "a distance to the object")
        return [Term("untouched", f"np.minimum({hand}, 1.0)", 1.0, "hand away from the object")]
    if wish.target is not None:
        return [_at_distance(wish, distance, "the goal")]
    goal = f"-{distance}" if wish.sign > 0 else f"np.minimum({distance}, 1.0)"
    place = "close to" if wish.sign > 0 else "away from"
    terms = [Term("goal", goal, 1.0, f"object {place} its goal")]
    if robot.reach_distance:
        terms.append(Term("near", f"-{robot.reach_distance}", 0.5, "hand close to the object"))
    return terms


def _center(wish: Wish, robot: Robot) -> list[Term]:
    distance = start_distance(robot)
    if wish.target is not None:
        return [_at_distance(wish, distance, "the start")]
    if (wish.sign < 0) != wish.avoid:
        return [Term("away", f"np.minimum({distance}, 10)", 0.5, "away from the start")]
    return [Term("center", f"-np.minimum({distance}, 10)", 0.5, "near the start")]


def _at_distance(wish: Wish, distance: str, place: str) -> Term:
    """Return what pays for a distance from a place, or for keeping within limits of it."""
    target, most = f"{wish.target or 0.0:.6g}", max(10.0, wish.target or 0.0)
    purpose = f"{target} m from {place}" + (f" at {wish.bound}" if wish.bound else "")
    if wish.bound == "least":
        return Term("away", f"np.minimum({distance}, {target})", 0.5, purpose)
    if wish.bound == "most":
        beyond = f"np.maximum({distance} - {target}, 0.0)"
    else:
        beyond = f"np.abs({distance} - {target})"
    if wish.avoid:
        return Term("elsewhere", f"np.minimum({beyond}, {most:.6g})", 0.5, purpose)
    return Term("at_distance", f"-np.minimum({beyond}, {most:.6g})", 0.5, purpose)


def _straight(wish: Wish, robot: Robot) -> list[Term]:
    speed = need(robot.side_speed, "sideways speed")
    if wish.sign < 0:
        return [Term("drift", f"np.abs({speed})", 0.5, "drift sideways")]
    return [Term("straight", f"-np.square({speed})", 0.5, "no sideways drift")]


def _joints(wish: Wish, robot: Robot) -> list[Term]:
    speeds = need(robot.joint_speeds, "joint speeds")
    size = f"np.tanh(0.05 * np.mean(np.square({speeds}), axis=1))"
    if wish.sign < 0:
        return [Term("stiff", f"-{size}", 1.0, "stiff joints")]
    return [Term("wiggle", size, 1.0, "lively joints")]


_RULES = {
    "move": _move,
    "sideways": _move,
    "roam": _move,
    "still": _still,
    "jump": jump_terms,
    "height": height_terms,
    "stand": stand_terms,
    "spin": _spin,
    "flip": _flip,
    "balance": _balance,
    "effort": _effort,
    "smooth": _smooth,
    "impact": _impact,
    "tilt": tilt_terms,
    "reach": _reach,
    "push": _push,
    "center": _center,
    "straight": _straight,
    "joints": _joints,
    **dict.fromkeys(GAITS, gait_terms),
}
