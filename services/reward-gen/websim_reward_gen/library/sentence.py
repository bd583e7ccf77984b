"""From a sentence to wishes: clauses, negation, numbers, and what was not understood."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from websim_reward_gen.library.clauses import read_clause
from websim_reward_gen.library.vocabulary import STOP_WORDS, find_phrase
from websim_reward_gen.library.wishes import Part, Wish
from websim_reward_gen.library.words import Token, tokenise

_SIDED = frozenset(
    {
        "leg",
        "legs",
        "arm",
        "arms",
        "foot",
        "feet",
        "hand",
        "hands",
        "knee",
        "hip",
        "thigh",
        "shin",
        "ankle",
        "elbow",
        "wrist",
        "shoulder",
        "side",
        "joint",
    }
)
"""What is left or right of a body: "its left leg" is no direction."""

_LESS = frozenset({"less", "fewer"})

_NOT_LESSENED = frozenset({"negation", "clause", "most", "least", "stop"})
"""Phrases that nothing is less of: what is less then came before."""

_BEGINS_NEGATION = frozenset({"without", "avoid", "avoiding", "instead", "rather"})
"""A negation that is a clause of its own: "run fast without flipping"."""


MAX_WISHES = 8
"""More terms than that fit into no program, and nobody learns so much at once."""


@dataclass(frozen=True)
class Understanding:
    """What a sentence says, as far as the library can tell."""

    wishes: tuple[Wish, ...]
    not_understood: tuple[str, ...]
    """Words and numbers that nothing in the library stands for, in the order written."""
    style: bool = False
    """Whether it asks for a likeness ("like a zombie"), which no measure expresses."""


def understand(sentence: str, familiar: str = "", *, goal_of_object: bool = False) -> Understanding:
    """Return the wishes in a sentence.

    Args:
        sentence: what a person wants.
        familiar: words that need no understanding, as those of the task's own description.
        goal_of_object: whether a goal, where one is spoken of, is that of an object to be pushed.
    """
    known = {token.text for token in tokenise(familiar)}
    wishes: list[Wish] = []
    unknown: list[str] = []
    style = False
    for clause in _clauses(tokenise(sentence)):
        parts = _parts(clause, known)
        style = style or any(part.tag == "style" for part in parts)
        found, left = read_clause(parts, wishes)
        if goal_of_object:
            found = [_of_the_object(wish) for wish in found]
        wishes = _merged(wishes, found, left)
        unknown += left
    return Understanding(tuple(wishes), tuple(dict.fromkeys(unknown)), style)


def _clauses(tokens: list[Token]) -> Iterator[list[Token]]:
    """Yield the clauses of a sentence; a negation holds to the end of its own."""
    clause: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        found = find_phrase([each.text for each in tokens[index:]])
        joins = found is not None and found[0].tag == "clause"
        if token.ends_clause or joins:
            yield clause
            clause = []
            index += found[1] if found and joins else 1
            continue
        if found and found[0].tag == "negation" and token.text in _BEGINS_NEGATION:
            yield clause
            clause = []
        clause.append(token)
        index += 1
    yield clause


def _parts(clause: list[Token], known: set[str]) -> list[Part]:
    """Return what a clause is made of; words that say nothing are left out."""
    parts: list[Part] = []
    negated, negation = False, ""
    index = 0
    while index < len(clause):
        token = clause[index]
        words = [each.text for each in clause[index:]]
        found = None if token.number is not None else find_phrase(words)
        if token.number is not None:
            parts.append(Part("number", token.text, negated, token.number, token.quantity))
        elif found and found[0].tag == "style":
            return [*parts, Part("style", " ".join(words), negated)]
        elif _is_sided(words):
            parts.append(Part("unknown", f"{words[0]} {words[1]}", negated))
            index += 1
        elif _stops_doing(words):
            negated, negation = not negated, ""
        elif token.text in _LESS and not found:
            index += _read_less(parts, clause, index, negated)
            negation = ""
        elif found:
            meaning, length = found
            if meaning.tag == "negation":
                negated, negation = True, token.text
            if meaning.tag not in ("negation", "stop"):
                text = " ".join(words[:length])
                parts.append(Part(meaning.tag, text, negated, meaning.value))
            index += length - 1
        elif token.text.endswith("-like"):
            parts.append(Part("style", token.text, negated))
        elif token.text not in STOP_WORDS and token.text not in known:
            parts.append(Part("unknown", token.text, negated))
        index += 1
    if negation and negation not in known and not any(part.negated for part in parts):
        # What is not to be was not understood, or it would stand here.
        parts.append(Part("unknown", negation))
    return parts


def _read_less(parts: list[Part], clause: list[Token], index: int, negated: bool) -> int:
    """Negate what is to be less and return how many words of it follow."""
    words = [each.text for each in clause[index:]]
    found = find_phrase(words[1:])
    if found and found[0].tag not in _NOT_LESSENED:
        # "with less falling"
        meaning, length = found
        text = " ".join(words[1 : length + 1])
        parts.append(Part(meaning.tag, text, not negated, meaning.value))
        return length
    of_unknown = clause[index - 1].text in STOP_WORDS and words[1:2] and words[1] not in STOP_WORDS
    if parts and not of_unknown:
        # "shake less"
        last = parts.pop()
        parts.append(replace(last, negated=not last.negated))
    else:
        # "with less noise"
        parts.append(Part("unknown", words[0], negated))
    return 0


def _is_sided(words: list[str]) -> bool:
    return words[0] in ("left", "right") and len(words) > 1 and words[1] in _SIDED


def _stops_doing(words: list[str]) -> bool:
    """Tell "stop falling" from "stop"; "stop moving" is left to the negation too."""
    return words[0] in ("stop", "quit", "cease") and len(words) > 1 and words[1].endswith("ing")


def _of_the_object(wish: Wish) -> Wish:
    """Return a wish to reach the goal as one to bring the object there."""
    is_goal = wish.kind == "reach" and "goal" in wish.text.split()
    return replace(wish, kind="push") if is_goal else wish


def _merged(wishes: list[Wish], found: list[Wish], left: list[str]) -> list[Wish]:
    """Add wishes; of two that exclude one another the first stays and the second is reported."""
    merged = list(wishes)
    for wish in found:
        rivals = [each for each in merged if each.excludes(wish)]
        if rivals:
            left.append(f"{wish.text} (excludes: {rivals[0].text})")
        elif any(each.repeats(wish) for each in merged):
            continue
        elif len(merged) == MAX_WISHES:
            left.append(f"{wish.text} (one wish too many)")
        else:
            merged.append(wish)
    return merged
