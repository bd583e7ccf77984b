"""Columns that terms and measures are made of: what a wish is about, on one robot."""

from dataclasses import dataclass

from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import Wish


@dataclass(frozen=True)
class Term:
    """A named column of a reward."""

    name: str
    expression: str
    """Shape (N,); larger is better."""
    weight: float = 1.0
    purpose: str = ""
    main: bool = True
    """False for what merely accompanies: effort, smoothness, staying alive."""
    size: float = 1.0
    """What is much of it, in its unit: where a bounded term begins to saturate."""


class Missing(Exception):
    """The task has no field for a wish; the text names what is missing."""


def need(expression: str | None, what: str) -> str:
    """Return the expression, or raise Missing."""
    if expression is None:
        raise Missing(f"this task has no field for {what}")
    return expression


def signed(expression: str, sign: float) -> str:
    """Return the expression in a direction."""
    return expression if sign > 0 else f"-({expression})"


def bounded_gain(quantity: str, target: str, wish: Wish) -> str:
    """Return what a quantity gains up to its bound."""
    gain = f"np.minimum({quantity}, {target})"
    if wish.bound == "least":
        return gain
    # Beyond the limit it falls three times as fast as it rose.
    return f"{gain} - 3.0 * np.maximum({quantity} - {target}, 0.0)"


def motion(wish: Wish, robot: Robot) -> tuple[str, str]:
    """Return the speed that a motion wish is about, in its direction, and the term's name."""
    if wish.kind == "roam":
        return ground_speed(robot), "moving"
    if wish.kind == "sideways":
        if robot.side_speed is None and robot.cart:
            speed = need(robot.forward_speed, "sideways speed")
            return signed(speed, -wish.sign), "left" if wish.sign > 0 else "right"
        speed = need(robot.side_speed, "sideways speed")
        return signed(speed, wish.sign), "left" if wish.sign > 0 else "right"
    forward = signed(need(robot.forward_speed, "forward speed"), wish.sign)
    return forward, "forward" if wish.sign > 0 else "backward"


def ground_speed(robot: Robot) -> str:
    """Return how fast the robot goes, wherever to, in m/s."""
    speeds = [speed for speed in (robot.forward_speed, robot.side_speed) if speed]
    if not speeds:
        raise Missing("this task has no field for speed")
    return f"np.sqrt({' + '.join(f'np.square({speed})' for speed in speeds)})"


def start_distance(robot: Robot) -> str:
    """Return how far the robot is from where it started, in m."""
    positions = [each for each in (robot.position, robot.side_position) if each]
    if not positions:
        raise Missing("this task has no field for position")
    return f"np.sqrt({' + '.join(f'np.square({each})' for each in positions)})"
