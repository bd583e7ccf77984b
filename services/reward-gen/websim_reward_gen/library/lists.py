"""Lists under one negation: "without jumping, flipping or falling" denies all three.

A comma or an "and" begins a clause elsewhere, with nothing denied. Between the members of such a
list it becomes "or", which does not. Where nobody can tell whether a member is of the list, as in
"no jumping, flipping", it is marked, and reported as not understood.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from websim_reward_gen.library.vocabulary import STOP_WORDS, Meaning, find_phrase
from websim_reward_gen.library.words import Token

_IS = frozenset({"is", "are", "be"})
_MAY = frozenset({"must", "should", "shall", "may", "can", "to"})
_JOINS = frozenset({"or", "nor", "and", ","})
_OR = frozenset({"or", "nor"})
_INSTEAD = frozenset({"instead", "rather"})
"""What is denied is told from what is wanted, which follows: "instead of walking, hopping"."""
_PLAIN_FORM = frozenset({"never", "not"})
"""After these a word in -s is a verb: "it never falls and jumps high"."""

_GOES = frozenset({"move", "roam", "direction", "side", "fast", "slow"})
"""What is usually wanted: "without falling, moving on"."""
_IS_GOOD = frozenset({"balance", "smooth", "effort", "impact", "straight", "stand", "still"})
"""Tags whose phrases are wanted with a value above 0 and unwanted below."""
_DOES = _GOES - {"direction", "side", "fast", "slow"} | {
    *("jump", "hop", "spin", "flip", "balance", "still", "stop", "tilt", "joints", "smooth")
}
"""What a member may be that is a verb in its plain form: "don't fall, jump or stop"."""


@dataclass(frozen=True)
class _Member:
    """One thing of a list."""

    at: int
    """Where it begins."""
    join: str
    """What joins it to the one before: a comma, "and", "or"; empty for the first."""


def with_lists(tokens: list[Token]) -> list[Token]:
    """Return the tokens with "or" between the members of each list that is denied as a whole."""
    joined = list(tokens)
    for at, token in enumerate(tokens):
        found = _phrase_at(tokens, at)
        if found and found[0].tag == "negation" and not _is_said_behind(tokens, at):
            _deny(joined, token.text, _members(tokens, at + found[1]))
        elif token.text in ("stop", "quit", "cease") and _is_noun(tokens, at + 1):
            _deny(joined, token.text, _members(tokens, at + 1))
        elif token.text in _IS and _is_denied(tokens, at):
            _deny_before(joined, at)
    return joined


def _deny(tokens: list[Token], negation: str, members: list[_Member]) -> None:
    """Join the members that are denied, and mark those that may be, in place."""
    first = members[0].at if members else 0
    nouns = _is_noun(tokens, first)
    if nouns and negation in _PLAIN_FORM and not tokens[first].text.endswith("ing"):
        return
    is_one = _is_noun if nouns else _is_verb
    unfit = (at for at, each in enumerate(members) if at and not is_one(tokens, each.at))
    members = members[: next(unfit, len(members))]
    ends = [at for at, each in enumerate(members) if each.join in {*_OR, "and"}]
    last = ends[-1] if ends else 0
    closes = members[last].join if ends else ""
    if not nouns and closes not in _OR:
        closes, last = "", 0
    for number, member in enumerate(members[1:], 1):
        wanted = _wanted(tokens, member.at)
        listed = number <= last
        plainly = closes in _OR or (wanted == 0 and not _has_direction(tokens, member.at))
        if wanted < 0 or (listed and plainly):
            _join(tokens, member.at)
        elif listed or (nouns and wanted == 0 and negation not in _INSTEAD):
            tokens[member.at] = replace(tokens[member.at], is_doubtful=True)
        else:
            return


def _deny_before(tokens: list[Token], end: int) -> None:
    """Join the members of the list that ends here: "jumping and falling are forbidden"."""
    while end and tokens[end - 1].text in _MAY:
        end -= 1
    members: list[int] = []
    at = end - 1
    while at >= 0 and (_is_noun(tokens, at) or tokens[at].text in _JOINS):
        if _is_noun(tokens, at):
            members.insert(0, at)
        at -= 1
    # "keep walking, and jumping is forbidden" is about one thing.
    begins = at < 0 or tokens[at].ends_clause
    if len(members) > 1 and tokens[members[-1] - 1].text != "," and begins:
        for member in members[1:]:
            _join(tokens, member)


def _join(tokens: list[Token], at: int) -> None:
    """Put "or" before a member, in place of all that joins it."""
    while at and tokens[at - 1].text in _JOINS:
        at -= 1
        tokens[at] = replace(tokens[at], text="or", ends_clause=False)


def _members(tokens: list[Token], first: int) -> list[_Member]:
    """Return the members of a list whose first begins here, or soon."""
    while first < len(tokens) and _is_filling(tokens, first):
        first += 1
    if first >= len(tokens):
        return []
    members = [_Member(first, "")]
    for at in range(first + 1, len(tokens)):
        if (tokens[at].ends_clause and tokens[at].text != ",") or _begins_clause(tokens, at):
            break
        if tokens[at - 1].text in _JOINS and tokens[at].text not in _JOINS:
            members.append(_Member(at, tokens[at - 1].text))
    return members


def _wanted(tokens: list[Token], at: int) -> int:
    """Return 1 for what is usually wanted, -1 for what is not, as falling, and 0 for the rest."""
    found = _phrase_at(tokens, at)
    if found is None:
        return 0
    if found[0].tag in _GOES:
        return 1
    if found[0].tag in _IS_GOOD:
        return 1 if found[0].value > 0 else -1
    return -1 if found[0].tag == "limp" else 0


def _has_direction(tokens: list[Token], at: int) -> bool:
    """Tell "leaning forward" from "leaning": who says so much may mean it."""
    return any(found.tag in ("direction", "side") for found in _phrases_of(tokens, at))


def _phrases_of(tokens: list[Token], at: int) -> Iterator[Meaning]:
    while at < len(tokens) and not tokens[at].ends_clause and tokens[at].text not in _JOINS:
        found = _phrase_at(tokens, at)
        if found:
            yield found[0]
        at += 1


def _is_denied(tokens: list[Token], at: int) -> bool:
    """Tell whether a denial follows a form of "to be": "are forbidden", "be avoided"."""
    found = _phrase_at(tokens, at + 1)
    return found is not None and found[0].tag == "negation"


def _is_said_behind(tokens: list[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].text in _IS


def _is_noun(tokens: list[Token], at: int) -> bool:
    """Tell a known word with an ending: "falling", "jumps"."""
    if at >= len(tokens) or not tokens[at].text.endswith(("ing", "s")):
        return False
    found = _phrase_at(tokens, at)
    unfit = ("negation", "clause", "stop", "most", "least")
    return found is not None and found[0].tag not in unfit


def _is_verb(tokens: list[Token], at: int) -> bool:
    found = _phrase_at(tokens, at)
    return found is not None and found[0].tag in _DOES


def _is_filling(tokens: list[Token], at: int) -> bool:
    return tokens[at].text in STOP_WORDS and _phrase_at(tokens, at) is None


def _begins_clause(tokens: list[Token], at: int) -> bool:
    found = _phrase_at(tokens, at)
    return found is not None and found[0].tag in ("clause", "sequence") and tokens[at].text != "and"


def _phrase_at(tokens: list[Token], at: int) -> tuple[Meaning, int] | None:
    if at >= len(tokens) or tokens[at].number is not None or tokens[at].ends_clause:
        return None
    return find_phrase([token.text for token in tokens[at:]])
