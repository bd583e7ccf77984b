"""From a sentence to wishes: clauses, negation, numbers, and what was not understood."""

from collections.abc import Iterator
from dataclasses import dataclass

from websim_reward_gen.library.vocabulary import STOP_WORDS, Meaning, find_phrase
from websim_reward_gen.library.wishes import Part, Wish, read_clause
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

_ENDS_NEGATION = frozenset({"but", "while", "then", "yet", "whilst"})


@dataclass(frozen=True)
class Understanding:
    """What a sentence says, as far as the library can tell."""

    wishes: tuple[Wish, ...]
    not_understood: tuple[str, ...]
    """Words and numbers that nothing in the library stands for, in the order written."""
    style: bool = False
    """Whether it asks for a likeness ("like a zombie"), which no measure expresses."""


def understand(sentence: str, familiar: str = "") -> Understanding:
    """Return the wishes in a sentence.

    Args:
        sentence: what a person wants.
        familiar: words that need no understanding, as those of the task's own description.
    """
    known = {token.text for token in tokenise(familiar)}
    wishes: list[Wish] = []
    unknown: list[str] = []
    style = False
    for clause in _clauses(tokenise(sentence)):
        parts = list(_parts(clause, known))
        style = style or any(part.tag == "style" for part in parts)
        found, left = read_clause(parts, wishes)
        wishes = _merged(wishes, found, left)
        unknown += left
    return Understanding(tuple(wishes), tuple(dict.fromkeys(unknown)), style)


def _clauses(tokens: list[Token]) -> Iterator[list[Token]]:
    """Yield the clauses of a sentence, each with the word that joins it as its first."""
    clause: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        found = find_phrase([each.text for each in tokens[index:]])
        joins = found is not None and found[0].tag == "clause"
        if token.ends_clause or joins:
            yield clause
            clause = [token] if token.text in _ENDS_NEGATION else []
            index += found[1] if found and joins else 1
            continue
        clause.append(token)
        index += 1
    yield clause


def _parts(clause: list[Token], known: set[str]) -> Iterator[Part]:
    """Yield what a clause is made of; words that say nothing are left out."""
    negated = False
    index = 0
    while index < len(clause):
        token = clause[index]
        words = [each.text for each in clause[index:]]
        found = None if token.number is not None else find_phrase(words)
        if token.number is not None:
            yield Part("number", token.text, negated, token.number, token.quantity)
        elif found and found[0].tag == "style":
            yield Part("style", " ".join(words), negated)
            return
        elif _is_sided(words):
            yield Part("unknown", f"{words[0]} {words[1]}", negated)
            index += 1
        elif _stops_doing(words):
            negated = True
        elif found:
            meaning, length = found
            negated = negated or meaning.tag == "negation"
            yield from _part(meaning, words[:length], negated, words[length:])
            index += length - 1
        elif token.text.endswith("-like"):
            yield Part("style", token.text, negated)
        elif token.text not in STOP_WORDS and token.text not in known:
            yield Part("unknown", token.text, negated)
        index += 1


def _part(meaning: Meaning, words: list[str], negated: bool, after: list[str]) -> Iterator[Part]:
    if meaning.tag in ("negation", "stop", "clause"):
        return
    yield Part(meaning.tag, " ".join(words), negated, meaning.value)


def _is_sided(words: list[str]) -> bool:
    return words[0] in ("left", "right") and len(words) > 1 and words[1] in _SIDED


def _stops_doing(words: list[str]) -> bool:
    """Tell "stop falling" from "stop"; "stop moving" is left to the negation too."""
    return words[0] in ("stop", "quit", "cease") and len(words) > 1 and words[1].endswith("ing")


def _merged(wishes: list[Wish], found: list[Wish], left: list[str]) -> list[Wish]:
    """Add wishes; of two that exclude one another the first stays and the second is reported."""
    merged = list(wishes)
    for wish in found:
        rivals = [each for each in merged if each.excludes(wish)]
        if rivals:
            left.append(f"{wish.text} (excludes: {rivals[0].text})")
        elif wish not in merged:
            merged.append(wish)
    return merged
