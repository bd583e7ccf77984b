"""What holds while a wish is kept, step by step: postures, places and limits."""

from websim_reward_gen.library.columns import (
    Missing,
    ground_speed,
    motion,
    need,
    signed,
    start_distance,
)
from websim_reward_gen.library.leans import posture
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import MOTIONS, Wish

STILL_SPEED = 0.5
"""Speed at which closeness to standing still is nothing, in m/s."""


def condition_of(wish: Wish, robot: Robot, *, beside: Wish | None) -> str | None:
    """Return what holds while a posture, a place or a limit is kept; None for another wish.

    A limit of a speed is a condition beside the wish for that speed alone.
    """
    try:
        of_speed = _speed_limit(wish, robot) if beside and beside.kind == wish.kind else None
        return of_speed or _condition(wish, robot)
    except Missing:
        return None


def turning(wish: Wish, robot: Robot) -> str | None:
    """Return what holds while the robot turns as a wish to turn says; None for another wish."""
    speed = {"spin": robot.yaw_speed, "flip": robot.pitch_speed}.get(wish.kind)
    if speed is None or wish.avoid:
        return None
    rate = signed(speed, wish.sign)
    if wish.bound == "least":
        return within(rate, wish)
    turns = f"{rate} > 0.0"
    return f"({turns}) & ({within(rate, wish)})" if wish.bound else turns


def _speed_limit(wish: Wish, robot: Robot) -> str | None:
    if wish.bound != "most" or wish.avoid:
        return None
    if wish.kind in MOTIONS:
        return within(motion(wish, robot)[0], wish)
    speed = {"spin": robot.yaw_speed, "flip": robot.pitch_speed}.get(wish.kind)
    return within(signed(speed, wish.sign), wish) if speed else None


def _condition(wish: Wish, robot: Robot) -> str | None:
    if wish.avoid and not wish.bound:
        return None
    match wish.kind:
        case "tilt":
            return posture(wish, robot)
        case "still":
            return f"{any_speed(robot)} < {STILL_SPEED:.6g}"
        case "balance":
            return balance(wish, robot)
        case "height" if wish.bound:
            return within(need(robot.height, "height"), wish)
        case "height" if wish.target:
            width = max(0.05, 0.1 * wish.target)
            height = need(robot.height, "height")
            return f"np.abs({height} - {wish.target:.6g}) < {width:.6g}"
        case "center" if wish.bound:
            return within(start_distance(robot), wish)
        case "center" if wish.sign > 0 and wish.target is None:
            return near_start(robot)
        case "reach" | "push" if wish.target is not None and wish.bound:
            return within(target_distance(wish, robot), wish)
        case "jump" if wish.avoid:
            return within(need(robot.start_rise, "height above the start"), wish)
        case "spin" | "flip" if wish.avoid:
            speed = robot.yaw_speed if wish.kind == "spin" else robot.pitch_speed
            return within(f"np.abs({need(speed, 'turning')})", wish)
    return None


def balance(wish: Wish, robot: Robot) -> str:
    """Return what holds while the robot has not fallen, or has where that is wished for."""
    alive = need(robot.alive or robot.upright, "falling")
    return f"({alive}) > 0.5" if wish.sign > 0 else f"({alive}) <= 0.5"


def near_start(robot: Robot) -> str:
    """Return what holds near the start."""
    return f"{start_distance(robot)} < {near_m(robot):.6g}"


def near_m(robot: Robot) -> float:
    """Return how far near is, in m: the rails of carts are a metre or two long."""
    return 0.25 if robot.cart else 1.0


def target_distance(wish: Wish, robot: Robot) -> str:
    """Return the distance that a wish to reach or to push is about, in m."""
    if wish.kind == "push":
        return need(robot.push_distance, "a distance from object to goal")
    return need(robot.reach_distance, "a distance to a target")


def any_speed(robot: Robot) -> str:
    """Return how fast the robot moves: over the ground, or else its joints."""
    if robot.forward_speed or robot.side_speed:
        return ground_speed(robot)
    return f"np.sqrt(np.mean(np.square({need(robot.joint_speeds, 'motion')}), axis=1))"


def within(quantity: str, wish: Wish) -> str:
    """Return whether a quantity is on the right side of its limit."""
    return f"{quantity} {'<=' if wish.bound == 'most' else '>='} {wish.target:.6g}"
