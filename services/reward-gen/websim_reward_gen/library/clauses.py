"""How the parts of one clause make wishes."""

from dataclasses import replace
from math import pi
from typing import Literal

from websim_reward_gen.library.wishes import LEAN, SLOW_SPEED, SOME_LEAN, Kind, Part, Wish
from websim_reward_gen.library.words import Quantity

MAX_NUMBER = 1e4
"""No robot here is as fast, as high or as far, in SI units."""

_PLAIN: dict[str, Kind] = {
    "still": "still",
    "jump": "jump",
    "hop": "jump",
    "height": "height",
    "stand": "stand",
    "spin": "spin",
    "flip": "flip",
    "balance": "balance",
    "effort": "effort",
    "smooth": "smooth",
    "impact": "impact",
    "tilt": "tilt",
    "reach": "reach",
    "push": "push",
    "center": "center",
    "straight": "straight",
    "joints": "joints",
}

_TARGETS: dict[Kind, Quantity] = {
    "move": "speed",
    "sideways": "speed",
    "jump": "length",
    "height": "length",
    "center": "length",
    "spin": "rate",
    "flip": "rate",
    "tilt": "angle",
}
"""Which wish a number belongs to."""

_MERELY_LIMITED: frozenset[Kind] = frozenset({"spin", "flip", "tilt"})
"""Not to do these beyond a limit is no wish to do them up to it, as it is with walking."""

_ABSORBS_MOTION: frozenset[Kind] = frozenset({"still", "spin", "flip", "reach", "push", "center"})
"""In a clause with one of these, "move" or "go" without a direction means nothing of its own."""


def read_clause(parts: list[Part], before: list[Wish]) -> tuple[list[Wish], list[str]]:
    """Return the wishes in a clause, and what in it was not understood.

    Args:
        parts: the phrases and numbers of the clause, in order.
        before: wishes of earlier clauses; "at 2 m/s" after a comma changes the motion among them,
            in place.
    """
    parts = [_settled(part, parts) for part in parts]
    limits = _limits(parts)
    wishes = _plain_wishes(parts)
    # "not at 2 m/s" is about what was said before, or about nothing.
    speeds = [
        part
        for at, part in enumerate(parts)
        if part.quantity == "speed" and (at in limits or not part.negated)
    ]
    wishes += _motion_wishes(parts, wishes, before, speeds)
    unused = []
    for at, number in enumerate(parts):
        if number.tag != "number":
            continue
        owners = [each for each in wishes if _is_about(each, number)] or [
            each for each in before if _is_about(each, number)
        ]
        limit = limits.get(at)
        wish = next((each for each in owners if _takes(each, number, limit)), None)
        if wish is None or abs(number.value) > MAX_NUMBER:
            unused.append(number)
            continue
        changed = _with_target(wish, number, limit)
        for owner in (wishes, before):
            owner[:] = [changed if each is wish else each for each in owner]
    left = [_said(part) for part in parts if part.tag in ("unknown", "style") or part in unused]
    return wishes, left


def _said(part: Part) -> str:
    return f"not {part.text}" if part.negated else part.text


def _settled(part: Part, parts: list[Part]) -> Part:
    """Return a number without the negation of something else: "without falling at 2 m/s"."""
    denied = [each for each in parts if each.negated and each.tag != "number"]
    if part.tag != "number" or not denied or any(_may_have(each, part) for each in denied):
        return part
    return replace(part, negated=False)


def _may_have(part: Part, number: Part) -> bool:
    return number.quantity in ("none", _TARGETS.get(_PLAIN.get(part.tag, "move")))


def _limits(parts: list[Part]) -> dict[int, Part]:
    """Return the "at most" and the like of numbers, which follow them or else go before."""
    numbers = [at for at, part in enumerate(parts) if part.tag == "number"]
    limits: dict[int, Part] = {}
    for at, part in enumerate(parts):
        if part.tag in ("most", "least") and numbers:
            limits.setdefault(next((each for each in numbers if each > at), numbers[-1]), part)
    return limits


def _is_most(limit: Part) -> bool:
    return (limit.tag == "most") != limit.negated


def _is_about(wish: Wish, number: Part) -> bool:
    if number.quantity == "none":
        return wish.kind in ("move", "sideways") and wish.target is None
    return _TARGETS.get(wish.kind) == number.quantity


def _takes(wish: Wish, number: Part, limit: Part | None) -> bool:
    """Tell whether a number of the right quantity can be the wish's target."""
    most = limit is not None and _is_most(limit)
    if limit is None and number.negated != wish.avoid:
        return False
    if wish.kind == "jump":
        # Heights are above ground: how high the robot is at rest is not known.
        return most
    if wish.kind == "tilt":
        # "on its back" has an angle of its own; there is no limit to it.
        return (wish.target or 0.0) < (LEAN if most else pi)
    return wish.target is None or wish.target == SLOW_SPEED


def _with_target(wish: Wish, number: Part, limit: Part | None) -> Wish:
    """Return the wish with a number: its target, or with "at most" and the like its limit."""
    said = " ".join([wish.text, *([limit.text] if limit else []), number.text])
    sign = -wish.sign if number.value < 0 else wish.sign
    if limit is None:
        return replace(wish, text=said, sign=sign, target=abs(number.value))
    bound: Literal["most", "least"] = "most" if _is_most(limit) else "least"
    if wish.kind == "height" and bound == "least":
        # "no lower than" is no wish to be low.
        sign = 1.0
    only_limit = wish.avoid and bound == "most" and wish.kind in _MERELY_LIMITED
    return Wish(wish.kind, said, sign, abs(number.value), bound, only_limit)


def _plain_wishes(parts: list[Part]) -> list[Wish]:
    """Return the wishes that one phrase says, with the sides of what turns."""
    tags = {part.tag for part in parts}
    # To hop somewhere is a way of going there; to hop is to jump.
    hops_on = tags & {"direction", "side", "fast", "slow"}
    wishes: list[Wish] = []
    for part in parts:
        kind = _PLAIN.get(part.tag)
        if kind is None or (kind == "height" and part.value > 0 and _of_a_jump(part, parts)):
            continue
        if part.tag == "hop" and hops_on:
            continue
        if kind == "reach" and _is_told(part, parts):
            continue
        if kind == "stand" and tags & {"still", "tilt"}:
            continue
        if kind == "still" and part.negated:
            wishes.append(Wish("move", _said(part)))
            continue
        wish = _plain(kind, part, parts)
        same = [each for each in wishes if each.kind == wish.kind and each.sign == wish.sign]
        if not same:
            wishes.append(wish)
        elif kind == "reach":
            # "reach the goal": what it is that is reached tells a goal from an object.
            at = wishes.index(same[0])
            wishes[at] = replace(same[0], text=f"{same[0].text} {part.text}")
    return wishes


def _is_told(reach: Part, parts: list[Part]) -> bool:
    """Tell whether the clause's other phrases say already what a phrase of reaching says."""
    if any(part.tag == "push" for part in parts) and _is_of_a_goal(reach):
        # "push it away from the goal" is a push.
        return reach.negated or reach.value < 0
    # "the fingertip away from the target" reaches nothing.
    return reach.value > 0 and any(part.tag == "reach" and part.value < 0 for part in parts)


def _is_of_a_goal(part: Part) -> bool:
    return part.tag == "reach" and bool({"goal", "target"} & set(part.text.split()))


def _of_a_jump(height: Part, parts: list[Part]) -> bool:
    """Tell "jump high", which is a jump, from "jump less high"."""
    return any(part.tag == "jump" and part.negated == height.negated for part in parts)


def _plain(kind: Kind, part: Part, parts: list[Part]) -> Wish:
    text = _said(part)
    if kind == "tilt":
        if part.negated and part.value == SOME_LEAN:
            # "without leaning" to any side
            return Wish(kind, text, 1.0, 0.0)
        sign = -1.0 if part.value < 0 else 1.0
        return Wish(kind, text, sign, abs(part.value), avoid=part.negated)
    sign = part.value
    if kind == "stand" and part.negated:
        return Wish("height", text, -1.0)
    if kind == "push":
        for each in parts:
            if _is_of_a_goal(each):
                # Not to the goal is away from it; not at all is another matter.
                sign = -each.value if part.negated or each.negated else each.value
                return Wish(kind, f"{text} {each.text}", sign)
    if kind in ("spin", "flip"):
        for each in parts:
            turns = ("side", "turn_side") if kind == "spin" else ("direction",)
            if each.tag in turns:
                sign, text = each.value, f"{text} {each.text}"
        return Wish(kind, text, sign, avoid=part.negated)
    if kind in ("balance", "effort", "smooth", "impact", "straight", "joints", "height", "reach"):
        # "without falling" wishes for balance, "not jerky" for smoothness.
        return Wish(kind, text, -sign if part.negated else sign)
    return Wish(kind, text, sign, avoid=part.negated)


def _motion_wishes(
    parts: list[Part], plain: list[Wish], before: list[Wish], speeds: list[Part]
) -> list[Wish]:
    """Return the wishes to go somewhere; a mere pace changes an earlier one, in place."""
    kinds = {wish.kind for wish in plain}
    directions = [] if "flip" in kinds else [p for p in parts if p.tag == "direction"]
    sides = [] if "spin" in kinds else [p for p in parts if p.tag == "side"]
    moves = [part for part in parts if part.tag == "move"]
    paces = [part for part in parts if part.tag in ("fast", "slow")]
    halts = all(part.negated for part in moves)
    # "run with less spinning" still asks for a run, "never go above 1 m height" for no standstill.
    if any(
        (wish.kind in _ABSORBS_MOTION and (halts or not wish.avoid))
        or (wish.kind == "height" and moves and halts)
        for wish in plain
    ):
        moves, paces = [], paces if directions or sides else []
    earlier = [wish for wish in before if wish.kind in ("move", "sideways")]
    if not (moves or directions or sides):
        if earlier and paces:
            before[:] = [_paced(each, paces) if each is earlier[0] else each for each in before]
            return []
        if not paces and (not speeds or earlier):
            return []
    if "move" in kinds and not (directions or sides):
        return []
    if halts and not (directions or sides or paces or speeds):
        return [Wish("still", _said(moves[0]))]
    text = " ".join(_said(part) for part in parts if part in [*moves, *directions, *sides, *paces])
    wishes = [
        Wish("move", text or "speed", part.value, avoid=part.negated) for part in directions[:2]
    ]
    wishes += [Wish("sideways", text, part.value, avoid=part.negated) for part in sides[:2]]
    if not wishes:
        wishes = [Wish("move", text or "speed")]
    return [wish if wish.avoid else _paced(wish, paces) for wish in wishes]


def _paced(wish: Wish, paces: list[Part]) -> Wish:
    """Return the wish with its pace: slow has a target, fast has none."""
    for pace in paces:
        if (pace.tag == "slow") != pace.negated and wish.target is None:
            return replace(wish, target=SLOW_SPEED, bound="most" if pace.negated else "")
    return wish
