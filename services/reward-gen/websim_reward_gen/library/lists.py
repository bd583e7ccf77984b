"""Lists under one negation: "without jumping, flipping or falling" denies all three.

A comma or an "and" begins a clause elsewhere, with nothing denied. Between the members of such a
list it becomes "or", which does not.
"""

from dataclasses import replace

from websim_reward_gen.library.vocabulary import STOP_WORDS, Meaning, find_phrase
from websim_reward_gen.library.words import Token

_IS = frozenset({"is", "are", "be"})
_JOINS = frozenset({"or", "nor", "and", ","})

_GOES = frozenset({"move", "roam", "direction", "side", "fast", "slow"})
"""What "without falling, moving on" goes on with: another thing that is done meanwhile."""

_DOES = frozenset(
    {"move", "jump", "hop", "spin", "flip", "balance", "still", "stop", "tilt", "joints", "smooth"}
)
"""What a member may be that is a verb in its plain form: "don't fall, jump or stop"."""


def with_lists(tokens: list[Token]) -> list[Token]:
    """Return the tokens with "or" between the members of each list that is denied as a whole."""
    joined = list(tokens)
    for at, token in enumerate(tokens):
        found = _phrase_at(tokens, at)
        if found and found[0].tag == "negation" and not _is_said_behind(tokens, at):
            _join(joined, _members(tokens, at + found[1]))
        elif token.text in ("stop", "quit", "cease") and _is_noun(tokens, at + 1):
            _join(joined, _members(tokens, at + 1))
        elif token.text in _IS and _is_denied(tokens, at):
            _join(joined, _members_before(tokens, at))
    return joined


def _join(tokens: list[Token], members: list[int]) -> None:
    """Put "or" before each member but the first, in place."""
    for at in members[1:]:
        if tokens[at - 1].text in _JOINS:
            tokens[at - 1] = replace(tokens[at - 1], text="or", ends_clause=False)


def _members(tokens: list[Token], first: int) -> list[int]:
    """Return where the members of a list begin whose first begins here, or soon."""
    while first < len(tokens) and _is_filling(tokens, first):
        first += 1
    members = [first]
    nouns = _is_noun(tokens, first)
    for at in range(first + 1, len(tokens)):
        if tokens[at].ends_clause and tokens[at].text != ",":
            break
        if _begins_clause(tokens, at):
            break
        if tokens[at - 1].text in _JOINS and tokens[at].text not in _JOINS:
            if not (_is_noun(tokens, at) if nouns else _is_verb(tokens, at)):
                break
            members.append(at)
    last = members[-1]
    if nouns:
        # "without falling, running fast"
        goes = tokens[last - 1].text == "," and _tag_at(tokens, last) in _GOES
        return members[:-1] if goes else members
    # "don't fall, run" are two things; an "or" makes a list of them
    return members if tokens[last - 1].text in ("or", "nor") else members[:1]


def _members_before(tokens: list[Token], end: int) -> list[int]:
    """Return where the members of the list begin that ends here: "jumping and falling are ..."."""
    members: list[int] = []
    at = end - 1
    while at >= 0 and (_is_noun(tokens, at) or tokens[at].text in _JOINS):
        if _is_noun(tokens, at):
            members.insert(0, at)
        at -= 1
    return members


def _is_denied(tokens: list[Token], at: int) -> bool:
    """Tell whether a denial follows a form of "to be": "are forbidden", "should be avoided"."""
    found = _phrase_at(tokens, at + 1)
    return found is not None and found[0].tag == "negation"


def _is_said_behind(tokens: list[Token], at: int) -> bool:
    return at > 0 and tokens[at - 1].text in _IS


def _is_noun(tokens: list[Token], at: int) -> bool:
    """Tell a known word with an ending: "falling", "jumps"."""
    if at >= len(tokens) or not tokens[at].text.endswith(("ing", "s")):
        return False
    return _tag_at(tokens, at) not in (None, "negation", "clause", "stop", "most", "least")


def _is_verb(tokens: list[Token], at: int) -> bool:
    return _tag_at(tokens, at) in _DOES


def _is_filling(tokens: list[Token], at: int) -> bool:
    return tokens[at].text in STOP_WORDS and _phrase_at(tokens, at) is None


def _begins_clause(tokens: list[Token], at: int) -> bool:
    found = _phrase_at(tokens, at)
    return found is not None and found[0].tag in ("clause", "sequence") and tokens[at].text != "and"


def _tag_at(tokens: list[Token], at: int) -> str | None:
    found = _phrase_at(tokens, at)
    return found[0].tag if found else None


def _phrase_at(tokens: list[Token], at: int) -> tuple[Meaning, int] | None:
    if at >= len(tokens) or tokens[at].number is not None or tokens[at].ends_clause:
        return None
    return find_phrase([token.text for token in tokens[at:]])
