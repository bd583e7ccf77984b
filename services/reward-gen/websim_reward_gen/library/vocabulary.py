"""The phrases that the library knows, each with what it means. Longer phrases win over shorter."""

import re
from dataclasses import dataclass
from importlib import resources
from math import pi
from typing import Literal, cast, get_args

from websim_reward_gen.library.words import stems

Tag = Literal[
    "move",
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
