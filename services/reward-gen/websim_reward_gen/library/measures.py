"""The fitness of a goal: how far it was reached, over the nominal horizon, hard to game.

Measures are averages over the full horizon (an early end freezes them) or the best moment. Where
no measure says what the person wants, there is none: a number invented for it would mislead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Literal

from websim_reward_gen.bodies import TaskBody
from websim_reward_gen.library.columns import Missing, motion, need, signed, start_distance
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import Wish

STILL_SPEED = 0.5
"""Speed at which closeness to standing still is nothing, in m/s."""


@dataclass(frozen=True)
class Measure:
    """A fitness program before it is judged."""

    expression: str
    accumulate: Literal["sum", "last", "max"]
    unit: str
    description: str
    """What the accumulated value says."""

    @property
    def program(self) -> str:
        """The text of the fitness program."""
        return f"def fitness(state, action):\n    return {self.expression}\n"

    @property
    def per_horizon(self) -> bool:
        """Whether the sum is divided by the steps of a full episode."""
        return self.accumulate == "sum"


def measure_of(wishes: Sequence[Wish], robot: Robot) -> Measure | None:
    """Return the measure of some wishes that the task has fields for; None when they have none.

    One wish is the main one; postures among the others are conditions under which it counts.
    """
    for kinds in _RANKS:
        for wish in wishes:
            if wish.kind in kinds and not wish.avoid:
                try:
                    measure = _measure(wish, robot)
                except Missing:
                    continue
                return _conditioned(measure, wish, wishes, robot)
    for wish in wishes:
        condition = _condition(wish, robot)
        if condition:
            return _share(condition, f"share of a full episode during which '{wish.text}' holds")
    return None


def own_fitness_fits(wishes: Sequence[Wish], task: TaskBody) -> bool:
    """Tell whether the task's own fitness is what the wishes ask for."""
    own = task.fitness_description.lower()
    if "forward displacement" in own:
        return any(_is_plain_forward(wish) for wish in wishes) and not _has_condition(wishes)
    mains = {wish.kind for wish in wishes if not wish.avoid}
    return (
        ("distance from object" in own and _wants(wishes, "push"))
        or ("distance from fingertip" in own and _wants(wishes, "reach"))
        or (
            "is up" in own
            and mains <= {"balance", "effort", "smooth"}
            and _wants(wishes, "balance")
        )
        or ("mean torso height" in own and bool(mains & {"stand"}))
    )


_CALM = frozenset({"balance", "effort", "smooth"})

_RANKS: tuple[frozenset[str], ...] = (
    frozenset({"move", "sideways"}),
    frozenset({"jump", "spin", "flip", "reach", "push"}),
    frozenset({"height", "stand", "tilt"}),
    frozenset({"still"}),
    frozenset({"balance"}),
    frozenset({"center"}),
)


def _is_plain_forward(wish: Wish) -> bool:
    return wish.kind == "move" and wish.sign > 0 and wish.target is None and not wish.avoid


def _has_condition(wishes: Sequence[Wish]) -> bool:
    return any(
        wish.bound == "most" if wish.avoid else wish.kind == "tilt" or _has_target(wish)
        for wish in wishes
    )


def _has_target(wish: Wish) -> bool:
    return wish.kind in ("height", "center") and wish.target is not None


def _wants(wishes: Sequence[Wish], kind: str) -> bool:
    return any(wish.kind == kind and wish.sign > 0 and not wish.avoid for wish in wishes)


def _measure(wish: Wish, robot: Robot) -> Measure:
    match wish.kind:
        case "move" | "sideways":
            return _motion(wish, robot)
        case "jump":
            height = need(robot.height, "height")
            return Measure(height, "max", "m", "greatest height of an episode")
        case "spin" | "flip":
            speed = robot.yaw_speed if wish.kind == "spin" else robot.pitch_speed
            return _turning(wish, need(speed, "turning"))
        case "reach":
            distance = need(robot.reach_distance, "a distance to a target")
            return _distance(signed(distance, -wish.sign), wish.sign)
        case "push":
            distance = need(robot.push_distance, "a distance to a goal")
            return _distance(signed(distance, -wish.sign), wish.sign)
        case "height" | "stand":
            return _height(wish, need(robot.height, "height"))
        case "tilt":
            return _share(_posture(wish, robot), "share of a full episode spent in the posture")
        case "still":
            return _still(robot)
        case "balance":
            alive = need(robot.alive or robot.upright, "falling")
            good = f"({alive}) > 0.5" if wish.sign > 0 else f"({alive}) <= 0.5"
            state = "upright" if wish.sign > 0 else "fallen"
            return _share(good, f"share of a full episode spent {state}")
        case _:
            return _center(wish, start_distance(robot))


def _motion(wish: Wish, robot: Robot) -> Measure:
    speed, name = motion(wish, robot)
    what = f"{name} displacement"
    return _rate(wish, speed, "m/s", what, near=f" {name} (1 at it, 0 at a standstill)")


def _turning(wish: Wish, speed: str) -> Measure:
    return _rate(wish, signed(speed, wish.sign), "rad/s", wish.kind, near=" (1 at it, 0 at none)")


def _rate(wish: Wish, rate: str, unit: str, what: str, near: str) -> Measure:
    """Return how far it goes or turns, up to a limit, or how near its rate is to the target."""
    if wish.target is None:
        text = f"net {what} of the episode over the time that a full episode lasts"
        return Measure(rate, "sum", unit, text)
    target = f"{wish.target:.6g}"
    if wish.bound == "least":
        text = f"net {what}, counted up to {target} {unit}, over a full episode"
        return Measure(f"np.minimum({rate}, {target})", "sum", unit, text)
    if wish.bound == "most":
        counted = f"np.where({rate} <= {target}, {rate}, 0.0)"
        text = f"net {what} made at {target} {unit} or less, over a full episode"
        return Measure(counted, "sum", unit, text)
    # 1 at the target, 0 at a standstill and at twice the target
    width = f"{max(wish.target, 0.1):.6g}"
    closeness = f"np.maximum(1.0 - np.abs({rate} - {target}) / {width}, 0.0)"
    text = f"closeness to {target} {unit}{near}, mean of a full episode"
    return Measure(closeness, "sum", "", text)


def _distance(expression: str, sign: float) -> Measure:
    which = "minus the distance" if sign > 0 else "the distance"
    return Measure(expression, "last", "m", f"{which} to the goal at the end")


def _height(wish: Wish, height: str) -> Measure:
    if wish.bound:
        text = f"share of a full episode with the torso at {wish.target:.6g} m at {wish.bound}"
        return _share(_within(height, wish), text)
    if wish.target is not None:
        target = f"{wish.target:.6g}"
        near = f"np.maximum(1.0 - np.abs({height} - {target}) / {max(wish.target, 0.1):.6g}, 0.0)"
        text = f"closeness to a height of {target} m (1 at it), mean of a full episode"
        return Measure(near, "sum", "", text)
    if wish.sign < 0:
        # Falling must not pay: what is counted is height left below 2 m while the episode lasts.
        low = f"np.maximum(2.0 - {height}, 0.0)"
        return Measure(low, "sum", "m", "how far the torso stays below 2 m, mean of a full episode")
    return Measure(height, "sum", "m", "mean torso height over a full episode")


def _center(wish: Wish, distance: str) -> Measure:
    if wish.bound:
        where = f"{wish.target:.6g} m from the start at {wish.bound}"
        return _share(_within(distance, wish), f"share of a full episode spent {where}")
    if wish.target is not None:
        target = f"{wish.target:.6g}"
        near = f"np.maximum(1.0 - np.abs({distance} - {target}) / {max(wish.target, 0.1):.6g}, 0.0)"
        text = f"closeness to {target} m from the start (1 there), mean of a full episode"
        return Measure(near, "sum", "", text)
    if wish.sign < 0:
        return Measure(distance, "last", "m", "the distance from the start at the end")
    return _share(f"{distance} < 1", "share of a full episode spent within 1 m of the start")


def _still(robot: Robot) -> Measure:
    speeds = [speed for speed in (robot.forward_speed, robot.side_speed) if speed]
    if not speeds:
        need(robot.joint_speeds, "motion")
        speed = f"np.sqrt(np.mean(np.square({robot.joint_speeds}), axis=1))"
    else:
        speed = f"np.sqrt({' + '.join(f'np.square({each})' for each in speeds)})"
    near = f"np.maximum(1.0 - {speed} / {STILL_SPEED:.6g}, 0.0)"
    if robot.alive:
        near = f"{near} * {robot.alive}"
    text = f"closeness to a standstill (0 from {STILL_SPEED:.6g} on), mean of a full episode"
    return Measure(near, "sum", "", text)


def _posture(wish: Wish, robot: Robot) -> str:
    pitch = need(robot.pitch, "pitch")
    angle = wish.target or 0.0
    lean = signed(need(robot.lean, "pitch"), wish.sign)
    if wish.bound == "least":
        return f"{lean} >= {angle:.6g}"
    if wish.bound and wish.avoid:
        return f"{lean} <= {angle:.6g}"
    if wish.bound:
        return f"{need(robot.upright, 'pitch')} >= {cos(min(angle, pi)):.6g}"
    # within about 45 degrees
    return f"np.cos({pitch} - ({wish.sign * angle:.6g})) > 0.7"


def _condition(wish: Wish, robot: Robot) -> str | None:
    """Return what holds while a posture or a limit is kept; None where the wish is neither."""
    if wish.avoid and not wish.bound:
        return None
    if wish.kind == "tilt" and robot.pitch:
        return _posture(wish, robot)
    speed = robot.yaw_speed if wish.kind == "spin" else robot.pitch_speed
    if wish.avoid and wish.kind in ("spin", "flip") and speed:
        return f"np.abs({speed}) <= {wish.target:.6g}"
    if wish.kind == "height" and wish.bound and robot.height:
        return _within(robot.height, wish)
    if wish.kind == "center" and wish.bound and robot.position:
        return _within(start_distance(robot), wish)
    if wish.kind == "height" and robot.height and wish.target:
        width = max(0.05, 0.1 * wish.target)
        return f"np.abs({robot.height} - {wish.target:.6g}) < {width:.6g}"
    return None


def _within(quantity: str, wish: Wish) -> str:
    """Return whether a quantity is on the right side of its limit."""
    return f"{quantity} {'<=' if wish.bound == 'most' else '>='} {wish.target:.6g}"


def _share(condition: str, description: str) -> Measure:
    return Measure(f"np.where({condition}, 1.0, 0.0)", "sum", "", description)


def _conditioned(measure: Measure, main: Wish, wishes: Sequence[Wish], robot: Robot) -> Measure:
    """Count the measure only in the postures that other wishes ask for."""
    conditions = [
        (condition, wish.text)
        for wish in wishes
        if wish is not main and (condition := _condition(wish, robot))
    ]
    if not conditions:
        return measure
    both = " & ".join(f"({condition})" for condition, _ in conditions)
    words = " and ".join(text for _, text in conditions)
    return Measure(
        # What is lost outside the posture counts: or rocking to and fro would gain.
        f"np.where({both}, {measure.expression}, np.minimum({measure.expression}, 0.0))",
        measure.accumulate,
        measure.unit,
        f"{measure.description}; gains count only while '{words}' holds",
    )
