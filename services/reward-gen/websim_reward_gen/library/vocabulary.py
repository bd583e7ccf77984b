"""The phrases that the library knows, each with what it means. Longer phrases win over shorter."""

import re
from dataclasses import dataclass
from importlib import resources
from math import pi
from typing import Literal, cast, get_args

from websim_reward_gen.library.inflections import stems

MIN_SPELT = 7
"""Letters of a word whose typing error is put right: shorter ones are too much like others."""

Tag = Literal[
    "move",
    "roam",
    "direction",
    "side",
    "fast",
    "slow",
    "most",
    "least",
    "still",
    "jump",
    "hop",
    "height",
    "stand",
    "spin",
    "turn_side",
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
    "trot",
    "gallop",
    "skip",
    "march",
    "limp",
    "negation",
    "clause",
    "style",
    "aside",
    "sequence",
    "body",
    "exertion",
    "even",
    "stop",
]


@dataclass(frozen=True)
class Meaning:
    """What a phrase says."""

    tag: Tag
    value: float = 1.0
    """A sign, or a target angle in rad."""


def _read() -> tuple[dict[tuple[str, ...], Meaning], frozenset[str]]:
    """Return the phrases and the ignored words of phrases.txt."""
    text = resources.files(__package__).joinpath("phrases.txt").read_text(encoding="ascii")
    phrases: dict[tuple[str, ...], Meaning] = {}
    ignored: frozenset[str] = frozenset()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for head, body in re.findall(r"^(\w.*):\n((?:[ ].*\n)+)", "\n".join(lines) + "\n", re.M):
        entries = [tuple(entry.split()) for entry in body.split(",") if entry.strip()]
        tag, _, value = head.partition(" ")
        if tag == "ignored":
            ignored = frozenset(entry[0] for entry in entries)
        else:
            phrases.update(dict.fromkeys(entries, _meaning(tag, value)))
    return phrases, ignored


def _meaning(tag: str, value: str) -> Meaning:
    if tag not in get_args(Tag):
        raise ValueError(f"phrases.txt: there is no tag {tag}")
    return Meaning(cast(Tag, tag), pi if value == "pi" else float(value))


PHRASES, STOP_WORDS = _read()

_BY_FIRST_WORD: dict[str, list[tuple[str, ...]]] = {}
for _phrase in sorted(PHRASES, key=len, reverse=True):
    _BY_FIRST_WORD.setdefault(_phrase[0], []).append(_phrase)


def find_phrase(words: list[str]) -> tuple[Meaning, int] | None:
    """Return the meaning of the longest phrase that `words` begin with, and its length."""
    if not words:
        return None
    # A word as written comes before what it may be an inflection of.
    firsts = sorted(stems(words[0]), key=lambda each: (each != words[0], each))
    fitting = [
        phrase
        for first in firsts
        for phrase in _BY_FIRST_WORD.get(first, ())
        if len(phrase) <= len(words)
        # "jump higher than" is a jump and a limit, no high jump.
        and (len(phrase) == 1 or words[len(phrase) : len(phrase) + 1] != ["than"])
        and all(part in stems(word) for part, word in zip(phrase[1:], words[1:], strict=False))
    ]
    if not fitting:
        return None
    best = max(fitting, key=len)
    if len(best) == 1 and words[0] in STOP_WORDS:
        return None
    return PHRASES[best], len(best)


_WORDS = frozenset(word for phrase in PHRASES for word in phrase) | STOP_WORDS


_OTHERS = """
    delivery suppose state stare father sip saying leaning sand simmer treble revere mender tot
    tough delver health maximus elegans
"""
_OTHER_WORDS = frozenset(_OTHERS.split())
"""English words that the library does not know and that one typing error makes of those it does."""

_NEGATIONS = frozenset(
    word for phrase, meaning in PHRASES.items() if meaning.tag == "negation" for word in phrase
)


def _omissions(word: str) -> set[str]:
    """Return what becomes of a word by leaving out a letter."""
    return {word[:at] + word[at + 1 :] for at in range(len(word))}


def _doublings(word: str) -> set[str]:
    """Return what becomes of a word by typing a letter twice."""
    return {word[:at] + word[at - 1] + word[at:] for at in range(1, len(word) + 1)}


def _swaps(word: str) -> set[str]:
    """Return what becomes of a word by swapping two neighbours; the first letter is right."""
    return {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 1)}


_SPELLINGS: dict[str, set[str]] = {}
for _word in _WORDS:
    for _ending in ("", "s", "ly"):
        if len(_word) >= MIN_SPELT - 1:
            _typed = _swaps(_word + _ending)
            # To deny what was not denied is the worst error: only a swap, which never makes
            # another word of a long one, is taken for a negation.
            if _word not in _NEGATIONS:
                _typed |= _omissions(_word + _ending) | _doublings(_word + _ending)
            for _edited in _typed:
                _SPELLINGS.setdefault(_edited, set()).add(_word)


_LIKE_NEGATIONS = frozenset(
    typed
    for word in ("without", "avoiding", "prevent", "minimise", "minimize")
    for typed in _omissions(word) | _doublings(word)
)


def looks_like_negation(word: str) -> bool:
    """Tell whether a word may be a negation with a letter missing or typed twice.

    Nobody can tell then whether what comes after it is wanted.
    """
    return word in _LIKE_NEGATIONS and not stems(word) & _WORDS


def spelt(word: str) -> str:
    """Return the word meant where there is one typing error in a long one; else the word itself.

    One letter may be missing or typed twice, or two neighbours swapped; the first is right. Another
    letter, or one too many, makes other words as easily: "present" is not "prevent".
    """
    if len(word) < MIN_SPELT - 1 or stems(word) & (_WORDS | _OTHER_WORDS):
        return word
    meant = {each for each in _SPELLINGS.get(word, ()) if each[0] == word[0]}
    shortest = min(meant, key=len, default="")
    # "sideway" and "sideways" are one word.
    is_one = meant and all(each.startswith(shortest) for each in meant)
    return shortest if is_one and len(word) >= MIN_SPELT else word
