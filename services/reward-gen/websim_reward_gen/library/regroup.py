"""Phrases of a clause that belong together: leans and where to, turns and which way.

clauses.py calls it with the parts of each clause, before it makes wishes of them.
"""

from dataclasses import replace

from websim_reward_gen.library.targets import HEIGHT_LIMITS
from websim_reward_gen.library.wishes import GAITS, LEAN, SOME_LEAN, TOLD_LEAN, Part, Wish


def with_later_turns(parts: list[Part], before: list[Wish]) -> tuple[list[Part], list[Part]]:
    """Give earlier turns the side that is said later, in place: "spin slowly, clockwise".

    Returns:
        The parts without it, and the sides of turns that nothing has.
    """
    tags = {part.tag for part in parts}
    if tags & {"spin", "flip"}:
        return parts, []
    alone = not tags & {"move", "roam", "jump", "hop", "tilt", *GAITS}
    for kind, said in (("spin", ("turn_side", "side")), ("flip", ("direction",))):
        told = [part for part in parts if part.tag in said and not part.negated]
        turns = [each for each in before if each.kind == kind and each.assumed]
        if len(told) == 1 and turns and (alone or told[0].tag == "turn_side"):
            text = f"{turns[0].text} {told[0].text}"
            turned = replace(turns[0], text=text, sign=told[0].value, assumed=False)
            before[:] = [turned if each is turns[0] else each for each in before]
            return [part for part in parts if part is not told[0]], []
    return parts, [part for part in parts if part.tag == "turn_side"]


def with_leans(parts: list[Part]) -> list[Part]:
    """Return the parts with the directions of leans as leans: "lean the torso back"."""
    leans: list[Part] = []
    last: Part | None = None
    for part in parts:
        if part.tag == "tilt" and 0.0 < abs(part.value) < LEAN:
            last = part
        elif part.tag in ("move", *GAITS):
            last = None
        some = last is not None and last.value == SOME_LEAN
        if last and part.tag == "direction" and (some or part.negated == last.negated):
            # "lean neither forward nor back"
            if some and last in leans:
                leans.remove(last)
            value = part.value * TOLD_LEAN
            text = f"{last.text} {part.text}"
            leans.append(replace(last, text=text, negated=part.negated, value=value))
        elif not (last and part.tag == "fast"):
            leans.append(part)
    return leans


def without_unseen(parts: list[Part]) -> list[Part]:
    """Return the parts with what no field tells as unknown.

    That is a lean to the side, and a push that is not to the goal: "push it left".
    """
    elsewhere = any(part.tag in ("side", "direction") for part in parts) or any(
        part.text in ("away", "off") for part in parts
    )
    pushes = not any(is_of_a_goal(part) for part in parts) and elsewhere
    tilts = [part for part in parts if part.tag == "tilt" and part.value == SOME_LEAN]
    sides = [part for part in parts if part.tag == "side"]
    leans = tilts and sides and not any(part.tag in ("move", "direction") for part in parts)
    bounds = [part for part in parts if part.tag in ("most", "least")]
    of_height = any(part.tag == "body" for part in parts) or (
        any(HEIGHT_LIMITS & set(part.text.split()) for part in bounds)
        and any(part.quantity == "length" for part in parts)
    )
    if bounds and of_height:
        # "don't let the torso go below 1 m" halts nothing.
        parts = [part for part in parts if not (part.tag == "move" and part.negated)]
    unseen = [each for each in parts if pushes and each.tag == "push"]
    unseen += [*tilts, *sides] if leans else []
    return [replace(each, tag="unknown") if each in unseen else each for each in parts]


def is_of_a_goal(part: Part) -> bool:
    """Tell a phrase for the goal that an object is pushed to."""
    return part.tag == "reach" and bool({"goal", "target"} & set(part.text.split()))
