"""Sentences as tokens: plain words, and numbers with their quantity in SI units."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import pi
from typing import Literal, cast

from websim_reward_gen.library.feet import is_limb
from websim_reward_gen.library.numerals import AND_A_HALF, NUMBER_WORDS, is_of_a_number, value_of
from websim_reward_gen.library.rewordings import reworded

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


def _any(*tables: Mapping[str, object]) -> str:
    """Return a pattern of the units in some tables, and of their plurals."""
    names = sorted((name for table in tables for name in table), key=len, reverse=True)
    return rf"(?:{'|'.join(map(re.escape, names))})s?"


_THOUSANDS = r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?"
"""After a leading 0 a comma begins decimals, as elsewhere but between groups of three."""
_NUMBER = rf"[-+]?(?:{_THOUSANDS}(?!\d)|\d+(?:[.,]\d+)?|\.\d+)"
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
    # "10 000" is one number.
    ("(?:(?<=\\s\\d)|(?<=\\s\\d\\d)|(?<=\\s\\d\\d\\d))[ \u00a0\u202f](?=\\d{3}(?![\\d.,]))", ""),
    (r"\band a half\b", AND_A_HALF),
    (r"\bhalf (?:of )?an? ", "half "),
    (
        rf"\b({_any(_LENGTHS, _ANGLES, _TURNS)})\s*(?:/|\bper\b|\ban?\b)\s*({_any(_TIMES)})\b",
        r"\1/\2",
    ),
    # A range is two limits: "between 1 and 2 m/s", "1-2 m/s", but not "from 1 to 2 m/s".
    (
        rf"\bbetween ({_NUMBER}|an?)\s*{_UNIT}? (?:and|to) ({_NUMBER})\s*({_UNIT})",
        r"at least \1 \3 at most \2 \3",
    ),
    (
        rf"(?<![\w.])(?<!from )({_NUMBER})\s*(?:-|to)\s*({_NUMBER})\s*({_UNIT})",
        r"at least \1 \3 at most \2 \3",
    ),
    # Limits in signs: "speed < 2 m/s".
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
    is_doubtful: bool = False
    """Whether nobody can tell if what begins here is denied."""


def tokenise(sentence: str) -> list[Token]:
    """Return the tokens of a sentence; its units are merged into its numbers."""
    text = reworded(sentence.lower())
    for pattern, replacement in _REWRITES:
        text = re.sub(pattern, replacement, text)
    return list(_with_units([_token(match) for match in _TOKEN.finditer(text)]))


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
        thousands = re.match(rf"[-+]?{_THOUSANDS}(?!\d)", text)
        return Token(text, number=float(text.replace(",", "" if thousands else ".")))
    return Token(text, ends_clause=match.lastgroup == "stop")


def _with_units(tokens: list[Token]) -> Iterator[Token]:
    index = 0
    while index < len(tokens):
        end = _end_of_number(tokens, index)
        if tokens[index].text in ("a", "an") and _is_way(tokens, index + 1):
            end = index + 1
        following = tokens[end].text if index < end < len(tokens) else ""
        unit = unit_of(following)
        if unit is None or is_limb([token.text for token in tokens], index, end):
            yield tokens[index]
            index += 1
            continue
        text = " ".join(token.text for token in tokens[index : end + 1])
        value = value_of([token.text for token in tokens[index:end]], tokens[index].number)
        quantity, factor = unit
        # Of "five twenty km/h" nobody can tell how much it is.
        yield Token(text) if value is None else Token(text, False, value * factor, quantity)
        index = end + 1


def _end_of_number(tokens: list[Token], index: int) -> int:
    """Return where the figures or number words end that begin here; `index` if there are none."""
    end = index
    while end < len(tokens) and not tokens[end].ends_clause:
        word = tokens[end].text
        after = tokens[end + 1].text if end + 1 < len(tokens) else ""
        joins = (
            (word == "and" and end > index and tokens[end - 1].text in ("hundred", "thousand"))
            or (word == "point" and (end > index or _begins_decimals(tokens, end)))
        ) and after in NUMBER_WORDS
        figures = tokens[end].number is not None and end == index
        if not (joins or figures or is_of_a_number(word)):
            break
        end += 1
    return end


def _is_way(tokens: list[Token], at: int) -> bool:
    unit = unit_of(tokens[at].text) if at < len(tokens) else None
    return unit is not None and unit[0] in ("length", "speed")


def _begins_decimals(tokens: list[Token], at: int) -> bool:
    """Tell "at point five m/s" from "from the starting point two metres"."""
    return at == 0 or tokens[at - 1].text in ("at", "of", "to", "than", "most", "least", "by")
