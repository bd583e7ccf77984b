"""Numbers of a clause: which wish each belongs to, and what it makes of it."""

from dataclasses import replace
from math import pi
from typing import Literal

from websim_reward_gen.library.wishes import LEAN, MOTIONS, PLAIN, SLOW_SPEED, Kind, Part, Wish
from websim_reward_gen.library.words import Quantity, Token

MAX_NUMBER = 1e4
"""No robot here is as fast, as high or as far, in SI units."""

TARGETS: dict[Kind, Quantity] = {
    "move": "speed",
    "sideways": "speed",
    "roam": "speed",
    "jump": "length",
    "height": "length",
    "center": "length",
    "reach": "length",
    "push": "length",
    "spin": "rate",
    "flip": "rate",
    "tilt": "angle",
}
"""Which wish a number belongs to."""

_MERELY_LIMITED: frozenset[Kind] = frozenset({"spin", "flip", "tilt", "jump"})
"""Not to do these beyond a limit is no wish to do them up to it, as it is with walking."""


HEIGHT_LIMITS = frozenset({"lower", "higher"})
"""Words in a limit that tell a height where the number is a length."""

LEAST_SPEED = 0.1
"""Slower than this, in m/s, is a standstill; in rad/s of a turn, none."""

_OF_A_PLACE = frozenset({"from", "of"})
"""Before a target or a goal they make a length a distance from it."""


def take_numbers(
    parts: list[Part], limits: dict[int, Part], wishes: list[Wish], before: list[Wish]
) -> list[Part]:
    """Give the numbers of a clause to its wishes, or to earlier ones, in place.

    Returns:
        The numbers that nothing can hold.
    """
    far = is_of_a_way(parts)
    unused = []
    for at, number in enumerate(parts):
        if number.tag != "number":
            continue
        limit = limits.get(at)
        # A height or a distance has no sign: of "the torso at -3 m" nobody knows where that is.
        is_below = number.quantity == "length" and number.value < 0.0
        if is_below or abs(number.value) > MAX_NUMBER:
            unused.append(number)
            continue
        owners = [each for each in wishes if is_about(each, number)] or [
            each for each in before if is_about(each, number)
        ]
        if far:
            owners = [each for each in owners if each.kind != "jump"]
        wish = next((each for each in owners if takes(each, number, limit)), None)
        if wish:
            changed = with_target(wish, number, limit)
            for owner in (wishes, before):
                owner[:] = [changed if each is wish else each for each in owner]
        elif limit and (other := _other_limit(owners, number, limit)):
            wishes.append(with_target(other, number, limit))
        elif of_body := _of_a_body(parts, number, limit):
            wishes.append(with_target(of_body, number, limit))
        else:
            unused.append(number)
    return unused


def _other_limit(owners: list[Wish], number: Part, limit: Part) -> Wish | None:
    """Return what a second limit is about: "at least 1 m/s at most 2 m/s"."""
    limited = (each for each in owners if each.bound and not each.avoid)
    other = next((each for each in limited if each.bound != _bound(each, number, limit)), None)
    return other and replace(other, text="", target=None, bound="")


def _of_a_body(parts: list[Part], number: Part, limit: Part | None) -> Wish | None:
    """Return what is wished of a torso, tip or pole: "the torso above 1 m", "within 5 degrees"."""
    body = next((part for part in parts if part.tag == "body"), None)
    if body is None and limit and HEIGHT_LIMITS & set(limit.text.split()):
        # "don't go lower than 1 m"
        body = limit
    if body is None or any(part.tag in ("direction", "side") for part in parts):
        return None
    if number.quantity == "length" and (limit or not is_of_a_way(parts)):
        return Wish("height", body.text)
    if number.quantity == "angle" and limit and is_most(limit):
        return Wish("tilt", body.text)
    return None


def settled(part: Part, parts: list[Part]) -> Part:
    """Return a number without the negation of something else: "without falling at 2 m/s"."""
    denied = [each for each in parts if each.negated and each.tag != "number"]
    if part.tag != "number" or not denied or any(may_have(each, part) for each in denied):
        return part
    return replace(part, negated=False)


def may_have(part: Part, number: Part | Token) -> bool:
    """Tell whether a number may be of what a phrase says."""
    if part.tag == "exertion":
        return False
    return number.quantity in ("none", TARGETS.get(PLAIN.get(part.tag, "move")))


def limits_of(parts: list[Part]) -> dict[int, Part]:
    """Return the "at most" and the like of numbers, which follow them or else go before."""
    numbers = [at for at, part in enumerate(parts) if part.tag == "number"]
    limits: dict[int, Part] = {}
    for at, part in enumerate(parts):
        if part.tag in ("most", "least") and numbers:
            limits.setdefault(next((each for each in numbers if each > at), numbers[-1]), part)
    return limits


def is_most(limit: Part) -> bool:
    """Tell whether a limit is one from above: "not more than" is."""
    return (limit.tag == "most") != limit.negated


def is_of_a_way(parts: list[Part]) -> bool:
    """Tell whether a length is a way gone, not a height: "jump 2 m forward"."""
    tags = {part.tag for part in parts}
    return "height" not in tags and bool(tags & {"move", "direction", "side", "fast"})


def is_about(wish: Wish, number: Part) -> bool:
    """Tell whether a number is of the quantity that a wish may have."""
    if number.quantity == "none":
        return wish.kind in MOTIONS and wish.target is None
    return TARGETS.get(wish.kind) == number.quantity


def takes(wish: Wish, number: Part, limit: Part | None) -> bool:
    """Tell whether a number of the right quantity can be the wish's target."""
    most = limit is not None and is_most(limit)
    if wish.bound or (limit is None and number.negated != wish.avoid):
        return False
    if wish.kind == "jump" and (number.value <= 0.0 or (wish.avoid and limit is None)):
        # "never jump 0.5 m high" says neither how high at most nor how high at least.
        return False
    if wish.kind in ("reach", "push"):
        # "push it 10 cm" is no distance from the goal.
        place = bool(_OF_A_PLACE & set(wish.text.split())) or (most and wish.kind == "reach")
        return wish.target is None and number.value >= 0.0 and place
    if wish.kind == "tilt":
        # "on its back" has an angle of its own; there is no limit to it.
        return (wish.target or 0.0) < (LEAN if most else pi)
    return wish.target is None or wish.target == SLOW_SPEED


def with_target(wish: Wish, number: Part, limit: Part | None) -> Wish:
    """Return the wish with a number: its target, or with "at most" and the like its limit."""
    said = " ".join(filter(None, [wish.text, limit.text if limit else "", number.text]))
    # "backwards at -2 m/s" says so twice.
    sign = -1.0 if number.value < 0 else wish.sign
    if limit is None and wish.kind in MOTIONS and abs(number.value) < LEAST_SPEED:
        return Wish("still", said)
    if limit is None:
        return replace(wish, text=said, sign=sign, target=abs(number.value))
    bound = _bound(wish, number, limit)
    if wish.kind == "height" and bound == "least":
        # "no lower than" is no wish to be low.
        sign = 1.0
    only_limit = wish.avoid and bound == "most" and wish.kind in _MERELY_LIMITED
    return Wish(wish.kind, said, sign, abs(number.value), bound, only_limit, wish.assumed)


def _bound(wish: Wish, number: Part, limit: Part) -> Literal["most", "least"]:
    """Return what a limit is of an amount: at most -1 m/s is at least 1 m/s the other way."""
    reverses = number.value < 0 and (wish.sign > 0 or wish.assumed)
    return "most" if is_most(limit) != reverses else "least"
