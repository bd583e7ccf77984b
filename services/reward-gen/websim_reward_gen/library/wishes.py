"""What a person may wish for, and how the parts of one clause make wishes."""

from dataclasses import dataclass, replace
from typing import Literal

from websim_reward_gen.library.vocabulary import Tag
from websim_reward_gen.library.words import Quantity

Kind = Literal[
    "move",
    "sideways",
    "still",
    "jump",
    "height",
    "stand",
    "spin",
    "flip",
    "balance",
    "effort",
    "smooth",
    "impact",
    "tilt",
    "reach",
    "push",
    "center",
    "straight",
    "joints",
]

SLOW_SPEED = 0.5
"""What "slowly" means, in m/s."""

MAX_NUMBER = 1e4
"""No robot here is as fast, as high or as far, in SI units."""

_PLAIN: dict[Tag, Kind] = {
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

_ABSORBS_MOTION: frozenset[Kind] = frozenset({"still", "spin", "flip", "reach", "push", "center"})
"""In a clause with one of these, "move" or "go" without a direction means nothing of its own."""


@dataclass(frozen=True)
class Part:
    """One phrase or number of a clause."""

    tag: Tag | Literal["number", "unknown"]
    text: str
    negated: bool = False
    value: float = 1.0
    quantity: Quantity = "none"


@dataclass(frozen=True)
class Wish:
    """One thing that is to be, or not to be."""

    kind: Kind
    text: str
    """The words that say it."""
    sign: float = 1.0
    """Direction: forward, left, up, counterclockwise and nose down are positive."""
    target: float | None = None
    """In SI units; none means as much as possible."""
    bound: Literal["most", "least", ""] = ""
    """Whether the target is a limit rather than a value to hold."""
    avoid: bool = False
    """To keep it from happening."""

    def repeats(self, other: "Wish") -> bool:
        """Tell whether both say the same, in whatever words."""
        return replace(self, text=other.text) == other

    def excludes(self, other: "Wish") -> bool:
        """Tell whether both cannot be had at the same time."""
        kinds = {self.kind, other.kind}
        if kinds == {"still", "move"} or kinds == {"still", "sideways"}:
            return not (self.avoid or other.avoid)
        if kinds == {"jump", "height"}:
            # "jump less high"
            low = self if self.kind == "height" else other
            return low.sign < 0 and low.target is None and not (self.avoid or other.avoid)
        if self.kind != other.kind:
            return False
        if self.avoid != other.avoid:
            return self.sign == other.sign
        if self.avoid:
            return False
        return self.sign != other.sign or (
            self.target != other.target and not self.bound and not other.bound
        )


def read_clause(parts: list[Part], before: list[Wish]) -> tuple[list[Wish], list[str]]:
    """Return the wishes in a clause, and what in it was not understood.

    Args:
        parts: the phrases and numbers of the clause, in order.
        before: wishes of earlier clauses; "at 2 m/s" after a comma changes the motion among them,
            in place.
    """
    numbers = [part for part in parts if part.tag == "number"]
    wishes = _plain_wishes(parts)
    wishes += _motion_wishes(parts, wishes, before, numbers)
    bounds = [part for part in parts if part.tag in ("most", "least")]
    unused = []
    for number in numbers:
        if abs(number.value) > MAX_NUMBER:
            unused.append(number)
            continue
        targets = [*_fitting(wishes, number), *_fitting(before, number)]
        if not targets:
            unused.append(number)
            continue
        wish = targets[0]
        changed = _with_target(wish, number, bounds)
        for owner in (wishes, before):
            owner[:] = [changed if each is wish else each for each in owner]
    left = [_said(part) for part in parts if part.tag in ("unknown", "style") or part in unused]
    return wishes, left


def _said(part: Part) -> str:
    return f"not {part.text}" if part.negated else part.text


def _with_target(wish: Wish, number: Part, bounds: list[Part]) -> Wish:
    """Return the wish with a number: its target, or with "at most" and the like its limit."""
    said = " ".join([wish.text, *(bound.text for bound in bounds), number.text])
    sign = -wish.sign if number.value < 0 else wish.sign
    bound: Literal["most", "least", ""] = ""
    if bounds:
        bound = "most" if (bounds[0].tag == "most") != bounds[0].negated else "least"
    return Wish(wish.kind, said, sign, abs(number.value), bound)


def _fitting(wishes: list[Wish], number: Part) -> list[Wish]:
    quantity = number.quantity
    return [
        wish
        for wish in wishes
        if wish.target is None or wish.target == SLOW_SPEED or wish.kind == "tilt"
        if _TARGETS.get(wish.kind) == quantity
        or (quantity == "none" and wish.kind in ("move", "sideways") and wish.target is None)
    ][:1]


def _plain_wishes(parts: list[Part]) -> list[Wish]:
    """Return the wishes that one phrase says, with the sides of what turns."""
    tags = {part.tag for part in parts}
    # To hop somewhere is a way of going there; to hop is to jump.
    hops_on = tags & {"direction", "side", "fast", "slow"}
    wishes: list[Wish] = []
    for part in parts:
        kind = _PLAIN.get(part.tag)  # type: ignore[arg-type]
        if kind is None or (kind == "height" and part.value > 0 and _of_a_jump(part, parts)):
            continue
        if part.tag == "hop" and hops_on:
            continue
        if kind == "stand" and tags & {"still", "tilt"}:
            continue
        if kind == "still" and part.negated:
            wishes.append(Wish("move", _said(part)))
            continue
        wish = _plain(kind, part, parts)
        if not any(each.kind == kind and each.sign == wish.sign for each in wishes):
            wishes.append(wish)
    return wishes


def _of_a_jump(height: Part, parts: list[Part]) -> bool:
    """Tell "jump high", which is a jump, from "jump less high"."""
    return any(part.tag == "jump" and part.negated == height.negated for part in parts)


def _plain(kind: Kind, part: Part, parts: list[Part]) -> Wish:
    text = _said(part)
    if kind == "tilt":
        sign = -1.0 if part.value < 0 else 1.0
        return Wish(kind, text, sign, abs(part.value), avoid=part.negated)
    sign = part.value
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
    parts: list[Part], plain: list[Wish], before: list[Wish], numbers: list[Part]
) -> list[Wish]:
    """Return the wishes to go somewhere; a mere pace changes an earlier one, in place."""
    kinds = {wish.kind for wish in plain}
    directions = [] if "flip" in kinds else [p for p in parts if p.tag == "direction"]
    sides = [] if "spin" in kinds else [p for p in parts if p.tag == "side"]
    moves = [part for part in parts if part.tag == "move"]
    paces = [part for part in parts if part.tag in ("fast", "slow")]
    halts = all(part.negated for part in moves)
    # "run with less spinning" still asks for a run.
    if any(wish.kind in _ABSORBS_MOTION and (halts or not wish.avoid) for wish in plain):
        moves, paces = [], paces if directions or sides else []
    speeds = [part for part in numbers if part.quantity == "speed"]
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
