"""Sentences as tokens: plain words, and numbers with their quantity in SI units."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import pi
from typing import Literal, cast

Quantity = Literal["speed", "length", "angle", "rate", "share", "time", "none"]

_LENGTHS = {
    "mm": 0.001,
    "millimeter": 0.001,
    "millimetre": 0.001,
    "cm": 0.01,
    "centimeter": 0.01,
    "centimetre": 0.01,
    "m": 1.0,
    "meter": 1.0,
    "metre": 1.0,
    "km": 1000.0,
    "kilometer": 1000.0,
    "kilometre": 1000.0,
    "inch": 0.0254,
    "inche": 0.0254,
    "ft": 0.3048,
    "foot": 0.3048,
    "feet": 0.3048,
    "yard": 0.9144,
    "mile": 1609.344,
}
_ANGLES = {"deg": pi / 180.0, "degree": pi / 180.0, "rad": 1.0, "radian": 1.0}
_TURNS = dict.fromkeys(("rev", "turn", "revolution", "rotation"), 2.0 * pi)
"""Units of a rate; "two turns" alone is none of how far it turns."""
_TIMES = {"ms": 0.001} | {
    name: seconds
    for names, seconds in (("s sec second", 1.0), ("min minute", 60.0), ("h hr hour", 3600.0))
    for name in names.split()
}
_OTHERS: dict[str, tuple[Quantity, float]] = {
    "mps": ("speed", 1.0),
    "kmh": ("speed", 1.0 / 3.6),
    "kmph": ("speed", 1.0 / 3.6),
    "kph": ("speed", 1.0 / 3.6),
    "mph": ("speed", 0.44704),
    "fps": ("speed", 0.3048),
    "knot": ("speed", 0.514444),
    "rpm": ("rate", 2.0 * pi / 60.0),
    "%": ("share", 0.01),
    "percent": ("share", 0.01),
    "time": ("share", 1.0),
}

NUMBER_WORDS = {
    word: float(value)
    for words, step in (
        ("zero one two three four five six seven eight nine ten eleven twelve", 1),
        ("- - twenty thirty forty fifty sixty seventy eighty ninety hundred", 10),
    )
    for value, word in zip(range(0, 200, step), words.split(), strict=False)
} | {"half": 0.5, "fifteen": 15.0}


def _any(*tables: Mapping[str, object]) -> str:
    """Return a pattern of the units in some tables, and of their plurals."""
    names = sorted((name for table in tables for name in table), key=len, reverse=True)
    return rf"(?:{'|'.join(map(re.escape, names))})s?"


_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+(?:[.,]\d+)?|\.\d+)"
_PER = rf"(?:{_any(_LENGTHS, _ANGLES, _TURNS)}/{_any(_TIMES)})"
_UNIT = rf"(?:{_PER}|(?:{_any(_LENGTHS, _ANGLES, _OTHERS)})(?![\w/]))"

_REWRITES: tuple[tuple[str, str], ...] = (
    ("[\u2018\u2019\u02bc]", "'"),
    ("[\u201c\u201d]", '"'),
    ("[\u2212\u2013]", "-"),
    ("\u00b0", " deg"),
    (r"\bw/o\b", "without"),
    (r"\bw/ ", "with "),
    (r"\bcan't\b|\bcannot\b", "can not"),
    (r"\bwon't\b", "will not"),
    (r"\b(\w+)n't\b", r"\1 not"),
    (r"\b(do|does|did|is|are|must|should|would|could)nt\b", r"\1 not"),
    (r"'d like\b", " would like"),
    (r"'(s|d|ll|re|ve|m)\b", ""),
    # Whose it is does not matter.
    (r"\b(?:your|her|his|their)\b", "its"),
    (r"\bonto\b", "on"),
    (r"\band a half\b", "and-a-half"),
    (r"\bhalf an? ", "half "),
    (
        rf"\b({_any(_LENGTHS, _ANGLES, _TURNS)})\s*(?:/|\bper\b|\ban?\b)\s*({_any(_TIMES)})\b",
        r"\1/\2",
    ),
    (rf"\ban? (?={_any(_LENGTHS)}\b)", "1 "),
    # A range is two limits: "between 1 and 2 m/s", "1-2 m/s", but not "from 1 to 2 m/s".
    (
        rf"\bbetween ({_NUMBER})\s*{_UNIT}? (?:and|to) ({_NUMBER})\s*({_UNIT})",
        r"at least \1 \3 at most \2 \3",
    ),
    (
        rf"(?<![\w.])(?<!from )({_NUMBER})\s*(?:-|to)\s*({_NUMBER})\s*({_UNIT})",
        r"at least \1 \3 at most \2 \3",
    ),
    # Limits: "max speed 2 m/s", "limit the speed to 2 m/s", "speed < 2 m/s".
    (rf"\b(?:maximum|max|top) ((?:\w+ ){{0,2}}?)(?:of |is )?(?={_NUMBER})", r"\1at most "),
    (rf"\b(?:minimum|min) ((?:\w+ ){{0,2}}?)(?:of |is )?(?={_NUMBER})", r"\1at least "),
    (
        rf"\b(?:limit|cap|restrict)(?:p?ed|p?ing)? ((?:\w+ ){{0,3}}?)(?:to |at |of |is )?"
        rf"(?={_NUMBER})",
        r"\1at most ",
    ),
    (rf"(?:<=?|=<|\u2264)\s*(?={_NUMBER})", " at most "),
    (rf"(?:>=?|=>|\u2265)\s*(?={_NUMBER})", " at least "),
    (rf"[~\u2248=]\s*(?={_NUMBER})", " "),
)

_TOKEN = re.compile(
    r"(?P<fraction>\d+/\d+)"
    rf"|(?P<number>(?<![\w.])(?:{_NUMBER})(?:e[-+]?\d+)?)"
    rf"|(?P<word>{_PER}(?!\w)|km/h|[^\W\d_]+(?:-[^\W\d_]+)*)"
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


_STANDS_ON = frozenset({"on", "its", "with", "using", "the"})
"""Before "two feet" that are no length."""


def unit_of(word: str) -> tuple[Quantity, float] | None:
    """Return the quantity that a word is a unit of, and its size in SI units."""
    what, _, time = word.partition("/")
    if time:
        seconds = _TIMES.get(time) or _TIMES.get(time.removesuffix("s"))
        for quantity, units in (("speed", _LENGTHS), ("rate", _ANGLES | _TURNS)):
            size = units.get(what) or units.get(what.removesuffix("s"))
            if size and seconds:
                return cast(Quantity, quantity), size / seconds
        return None
    for name in (word, word.removesuffix("s")):
        if name in _OTHERS:
            return _OTHERS[name]
        for quantity, units in (("length", _LENGTHS), ("angle", _ANGLES), ("time", _TIMES)):
            if name in units:
                return cast(Quantity, quantity), units[name]
    return None


def _token(match: re.Match[str]) -> Token:
    text = match.group()
    if match.lastgroup == "number":
        thousands = re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", text)
        return Token(text, number=float(text.replace(",", "" if thousands else ".")))
    return Token(text, ends_clause=match.lastgroup == "stop")


def _with_units(tokens: list[Token]) -> Iterator[Token]:
    index = 0
    while index < len(tokens):
        token = tokens[index]
        following = tokens[index + 1].text if index + 1 < len(tokens) else ""
        unit = unit_of(following)
        if following in ("foot", "feet") and index and tokens[index - 1].text in _STANDS_ON:
            unit = None
        number = token.number
        if number is None and unit:
            number = NUMBER_WORDS.get(token.text)
        if number is not None and unit:
            quantity, factor = unit
            yield Token(f"{token.text} {following}", False, number * factor, quantity)
            index += 2
            continue
        yield token
        index += 1
