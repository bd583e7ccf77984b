"""Ways of saying things that stand for other, shorter ones, for which there are phrases.

words.py applies them to a sentence in lower case, in this order. What an amount is of tells which
way it is meant: the least distance to a target is to reach it, the least deviation from a line is
to keep to it. Where nobody knows what is to be little nothing is reworded, and parts.py leaves out
what comes after it.
"""

import re

_OF_ITS = r"(?:the |its |your |a |an |my |any )?"
_LESS = (
    r"\b(?:(?:minimi[sz]|reduc|decreas)(?:e|es|ing)|shorten(?:s|ing)?"
    r"|smallest|shortest|least|minimum|minimal)"
)
_INCREASE = r"\b(?:maximi[sz]|increas)(?:e|es|ing)"
_MORE = rf"(?:{_INCREASE}|\b(?:greatest|largest|longest|maximum|maximal))"
_GAP = r"(?:distance|gap|error|separation)"
_THING = r"(object|cylinder|puck)"
_AIM = r"(?=(?:the |its )?(?:goal|target|object|cylinder|puck))(?![^,;]*\d)"
_PLACE = r"(?:the |its )?(start(?:ing point)?|origin|cent(?:er|re)|middle)\b"
_AT = r"(?:the |its )?(goal|target|object|cylinder|puck)"
_BETWEEN = rf"(?:(?:from|between|of) (?:[a-z]+ ){{1,3}}?)?(?:to|and|from) {_AIM}"
_EXERTION = (
    r"\b(?<!contact )(?<!impact )(?<!reaction )"
    r"(?:energy|torque|force|effort|power|control (?:effort|cost))s?"
    r"(?: (?:use|usage|consumption|cost))?"
)
_SPEED = r"(?:speed|velocity|pace)"
_POSSIBLE = r"(?: as (?:possible|it can|you can))?"
_LARGE = rf"as (?:large|great|big|long){_POSSIBLE}"
_SMALL = rf"as (?:small|short|little){_POSSIBLE}"
_IS = r"(?:(?:is|are|be|should|must|kept|stays?|remains?|very) )*"
_GO = (
    r"(?:(?:go|com|run|walk|mov|driv|swim|crawl|hop|jump|get)"
    r"(?:e|es|s|ing|ning|ming|ping|ting)? )?"
)
_TAKEN = r"(?: (?:needed|taken|required|it (?:takes|needs)))?"
_UNIT = r"[a-z]+(?:/[a-z]+)?"
_TOLERANCE = r"(?:\u00b1|\+/?-) ?[.\d]+"

_WRITTEN = (
    # negations
    ("[\u00b4`\u02bb\uff07]", "'"),
    (r"\bwith out\b|\bw/out\b", "without"),
    (r"\b(do|does|did|is|are|must|should|would|could)'nt\b", r"\1 not"),
    (
        r"(?<!is )(?<!are )(?<!be )\bnot (?:allowed|permitted|acceptable)\b(?! to)",
        "is forbidden",
    ),
    # distances
    (rf"{_LESS} {_OF_ITS}{_GAP} (?:from|between|of) {_OF_ITS}{_THING} (?:to|and) ", r"push \1 to "),
    (
        rf"{_MORE} {_OF_ITS}{_GAP} (?:from|between|of) {_OF_ITS}{_THING} (?:to|and) ",
        r"push \1 away from ",
    ),
    (rf"{_LESS} {_OF_ITS}{_GAP} (?:to|from|of) {_PLACE}(?![^,;]*\d)", r"near the \1"),
    (rf"{_MORE} {_OF_ITS}{_GAP} (?:to|from|of) {_PLACE}(?![^,;]*\d)", r"away from the \1"),
    (rf"{_LESS} {_OF_ITS}{_GAP} {_BETWEEN}", "reach "),
    (rf"{_MORE} {_OF_ITS}{_GAP} {_BETWEEN}", "away from "),
    (rf"{_LESS} {_OF_ITS}(?:deviations?|departures?) from ", "keep "),
    (rf"{_LESS} {_OF_ITS}loss(?:es)? of ", "keep "),
    (rf"{_LESS} {_OF_ITS}(?:time|duration){_TAKEN} to ", "quickly "),
    (rf"(?<!its )(?<!your )(?<!the )\b{_GO}back to {_PLACE}", r"near the \1"),
    (rf"\breturn(?:s|ing)? to {_PLACE}", r"near the \1"),
    (r"\b(?:go|goes|going|get|gets|getting) back to (?=\w+ing\b)", ""),
    (
        rf"\b(?:make|keep) {_OF_ITS}{_GAP} (?:to|from) {_AT} {_LARGE}",
        r"away from the \1",
    ),
    (
        rf"\b(?:make|keep) {_OF_ITS}{_GAP} (?:to|from) {_AT} {_SMALL}",
        r"reach the \1",
    ),
    (rf"{_LESS} {_OF_ITS}(?:fingertip|tip|hand|arm)[- ]to[- ]{_AT}[- ]{_GAP}", r"reach the \1"),
    (rf"{_LESS} {_OF_ITS}{_THING}[- ]to[- ]goal[- ]{_GAP}", r"push \1 to the goal"),
    # effort
    (
        r"\b(?:sav|conserv|spar)(?:e|es|ing) "
        rf"(?:(?:as|so|a|lots?|much|of|more|most|the|some|its|possible) )*{_EXERTION}{_POSSIBLE}",
        "save energy",
    ),
    (rf"\b(?:low|lowest|little|least|smallest|minimum|minimal) possible {_EXERTION}", "low energy"),
    (rf"{_EXERTION} {_IS}(?:as )?(?:low|small|little|minimal)\b{_POSSIBLE}", "low energy"),
    (rf"{_EXERTION} {_IS}(?:to|at) (?:a|the) minimum\b", "low energy"),
    (rf"\b(?:high|highest|greatest|largest|maximum|most) possible {_EXERTION}", "much energy"),
    (rf"{_EXERTION} {_IS}as (?:high|large|much)\b{_POSSIBLE}", "much energy"),
    (
        rf"{_EXERTION} (?:must|should|may|can|shall|is|are|do|does) ?not(?: be)?(?: too| very)? "
        r"(?:high|large|much)\b",
        "low energy",
    ),
    (
        rf"\b((?:contact|impact|ground reaction) forces?) {_IS}(?:as )?(?:low|small|minimal)\b"
        rf"{_POSSIBLE}",
        r"low \1",
    ),
    # speeds
    (rf"\b{_SPEED} {_IS}(?:as )?(high|low)\b{_POSSIBLE}", r"\1 speed"),
    (rf"\b(high|low) ((?:forward|backward|sideward)s?|sideways) {_SPEED}\b", r"\1 speed \2"),
    (rf"\b(?:high|highest|greatest|largest|maximum|top) possible {_SPEED}\b", "high speed"),
    (rf"\b(?:low|lowest|smallest|slowest) possible {_SPEED}\b", "low speed"),
    (r"\b(?:high|higher|highest) pace\b", "high speed"),
    (rf"{_INCREASE} {_OF_ITS}{_SPEED}\b(?! (?:by|to|at|in|along)\b)", "high speed"),
    # signs of directions
    (r"(?<![\w.])-\s?(?=[xy]\b)", "negative "),
    (r"(?<![\w.])\+\s?(?=[xy]\b)", "positive "),
    (r"\b([xy])-(?=direction|axis)", r"\1 "),
    (r"\b(?:minus|negative) (?=[.\d])", "-"),
    (r"\b(counter|anti)[ -](?=clockwise)", r"\1"),
    # numbers
    (r"(?<=\d)['\u2019](?=\d{3}(?!\d))", ""),
    (r"\b(max|min)\.(?= ?[.\d])", r"\1"),
    (r"\bup to (?=[.\d])", "at most "),
    (r"\bas (?:high|low|fast|slow|slowly|quickly) as (?=[.\d])", "at "),
    (
        r"(?<![a-z])(m|cm|mm|km|rad|deg) ?[*.\u00b7]? ?(s|h|min) ?"
        r"(?:\^ ?)?(?:\(-1\)|-1|\u207b\u00b9)(?![\w.])",
        r"\1/\2",
    ),
    # with a unit it is read where units are
    (
        r"\b(speed|velocity|pace) between (-?[.\d]+) and (-?[.\d]+)(?! ?[a-z.\d])",
        r"\1 at least \2 at most \3",
    ),
    # "2 m/s +- 0.2 m/s": how near is near enough is no speed
    (rf"(\d ?{_UNIT}) ?{_TOLERANCE}(?: ?{_UNIT})?", "\\1 \u00b1"),
    (rf"(\d) ?{_TOLERANCE}(?: ?({_UNIT}))?", "\\1 \\2 \u00b1"),
)

_REWORDINGS = tuple((re.compile(pattern), replacement) for pattern, replacement in _WRITTEN)


def reworded(sentence: str) -> str:
    """Return a sentence in lower case in words that there are phrases for."""
    for pattern, replacement in _REWORDINGS:
        sentence = pattern.sub(replacement, sentence)
    return sentence
