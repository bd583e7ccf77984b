"""Terms of heights and postures: jumping, standing. Like those of terms.py."""

from websim_reward_gen.library.columns import Term, bounded_gain, need, signed
from websim_reward_gen.library.robot import Robot
from websim_reward_gen.library.wishes import Wish


def jump_terms(wish: Wish, robot: Robot) -> list[Term]:
    """Return what pays for leaving the ground, or for staying on it or below a height."""
    if wish.target is not None:
        return _jump_to(f"{wish.target:.6g}", wish, robot)
    height = need(robot.height, "height")
    if wish.avoid:
        rise = need(robot.rise_speed, "vertical speed")
        return [Term("grounded", f"-np.square({rise})", 0.5, "stay on the ground")]
    return [Term("height", height, 2.0, "torso high"), *_upward(robot)]


def _jump_to(target: str, wish: Wish, robot: Robot) -> list[Term]:
    rise = need(robot.start_rise, "height above the start")
    if wish.avoid:
        purpose = f"torso {target} m above its start at most"
        return [Term("jump_limit", f"-np.maximum({rise} - {target}, 0.0)", 2.0, purpose)]
    if wish.bound == "most":
        purpose = f"torso up to {target} m above its start, no higher"
        return [Term("height", bounded_gain(rise, target, wish), 2.0, purpose)]
    purpose = f"torso {target} m above its start"
    return [Term("height", f"np.minimum({rise}, {target})", 2.0, purpose), *_upward(robot)]


def _upward(robot: Robot) -> list[Term]:
    if robot.rise_speed is None:
        return []
    return [Term("rise", f"np.maximum({robot.rise_speed}, 0.0)", 1.0, "move upward")]


def height_terms(wish: Wish, robot: Robot) -> list[Term]:
    """Return what pays for a height of the torso."""
    height = need(robot.height, "height")
    if wish.target is not None:
        target = f"{wish.target:.6g}"
        if wish.bound:
            keep = "np.minimum" if wish.bound == "least" else "-np.maximum"
            return [Term("height", f"{keep}({height}, {target})", 2.0, f"height, bound {target} m")]
        near = f"np.exp(-np.square(({height} - {target}) / 0.15))"
        return [
            Term("at_height", near, 1.0, f"torso at {target} m"),
            Term("towards_height", f"-np.abs({height} - {target})", 1.0, "neither above nor below"),
        ]
    name = "high" if wish.sign > 0 else "low"
    return [Term(name, signed(height, wish.sign), 2.0, f"torso {name}")]


def stand_terms(wish: Wish, robot: Robot) -> list[Term]:
    """Return what pays for standing up."""
    terms = [Term("height", need(robot.height, "height"), 2.0, "torso high")]
    if robot.upright:
        terms.append(Term("upright", robot.upright, 0.5, "torso upright"))
    return terms
