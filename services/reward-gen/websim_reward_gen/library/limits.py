"""Limits without a phrase of their own: "limit the speed to 2 m/s" is "the speed at most 2 m/s".

sentence.py calls it with each clause. Where a clause says its limit besides, as in "limit the speed
to less than 2 m/s", the word says nothing more and is left out: as a negation it would turn the
limit round.
"""

from collections.abc import Iterator
from typing import Literal

from websim_reward_gen.library.inflections import stems
from websim_reward_gen.library.targets import TARGETS
from websim_reward_gen.library.vocabulary import Meaning, find_phrase
from websim_reward_gen.library.wishes import PLAIN
from websim_reward_gen.library.words import Token

_Role = Literal["limit", "lessen", "max", "min"]
_Reading = Literal["as written", "nothing", "most", "least"]

_ROLES: dict[str, _Role] = {
    "limit": "limit",
    "cap": "limit",
    "restrict": "limit",
    "reduce": "lessen",
    "minimise": "lessen",
    "minimize": "lessen",
    "maximum": "max",
    "max": "max",
    "maximal": "max",
    "top": "max",
    "minimum": "min",
    "min": "min",
    "minimal": "min",
}

_JOINS: dict[_Role, tuple[str, ...]] = {
    "limit": ("to", "at", "of", "is"),
    "lessen": ("to",),
    "max": ("of", "is"),
    "min": ("of", "is", "be"),
}
"""Last words before the number of a limit."""

_MAX_BETWEEN: dict[_Role, int] = {"limit": 3, "lessen": 0, "max": 2, "min": 2}
"""Words between a word for a limit and its number where none of `_JOINS` is before the number."""

_TO = frozenset({"to", "at", "of", "is", "be"})
_NAMES = frozenset({"at", "no", "not", "a", "minimum", "lower"})
"""What tells "limit it to above 1 m" and "to at least 1 m" from "limit speeds above 1 m/s"."""

_NOUNS = frozenset({"maximum", "minimum", "a", "an", "upper", "lower"})
"""First words of phrases such as "a maximum of", which add nothing to "never exceed"."""


def with_limits(clause: list[Token]) -> list[Token]:
    """Return a clause whose words for limits are "at most" and "at least" before their numbers."""
    read: list[Token] = []
    inserted: dict[int, str] = {}
    is_limited = False
    """Whether a limit is said whose number is still to come."""
    index = 0
    while index < len(clause):
        if index in inserted:
            read += [Token("at"), Token(inserted[index])]
        found = _phrase_at(clause, index)
        length = found[1] if found else 1
        role = _role_at(clause[index], found)
        number = _number_after(clause, index)
        reading: _Reading = "as written"
        if _is_limit(found):
            if is_limited and clause[index].text in _NOUNS:
                reading, role = "nothing", None
            is_limited = True
        elif role and number:
            said = is_limited or _is_said_behind(clause, number)
            reading = "nothing" if said else _reading(role, clause[index + 1 : number])
        elif clause[index].number is not None:
            is_limited = False
        if reading == "as written":
            read += clause[index : index + length]
        elif role:
            # Of "max speed", the speed stays.
            read += clause[index + 1 : index + length]
        if reading in ("most", "least"):
            inserted[number] = reading
        index += length
    return read


def _reading(role: _Role, between: list[Token]) -> _Reading:
    """Return what a word for a limit says, from what is between it and its number."""
    phrases = list(_phrases(between))
    if any(_is_of_something_else(meaning) for _, meaning in phrases):
        # "with minimum torque at 2 m/s"
        return "as written"
    limits = [(at, meaning) for at, meaning in phrases if meaning.tag in ("most", "least")]
    if limits:
        at, meaning = limits[0]
        before = between[at - 1].text if at else ""
        lessens = role in ("limit", "lessen")
        says = meaning.tag == "most" or before in _TO or between[at].text in _NAMES
        return "nothing" if says or not lessens else "as written"
    joins = bool(between) and between[-1].text in _JOINS[role]
    if role == "lessen":
        # "reduce the speed to 2 m/s" is a value to hold.
        return "nothing" if joins else "as written"
    # "at maximum speed and a height of 1 m": the longer, the less sure it is the number's.
    room = len(between) if joins and role != "max" else _MAX_BETWEEN[role] + joins
    if len(between) > room:
        return "as written"
    return "least" if role == "min" else "most"


def _role_at(token: Token, found: tuple[Meaning, int] | None) -> _Role | None:
    """Return what a word may say of a limit; "minimum effort" says nothing of one."""
    if token.number is not None or (found and found[0].tag not in ("negation", "fast")):
        return None
    return next((_ROLES[each] for each in sorted(stems(token.text)) if each in _ROLES), None)


def _number_after(clause: list[Token], index: int) -> int:
    """Return where the next number is; 0 where there is none."""
    rest = range(index + 1, len(clause))
    return next((at for at in rest if clause[at].number is not None), 0)


def _is_said_behind(clause: list[Token], number: int) -> bool:
    """Tell "limit it to 2 m/s at most"."""
    if _number_after(clause, number):
        return False
    behind = (meaning.tag for _, meaning in _phrases(clause[number + 1 :]))
    return any(tag in ("most", "least") for tag in behind)


def _phrases(tokens: list[Token]) -> Iterator[tuple[int, Meaning]]:
    """Yield the phrases among some tokens, and where they begin."""
    index = 0
    while index < len(tokens):
        found = _phrase_at(tokens, index)
        if found:
            yield index, found[0]
        index += found[1] if found else 1


def _phrase_at(tokens: list[Token], index: int) -> tuple[Meaning, int] | None:
    if tokens[index].number is not None:
        return None
    return find_phrase([token.text for token in tokens[index:]])


def _is_limit(found: tuple[Meaning, int] | None) -> bool:
    return found is not None and found[0].tag in ("most", "least")


def _is_of_something_else(meaning: Meaning) -> bool:
    """Tell a phrase of what has no number: effort, smoothness."""
    kind = PLAIN.get(meaning.tag)
    return meaning.tag == "exertion" or (kind is not None and kind not in TARGETS)
