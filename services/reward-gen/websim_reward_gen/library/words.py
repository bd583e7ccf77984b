"""Sentences as tokens: plain words, and numbers with their quantity in SI units."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import pi
from typing import Literal

Quantity = Literal["speed", "length", "angle", "rate", "share", "time", "none"]

_UNITS: dict[str, tuple[Quantity, float]] = {
    "m/s": ("speed", 1.0),
    "mps": ("speed", 1.0),
    "cm/s": ("speed", 0.01),
    "km/h": ("speed", 1.0 / 3.6),
    "kmh": ("speed", 1.0 / 3.6),
    "kph": ("speed", 1.0 / 3.6),
    "mph": ("speed", 0.44704),
    "m": ("length", 1.0),
    "meter": ("length", 1.0),
    "metre": ("length", 1.0),
    "meters": ("length", 1.0),
    "metres": ("length", 1.0),
    "cm": ("length", 0.01),
    "centimeters": ("length", 0.01),
    "centimetres": ("length", 0.01),
    "ft": ("length", 0.3048),
    "deg": ("angle", pi / 180.0),
    "degree": ("angle", pi / 180.0),
    "degrees": ("angle", pi / 180.0),
    "rad": ("angle", 1.0),
    "radians": ("angle", 1.0),
    "rad/s": ("rate", 1.0),
    "deg/s": ("rate", pi / 180.0),
    "rev/s": ("rate", 2.0 * pi),
    "rpm": ("rate", 2.0 * pi / 60.0),
    "%": ("share", 0.01),
    "percent": ("share", 0.01),
    "times": ("share", 1.0),
    "s": ("time", 1.0),
    "seconds": ("time", 1.0),
}

_NUMBER_WORDS = {
    "zero": 0.0,
    "half": 0.5,
    "one": 1.0,
    "two": 2.0,
    "three": 3.0,
    "four": 4.0,
    "five": 5.0,
    "six": 6.0,
    "seven": 7.0,
    "eight": 8.0,
    "nine": 9.0,
    "ten": 10.0,
}

_REWRITES: tuple[tuple[str, str], ...] = (
    ("[\u2018\u2019\u02bc]", "'"),
    ("[\u201c\u201d]", '"'),
    ("[\u2212\u2013]", "-"),
    ("\u00b0", " deg"),
    (r"\bcan't\b|\bcannot\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\b(\w+)n't\b", r"\1 not"),
    (r"\b(dont|doesnt)\b", "do not"),
    (r"'(s|d|ll|re|ve|m)\b", ""),
    (r"\bhalf an? ", "half "),
    (r"\bmet(?:er|re)s?\s*(?:per|/|a)\s*sec(?:ond)?\b", "m/s"),
    (r"\bm\s*/\s*sec(?:ond)?\b|\bm\s+per\s+s(?:ec(?:ond)?)?\b", "m/s"),
    (r"\bkilomet(?:er|re)s?\s*(?:per|/|an)\s*hour\b|\bkm\s*/\s*h(?:our)?\b", "km/h"),
    (r"\bmiles?\s*(?:per|/|an)\s*hour\b", "mph"),
    (r"\b(?:radians?|rad)\s*(?:per|/|a)\s*s(?:ec(?:ond)?)?\b", "rad/s"),
    (r"\b(?:degrees?|deg)\s*(?:per|/|a)\s*s(?:ec(?:ond)?)?\b", "deg/s"),
    (r"\b(?:turns?|revolutions?|rotations?)\s*(?:per|/|a)\s*s(?:ec(?:ond)?)?\b", "rev/s"),
)

_TOKEN = re.compile(
    r"(?P<number>(?<![\w.])[-+]?\d+(?:[.,]\d+)?)"
    r"|(?P<word>(?:cm|m|rad|deg|rev)/s|km/h|[^\W\d_]+(?:-[^\W\d_]+)*)"
    r"|(?P<stop>[,;.!?:()\n\"])"
    r"|(?P<other>\S)"
)


@dataclass(frozen=True)
class Token:
    """A word, the end of a clause, or a number."""

    text: str
    """As written, in lower case."""
    ends_clause: bool = False
    number: float | None = None
    """In SI units."""
    quantity: Quantity = "none"


def tokenise(sentence: str) -> list[Token]:
    """Return the tokens of a sentence; its units are merged into its numbers."""
    text = sentence.lower()
    for pattern, replacement in _REWRITES:
        text = re.sub(pattern, replacement, text)
    return list(_with_units([_token(match) for match in _TOKEN.finditer(text)]))


def stems(word: str) -> set[str]:
    """Return the word and what it may be an inflection of: running -> run, gently -> gentle."""
    found = {word}
    for suffix, endings in (
        ("s", ("",)),
        ("es", ("",)),
        ("ies", ("y",)),
        ("ing", ("", "e")),
        ("ed", ("", "e")),
        ("er", ("", "e")),
        ("est", ("", "e")),
        ("ly", ("", "le")),
        ("ily", ("y",)),
    ):
        base = word.removesuffix(suffix)
        # "goes" is go, but "only" is not on
        if base != word and len(base) >= (2 if suffix in ("s", "es", "ing") else 3):
            found.update(base + ending for ending in endings)
            if len(base) > 3 and base[-1] == base[-2]:
                found.add(base[:-1])
    return found


def _token(match: re.Match[str]) -> Token:
    text = match.group()
    if match.lastgroup == "number":
        return Token(text, number=float(text.replace(",", ".")))
    return Token(text, ends_clause=match.lastgroup == "stop")


def _with_units(tokens: list[Token]) -> Iterator[Token]:
    index = 0
    while index < len(tokens):
        token = tokens[index]
        following = tokens[index + 1].text if index + 1 < len(tokens) else ""
        number = token.number
        if number is None and following in _UNITS:
            number = _NUMBER_WORDS.get(token.text)
        if number is not None and following in _UNITS:
            quantity, factor = _UNITS[following]
            yield Token(f"{token.text} {following}", False, number * factor, quantity)
            index += 2
            continue
        yield token
        index += 1
