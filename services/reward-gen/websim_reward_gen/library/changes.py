"""Numbers that say how much something is to change: "run 2 m/s faster" is no run at 2 m/s.

sentence.py calls it with the tokens of a sentence. No program knows how fast a robot was, so such
a number is no wish's: it is reported with its words. The mere "faster" is read as without it.
"""

from websim_reward_gen.library.words import Quantity, Token

_PACES = frozenset({"faster", "slower", "quicker"})
_HEIGHTS = frozenset({"higher", "lower", "taller"})

_COMPARATIVES: dict[Quantity, frozenset[str]] = {
    "speed": _PACES,
    "rate": _PACES,
    "none": _PACES,
    "length": _HEIGHTS,
}
"""Words for more or less of a quantity."""

_AMOUNTS = frozenset({"more", "less"})
_MANNERS = frozenset({"slowly", "quickly", "rapidly"})
"""After an amount they are a pace: "more slowly"."""

_JOINS = frozenset({"and", "but", "while"})

_NOW_WORDS = """
    now before currently presently today earlier previously usual usually normal normally
    you it they he she we i current present previous last
"""
_NOW = frozenset(_NOW_WORDS.split())
_BESIDE_WORDS = "do does did is are was were the a its time speed velocity pace"
_BESIDE = frozenset(_BESIDE_WORDS.split())
"""Words beside those of now: "than you do now"."""


def without_changes(tokens: list[Token]) -> list[Token]:
    """Return the tokens, where a number that is a change is a word that nothing stands for."""
    read: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        length = _comparative_at(tokens, index)
        end = _end_of_change(tokens, index + 1 + length) if length else 0
        if end:
            begins = _range_before(read)
            said = [*read[begins:], *tokens[index:end]]
            del read[begins:]
            read.append(_word(said))
            last = tokens[index + length]
            if last.text not in _AMOUNTS:
                read.append(last)
            index = end
            continue
        # "run faster 2 m/s"
        follows = bool(read) and read[-1].text in _PACES and token.quantity in ("speed", "rate")
        read.append(_word([read[-1], token]) if follows else token)
        index += 1
    return read


def _comparative_at(tokens: list[Token], index: int) -> int:
    """Return how many words of more or less follow a number; 0 where there is none."""
    number = tokens[index]
    words = [token.text for token in tokens[index + 1 : index + 3]]
    if number.number is None or not words:
        return 0
    if words[0] in _COMPARATIVES.get(number.quantity, ()):
        return 1
    if words[0] not in _AMOUNTS or number.quantity in ("none", "share", "time"):
        return 0
    if words[1:] and words[1] in _MANNERS:
        return 2
    # "2 m/s more", but "2 m/s more smoothly" and "2 m/s more or less"
    after = tokens[index + 2] if words[1:] else None
    return int(after is None or after.ends_clause or after.text in _JOINS | {"than"})


def _end_of_change(tokens: list[Token], index: int) -> int:
    """Return where a change ends whose comparative ends here; 0 for "faster than 1 m/s"."""
    if index == len(tokens) or tokens[index].text != "than":
        return index
    end = index + 1
    while end < len(tokens) and tokens[end].text in _NOW | _BESIDE:
        end += 1
    if _NOW & {token.text for token in tokens[index:end]}:
        return end
    for token in tokens[end:]:
        if token.number is not None:
            return 0
        if token.ends_clause or token.text in _JOINS:
            break
    return index + 1


def _range_before(read: list[Token]) -> int:
    """Return where a range begins whose second number is next: "between 1 and 2 m/s faster"."""
    words = [token.text for token in read[-5:]]
    is_range = words[:2] == ["at", "least"] and words[3:] == ["at", "most"]
    return len(read) - 5 if is_range else len(read)


def _word(tokens: list[Token]) -> Token:
    return Token(" ".join(token.text for token in tokens))
