"""How the parts of one clause make wishes."""

from dataclasses import replace

from websim_reward_gen.library.inflections import stems
from websim_reward_gen.library.regroup import (
    is_of_a_goal,
    with_later_turns,
    with_leans,
    without_unseen,
)
from websim_reward_gen.library.targets import (
    is_most,
    limits_of,
    settled,
    take_numbers,
)
from websim_reward_gen.library.wishes import (
    GAITS,
    MOTIONS,
    PLAIN,
    SLOW_SPEED,
    SOME_LEAN,
    Kind,
    Part,
    Wish,
)

_ABSORBS_MOTION: frozenset[Kind] = frozenset({"still", "spin", "flip", "reach", "push", "center"})
"""In a clause with one of these, "move" or "go" without a direction means nothing of its own, but
in circles or near a place."""

_UNPACED: frozenset[Kind] = frozenset(
    {"jump", "height", "stand", "still", "balance", "reach", "push"}
)
"""What "quickly" or "slowly" says of these, no measure tells."""

_PACED_ALONE: frozenset[Kind] = (_UNPACED - {"balance"}) | {"spin", "flip"}
"""A mere pace after one of these is no motion of its own."""

_FAR = 2.0
"""The value of "as far as possible", which is a way and no pace."""

_STAYS = frozenset({"near", "close", "in", "at", "around", "of", "from"})
"""Words before a place where something is done, rather than gone to."""


def read_clause(parts: list[Part], before: list[Wish]) -> tuple[list[Wish], list[str]]:
    """Return the wishes in a clause, and what in it was not understood.

    Args:
        parts: the phrases and numbers of the clause, in order.
        before: wishes of earlier clauses; "at 2 m/s" after a comma changes the motion among them,
            in place.
    """
    parts = [settled(part, parts) for part in without_unseen(with_leans(parts))]
    parts, unturned = with_later_turns(parts, before)
    limits = limits_of(parts)
    wishes = _plain_wishes(parts)
    amidst = [wish for wish in wishes if _is_amidst(wish, parts, limits)]
    # "not at 2 m/s" is about what was said before, or about nothing.
    speeds = [
        part
        for at, part in enumerate(parts)
        if part.quantity == "speed" and (at in limits or not part.negated)
    ]
    motions, unused = _motion_wishes(parts, wishes, before, speeds, amidst)
    wishes += motions
    unused += unturned
    unused += take_numbers(parts, limits, wishes, before)
    # "above" without a number, "at a constant speed" without one
    unused += [
        part
        for part in parts
        if (part.tag in ("most", "least") and not any(part is each for each in limits.values()))
        or (part.tag == "even" and not speeds)
    ]
    left = [_said(part) for part in parts if part.tag in ("unknown", "style") or part in unused]
    return wishes, left


def _said(part: Part) -> str:
    return f"not {part.text}" if part.negated else part.text


def _plain_wishes(parts: list[Part]) -> list[Wish]:
    """Return the wishes that one phrase says, with the sides of what turns."""
    tags = {part.tag for part in parts}
    # To hop somewhere is a way of going there; to hop is to jump.
    hops_on = tags & {"direction", "side", "fast", "slow"}
    wishes: list[Wish] = []
    for part in parts:
        kind = PLAIN.get(part.tag)
        if kind is None or (kind == "height" and part.value > 0 and _of_a_jump(part, parts)):
            continue
        if part.tag == "hop" and hops_on:
            continue
        if kind == "reach" and (_is_told(part, parts) or _gets_to(part, parts)):
            continue
        if kind == "stand" and tags & {"still", "tilt"}:
            continue
        if kind == "still" and part.negated:
            wishes.append(Wish("move", _said(part), assumed=True))
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
    if any(part.tag == "push" for part in parts) and is_of_a_goal(reach):
        # "push it away from the goal" is a push.
        return reach.negated or reach.value < 0
    # "the fingertip away from the target" reaches nothing.
    return reach.value > 0 and any(part.tag == "reach" and part.value < 0 for part in parts)


def _gets_to(reach: Part, parts: list[Part]) -> bool:
    """Tell "reach 2 m/s", "reach a height of 1 m" and "reach top speed" from reaching a target."""
    if "reach" not in stems(reach.text) or sum(part.tag == "reach" for part in parts) > 1:
        return False
    return any(
        part.quantity in ("speed", "rate", "angle")
        or part.tag == "height"
        or (part.tag == "fast" and "speed" in part.text)
        for part in parts
    )


def _of_a_jump(height: Part, parts: list[Part]) -> bool:
    """Tell "jump high", which is a jump, from "jump less high"."""
    return any(part.tag in ("jump", "hop") and part.negated == height.negated for part in parts)


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
            if is_of_a_goal(each):
                # Not to the goal is away from it; not at all is another matter.
                sign = -each.value if part.negated or each.negated else each.value
                return Wish(kind, f"{text} {each.text}", sign)
    if kind in ("spin", "flip"):
        sides = ("side", "turn_side") if kind == "spin" else ("direction",)
        told = [each for each in parts if each.tag in sides]
        if told and not (part.negated and len(told) > 1):
            # "without turning left or right" is to either side.
            sign = told[-1].value
        text = " ".join([text, *(each.text for each in told)])
        assumed = not told and part.value > 0 and not part.negated
        return Wish(kind, text, sign, avoid=part.negated, assumed=assumed)
    if kind in ("balance", "effort", "smooth", "impact", "straight", "joints", "height", "reach"):
        # "without falling" wishes for balance, "not jerky" for smoothness.
        return Wish(kind, text, -sign if part.negated else sign)
    return Wish(kind, text, sign, avoid=part.negated)


def _is_amidst(wish: Wish, parts: list[Part], limits: dict[int, Part]) -> bool:
    """Tell whether one can go on while doing it: in circles, or near the start."""
    if wish.avoid:
        return False
    if wish.kind == "center" and wish.sign > 0:
        lengths = [at for at, part in enumerate(parts) if part.quantity == "length"]
        stays = all(at in limits and is_most(limits[at]) for at in lengths)
        return stays and wish.text.split()[0] in _STAYS
    return wish.kind == "spin"


def _motion_wishes(
    parts: list[Part],
    plain: list[Wish],
    before: list[Wish],
    speeds: list[Part],
    amidst: list[Wish],
) -> tuple[list[Wish], list[Part]]:
    """Return the wishes to go somewhere, and the paces that are of nothing.

    A mere pace changes an earlier wish, or that of a turn, in place.
    """
    kinds = {wish.kind for wish in plain}
    directions = [] if "flip" in kinds else [p for p in parts if p.tag == "direction"]
    sides = [] if "spin" in kinds else _told_sides([p for p in parts if p.tag == "side"])
    moves = [part for part in parts if part.tag in ("move", "roam")]
    gaits = [part for part in parts if part.tag in GAITS and not part.negated]
    paces = [part for part in parts if part.tag in ("fast", "slow")]
    roams = any(part.tag == "roam" for part in parts)
    halts = all(part.negated for part in moves) and not gaits
    # "run with less spinning" still asks for a run, "never go above 1 m height" for no standstill.
    if any(
        (wish.kind in _ABSORBS_MOTION and (halts or not (wish.avoid or wish in amidst)))
        or (wish.kind == "height" and moves and halts)
        for wish in plain
    ):
        moves, gaits = [], []
        if not (directions or sides):
            return _speed_wishes(speeds), _turn_at(paces, plain)
    earlier = [wish for wish in before if wish.kind in MOTIONS]
    if not (moves or directions or sides or gaits):
        if paces and kinds & _UNPACED and not any(pace.value == _FAR for pace in paces):
            return _speed_wishes(speeds), paces
        if earlier and paces:
            before[:] = [_paced(each, paces) if each is earlier[0] else each for each in before]
            return [], []
        # "spin, fast" is no run, but "smoothly, fast" is.
        if paces and not plain and any(wish.kind in _PACED_ALONE for wish in before):
            return [], _turn_at(paces, before)
        if not paces and (not speeds or earlier):
            return [], []
    if "move" in kinds and not (directions or sides):
        return [], []
    if halts and not (directions or sides or paces or speeds):
        if any(wish.kind == "tilt" and wish.avoid for wish in plain):
            # "don't run on hind legs" is about how it is done.
            return [Wish("move", moves[0].text, assumed=True)], []
        return [Wish("still", _said(moves[0]))], []

    def said(*where: Part) -> str:
        return " ".join(_said(part) for part in parts if part in [*moves, *where, *paces])

    wishes = [Wish("move", said(part), part.value, avoid=part.negated) for part in directions[:2]]
    wishes += [
        Wish("sideways", said(p), p.value, avoid=p.negated, assumed=_is_either_side(p))
        for p in sides[:2]
    ]
    if not wishes:
        # In circles, near a place or wandering one goes on whichever way.
        wishes = [
            Wish(
                "roam" if roams or (amidst and (moves or gaits)) else "move",
                said() or ("forward" if gaits else "speed"),
                assumed=True,
            )
        ]
    return [wish if wish.avoid else _paced(wish, paces) for wish in wishes], []


def _speed_wishes(speeds: list[Part]) -> list[Wish]:
    """Return what a speed alone wishes for."""
    return [Wish("move", "speed", assumed=True)] if speeds else []


def _is_either_side(side: Part) -> bool:
    """Tell "sideways" from "to the left"."""
    return "side" in side.text or "lateral" in side.text


def _told_sides(sides: list[Part]) -> list[Part]:
    """Return the sides that are named where one is: "sideways to the right"."""
    return [side for side in sides if not _is_either_side(side)] or sides


def _turn_at(paces: list[Part], wishes: list[Wish]) -> list[Part]:
    """Give the turns among some wishes a pace, in place, and return the paces if there are none."""
    turns = [each for each in wishes if each.kind in ("spin", "flip") and not each.avoid]
    wishes[:] = [_paced(each, paces) if each in turns else each for each in wishes]
    return [] if turns else paces


def _paced(wish: Wish, paces: list[Part]) -> Wish:
    """Return the wish with its pace: slow has a target, fast has none."""
    for pace in paces:
        if (pace.tag == "slow") != pace.negated and wish.target is None:
            return replace(wish, target=SLOW_SPEED, bound="most" if pace.negated else "")
    return wish
