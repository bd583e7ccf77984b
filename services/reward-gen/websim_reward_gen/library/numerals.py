"""Numbers in words: "twenty-five", "two hundred and fifty", "one point five"."""

import re

_DIGIT_WORDS = "zero one two three four five six seven eight nine"
_TEEN_WORDS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_DIGITS = {word: value for value, word in enumerate(_DIGIT_WORDS.split())}
_TEENS = _TEEN_WORDS.split()
_TENS = _TEN_WORDS.split()
_POWERS = {"hundred": 100.0, "thousand": 1000.0}

NUMBER_WORDS: dict[str, float] = (
    {word: float(value) for word, value in _DIGITS.items()}
    | {word: float(value) for value, word in enumerate(_TEENS, 10)}
    | {word: 10.0 * value for value, word in enumerate(_TENS, 2)}
    | _POWERS
    | {"half": 0.5}
)

AND_A_HALF = "and-a-half"

_DIGIT = rf"(?:{'|'.join(list(_DIGITS)[1:])})"
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?: {_DIGIT})?|{'|'.join(_TEENS)}|{_DIGIT})"
_BELOW_1000 = rf"(?:(?:{_BELOW_100} )?hundred(?: (?:and )?{_BELOW_100})?|{_BELOW_100})"
_WHOLE = rf"(?:{_BELOW_1000} )?thousand(?: (?:and )?{_BELOW_1000})?|{_BELOW_1000}|zero"
_IN_WORDS = re.compile(
    rf"(?P<whole>{_WHOLE})?(?P<decimals>(?:^| )point(?: (?:{_DIGIT}|zero))+)?"
    rf"(?P<half> {AND_A_HALF})?"
)


def is_of_a_number(word: str) -> bool:
    """Tell whether a word may be part of a number, alone or with hyphens."""
    if word == AND_A_HALF:
        return True
    parts = word.split("-")
    return parts[0] in NUMBER_WORDS and all(part in NUMBER_WORDS or part == "and" for part in parts)


def value_of(words: list[str], first: float | None = None) -> float | None:
    """Return the number that some words say together; None where they say none.

    Args:
        words: the words, in order.
        first: the value of the first one, where that is written in figures.
    """
    if first is not None:
        # "2", "2 and a half", "2 hundred"
        if words[1:] in ([], [AND_A_HALF]):
            return first + 0.5 * len(words[1:])
        return first * _POWERS[words[1]] if len(words) == 2 and words[1] in _POWERS else None
    text = " ".join(word if word == AND_A_HALF else word.replace("-", " ") for word in words)
    if text in ("a", "an"):
        return 1.0
    if text in ("half", "one half"):
        return 0.5
    match = _IN_WORDS.fullmatch(text)
    if match is None or not (match["whole"] or match["decimals"]):
        return None
    decimals = "".join(str(_DIGITS[word]) for word in (match["decimals"] or "").split()[1:])
    half = 0.5 if match["half"] else 0.0
    return _whole((match["whole"] or "").split()) + float(f"0.{decimals or 0}") + half


def _whole(words: list[str]) -> float:
    thousands, below = 0.0, 0.0
    for word in words:
        if word == "thousand":
            thousands, below = 1000.0 * (below or 1.0), 0.0
        elif word == "hundred":
            below = 100.0 * (below or 1.0)
        elif word != "and":
            below += NUMBER_WORDS[word]
    return thousands + below
