"""The measure of one wish: how far it was reached, by an episode."""

from dataclasses import dataclass
from typing import Literal

from websim_reward_gen.library.columns import Missing, motion, need, signed, start_distance
from websim_reward_gen.library.conditions import (
    STILL_SPEED,
    any_speed,
    balance,
    near_m,
    near_start,
    target_distance,
    within,
)
from websim_reward_gen.library.gaits import gait_of
from websim_reward_gen.library.leans import posture
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.targets import LEAST_SPEED
from websim_reward_gen.library.wishes import GAITS, Wish


@dataclass(frozen=True)
class Measure:
    """A fitness program before it is judged."""

    expression: str
    """Empty for the task's own fitness."""
    accumulate: Literal["sum", "last", "max"]
    unit: str
    description: str
    """What the accumulated value says."""
    given: tuple[str, ...] = ()
    """Statements before the one that returns the expression."""
    gains: bool = True
    """Whether it can be above 0: what is only ever lost is lost whatever else is done."""

    @property
    def program(self) -> str:
        """The text of the fitness program."""
        lines = [*self.given, f"return {self.expression}"]
        return "def fitness(state, action):\n" + "".join(f"    {line}\n" for line in lines)

    @property
    def is_the_tasks(self) -> bool:
        """Whether it is the task's own fitness, which needs no program."""
        return not self.expression

    @property
    def per_horizon(self) -> bool:
        """Whether the sum is divided by the steps of a full episode."""
        return self.accumulate == "sum"

    @property
    def is_share(self) -> bool:
        """Whether it is a closeness or a share: within 0 and 1, and 1 where all is reached."""
        return self.accumulate == "sum" and not self.unit

    def adds_to(self, other: "Measure") -> bool:
        """Tell whether the mean of both says something."""
        return (self.accumulate, self.unit) == (other.accumulate, other.unit)


def share(condition: str, description: str) -> Measure:
    """Return the share of a full episode during which something holds."""
    return Measure(f"np.where({condition}, 1.0, 0.0)", "sum", "", description)


def measure_wish(wish: Wish, robot: Robot) -> Measure | None:
    """Return the measure of one wish; None where nothing measures it, or the task has no field."""
    if wish.avoid:
        return None
    try:
        return _measure(wish, robot)
    except Missing:
        return None


def _measure(wish: Wish, robot: Robot) -> Measure | None:
    match wish.kind:
        case "move" | "sideways":
            speed, name = motion(wish, robot)
            near = f" {name} (1 at it, 0 at a standstill)"
            return _rate(wish, speed, "m/s", f"net {name} displacement", near)
        case "roam":
            speed, _ = motion(wish, robot)
            near = " over the ground (1 at it, 0 at a standstill)"
            return _rate(wish, speed, "m/s", "length of the path", near)
        case "jump":
            return _jump(wish, robot)
        case "spin" | "flip":
            turns = robot.yaw_speed if wish.kind == "spin" else robot.pitch_speed
            return _turning(wish, need(turns, "turning"))
        case "reach" | "push":
            return _target(wish, robot)
        case "height" | "stand":
            return _height(wish, robot)
        case "tilt":
            return share(posture(wish, robot), "share of a full episode spent in the posture")
        case "still":
            return _still(robot)
        case "balance":
            state = "upright" if wish.sign > 0 else "fallen"
            return share(balance(wish, robot), f"share of a full episode spent {state}")
        case kind if kind in GAITS:
            gait = gait_of(wish, robot)
            shown = f"{gait.expression} > {gait.least:.6g}"
            return share(shown, f"share of a full episode with this: {gait.purpose}")
        case "center":
            return _center(wish, robot)
        case _:
            return None


def _jump(wish: Wish, robot: Robot) -> Measure:
    if wish.target is None:
        height = need(robot.height, "height")
        return Measure(height, "max", "m", "greatest height of an episode")
    target = f"{wish.target:.6g}"
    rise = need(robot.start_rise, "height above the start")
    text = f"greatest height of the torso above its start, counted up to {target} m"
    if wish.bound == "most":
        # The best moment of a jump that goes beyond lies on the way there.
        text = f"{text}; what is beyond plays no part in it"
    return Measure(f"np.minimum({rise}, {target})", "max", "m", text)


def _turning(wish: Wish, speed: str) -> Measure:
    near = " (1 at it, 0 at none)"
    return _rate(wish, signed(speed, wish.sign), "rad/s", f"net {wish.kind}", near)


def _rate(wish: Wish, rate: str, unit: str, what: str, near: str) -> Measure:
    """Return how far it goes or turns, up to a limit, or how near its rate is to the target."""
    if wish.target is None:
        text = f"{what} of the episode over the time that a full episode lasts"
        return Measure(rate, "sum", unit, text)
    target = f"{wish.target:.6g}"
    if wish.bound == "least":
        text = f"{what}, counted up to {target} {unit}, over a full episode"
        return Measure(f"np.minimum({rate}, {target})", "sum", unit, text)
    if wish.bound == "most":
        counted = f"np.where({rate} <= {target}, {rate}, 0.0)"
        text = f"{what} made at {target} {unit} or less, over a full episode"
        return Measure(counted, "sum", unit, text)
    # 1 at the target, 0 at a standstill and at twice the target
    width = f"{max(wish.target, LEAST_SPEED):.6g}"
    if wish.target < LEAST_SPEED:
        near = f" (1 at it, 0 from {wish.target + LEAST_SPEED:.6g} {unit} on)"
    closeness = f"np.maximum(1.0 - np.abs({rate} - {target}) / {width}, 0.0)"
    text = f"closeness to {target} {unit}{near}, mean of a full episode"
    return Measure(closeness, "sum", "", text)


def _target(wish: Wish, robot: Robot) -> Measure:
    distance = target_distance(wish, robot)
    what = "the object" if robot.push_distance else "the target"
    place = "its goal" if wish.kind == "push" else what
    if wish.target is not None:
        return _at_distance(wish, distance, place)
    between = "from the object to its goal" if wish.kind == "push" else f"to {what}"
    which = "minus the distance" if wish.sign > 0 else "the distance"
    text = f"{which} {between} at the end"
    return Measure(signed(distance, -wish.sign), "last", "m", text, gains=wish.sign < 0)


def _at_distance(wish: Wish, distance: str, place: str) -> Measure:
    """Return how well a distance from a place is kept."""
    target = f"{wish.target or 0.0:.6g}"
    if wish.bound:
        where = f"{target} m from {place} at {wish.bound}"
        return share(within(distance, wish), f"share of a full episode spent {where}")
    near = (
        f"np.maximum(1.0 - np.abs({distance} - {target}) / {max(wish.target or 0.0, 0.1):.6g}, 0.0)"
    )
    text = f"closeness to {target} m from {place} (1 there), mean of a full episode"
    return Measure(near, "sum", "", text)


def _height(wish: Wish, robot: Robot) -> Measure:
    height = need(robot.height, "height")
    what = "tip" if "tip" in height else "torso"
    if wish.bound:
        text = f"share of a full episode with the {what} at {wish.target:.6g} m at {wish.bound}"
        return share(within(height, wish), text)
    if wish.target is not None:
        target = f"{wish.target:.6g}"
        near = f"np.maximum(1.0 - np.abs({height} - {target}) / {max(wish.target, 0.1):.6g}, 0.0)"
        text = (
            f"closeness of the {what} to a height of {target} m (1 at it), mean of a full episode"
        )
        return Measure(near, "sum", "", text)
    if wish.sign < 0:
        # Falling must not pay: what is counted is height left below 2 m while the episode lasts.
        low = f"np.maximum(2.0 - {height}, 0.0)"
        text = f"how far the {what} stays below 2 m, mean of a full episode"
        return Measure(low, "sum", "m", text)
    return Measure(height, "sum", "m", f"mean {what} height over a full episode")


def _center(wish: Wish, robot: Robot) -> Measure:
    distance = start_distance(robot)
    if wish.target is not None:
        return _at_distance(wish, distance, "the start")
    if wish.sign < 0:
        return Measure(distance, "last", "m", "the distance from the start at the end")
    where = f"within {near_m(robot):.6g} m of the start"
    return share(near_start(robot), f"share of a full episode spent {where}")


def _still(robot: Robot) -> Measure:
    near = f"np.maximum(1.0 - {any_speed(robot)} / {STILL_SPEED:.6g}, 0.0)"
    if robot.alive:
        near = f"{near} * {robot.alive}"
    text = f"closeness to a standstill (0 from {STILL_SPEED:.6g} on), mean of a full episode"
    return Measure(near, "sum", "", text)
