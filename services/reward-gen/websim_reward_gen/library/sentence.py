"""From a sentence to wishes: clauses, negation, numbers, and what was not understood."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from websim_reward_gen.library.changes import without_changes
from websim_reward_gen.library.clauses import read_clause
from websim_reward_gen.library.limits import with_limits
from websim_reward_gen.library.lists import with_lists
from websim_reward_gen.library.parts import PartsReader
from websim_reward_gen.library.vocabulary import find_phrase, spelt
from websim_reward_gen.library.wishes import Wish
from websim_reward_gen.library.words import Token, tokenise, unit_of

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
    typed: tuple[tuple[str, str], ...] = ()
    """Words that were put right, as read and as typed; wishes have them as read."""

    def as_typed(self, text: str) -> str:
        """Return what is said of a sentence in the words that the person typed."""
        return _as_typed(text, dict(self.typed))


def understand(sentence: str, familiar: str = "", *, goal_of_object: bool = False) -> Understanding:
    """Return the wishes in a sentence.

    Args:
        sentence: what a person wants.
        familiar: words that need no understanding, as those of the task's own description.
        goal_of_object: whether a goal, where one is spoken of, is that of an object to be pushed.
    """
    known = {token.text for token in tokenise(familiar)}
    known |= {"object", "puck"} if goal_of_object else set()
    written = tokenise(sentence)
    tokens = [_spelt(token, known) for token in written]
    typed = _typed(written, tokens)
    tokens = with_lists(without_changes(tokens))
    wishes: list[Wish] = []
    unknown: list[str] = []
    style = False
    for clause in _clauses(tokens):
        parts = PartsReader(with_limits(clause), known).read()
        style = style or any(part.tag == "style" for part in parts)
        found, left = read_clause(parts, wishes)
        if goal_of_object:
            found = [_of_the_object(wish) for wish in found]
        wishes = _merged(wishes, found, left)
        unknown += left
    left_out = dict.fromkeys(_as_typed(each, typed) for each in unknown)
    return Understanding(tuple(wishes), tuple(left_out), style, tuple(typed.items()))


def _clauses(tokens: list[Token]) -> Iterator[list[Token]]:
    """Yield the clauses of a sentence; a negation holds to the end of its own."""
    clause: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        found = find_phrase([each.text for each in tokens[index:]])
        joins = found is not None and found[0].tag == "clause"
        length = found[1] if found else 1
        begins = found is not None and (
            found[0].tag == "sequence"
            or (found[0].tag == "negation" and token.text in _BEGINS_NEGATION)
        )
        if token.ends_clause or joins or begins:
            yield clause
            clause = []
        if not (token.ends_clause or joins):
            # A phrase is whole: "anything but" has no clause in it.
            clause += tokens[index : index + length]
        index += length
    yield clause


def _spelt(token: Token, known: set[str]) -> Token:
    """Return a token whose one typing error is put right."""
    if token.number is not None or token.text in known or unit_of(token.text):
        return token
    return replace(token, text=spelt(token.text))


def _typed(written: list[Token], tokens: list[Token]) -> dict[str, str]:
    """Return what was typed for words that were put right; those typed right as well stay."""
    pairs = [(token.text, each.text) for each, token in zip(written, tokens, strict=True)]
    right = {word for word, typed in pairs if word == typed}
    return {word: typed for word, typed in pairs if word not in right}


def _as_typed(text: str, typed: Mapping[str, str]) -> str:
    """Return a text with the words that were put right as they were typed."""
    return re.sub(r"[^\W\d_]+(?:-[^\W\d_]+)*", lambda each: typed.get(each[0], each[0]), text)


def _of_the_object(wish: Wish) -> Wish:
    """Return a wish to reach the goal as one to bring the object there."""
    is_goal = wish.kind == "reach" and bool({"goal", "target"} & set(wish.text.split()))
    return replace(wish, kind="push") if is_goal else wish


def _directions_to_come(wishes: list[Wish], wish: Wish) -> list[int]:
    """Return which wishes a later one gives a direction: "run at 2 m/s, backwards"."""
    if wish.kind not in ("move", "sideways") or wish.avoid or wish.assumed:
        return []
    motions = ("move", "sideways")
    return [
        at
        for at, each in enumerate(wishes)
        if each.kind in motions and each.assumed and not each.avoid
    ]


def _directed(wish: Wish, said: Wish) -> Wish:
    """Return a wish to go in the direction that is said, at its own speed if it has one."""
    of = said if wish.target is None else wish
    return replace(
        said, text=f"{wish.text} {said.text}", target=of.target, bound=of.bound, assumed=False
    )


def _merged(wishes: list[Wish], found: list[Wish], left: list[str]) -> list[Wish]:
    """Add wishes; of two that exclude one another the first stays and the second is reported."""
    merged = list(wishes)
    for wish in found:
        # Of "walk and look left" nobody knows what goes left.
        if not left and (at := _directions_to_come(merged, wish)):
            merged = [_directed(each, wish) if i in at else each for i, each in enumerate(merged)]
            if wish.target is None or any(merged[i].repeats(wish) for i in at):
                continue
        rivals = [each for each in merged if each.excludes(wish)]
        if len(rivals) == 1 and rivals[0].kind == "still" and rivals[0].text.startswith("not "):
            # "don't walk, run": not to walk is no wish to stand.
            merged[merged.index(rivals[0])] = wish
            left.append(rivals[0].text)
        elif rivals:
            left.append(f"{wish.text} (excludes: {rivals[0].text})")
        elif any(each.repeats(wish) for each in merged):
            continue
        elif len(merged) == MAX_WISHES:
            left.append(f"{wish.text} (one wish too many)")
        else:
            merged.append(wish)
    return merged
