"""From the words of a clause to its parts: phrases, numbers, and what nothing stands for."""

from dataclasses import replace
from typing import Literal

from websim_reward_gen.library.inflections import stems
from websim_reward_gen.library.limbs import LIMBS, OF_A_LIMB, WHICH, WHOSE
from websim_reward_gen.library.numerals import NUMBER_WORDS
from websim_reward_gen.library.targets import may_have
from websim_reward_gen.library.vocabulary import (
    STOP_WORDS,
    Meaning,
    find_phrase,
    looks_like_negation,
)
from websim_reward_gen.library.wishes import Part
from websim_reward_gen.library.words import Quantity, Token

_AMOUNTS = {"low": 1.0, "little": 1.0, "small": 1.0, "high": -1.0, "large": -1.0, "much": -1.0}
"""Before a word for effort: whether there is to be little or much of it."""

_DEGREES = frozenset({"balance", "smooth", "impact", "effort", "joints", "straight"})
"""Of what there may be much or little: "high stability", "low contact forces"."""

_LESS = frozenset({"less", "fewer"})

_NOT_LESSENED = frozenset({"negation", "clause", "most", "least", "stop"})
"""Phrases that nothing is less of: what is less then came before."""

_LESSENS = frozenset({"minimise", "minimize", "reduce"})
"""What they are of tells which way the rest is meant; where nobody knows it, nothing is denied."""

_AMOUNT_WORDS = """
    reward rewards motion motions movement movements joint joints usage consumption policy mode
"""
_NO_HEIGHTS = frozenset(_AMOUNT_WORDS.split())
"""Of what the library ignores elsewhere: "a high reward" is no height."""

_BY_WORDS = "increase decrease reduce raise lower fast slow high low accelerate speed"
_BY = frozenset(_BY_WORDS.split())
"""With "by" a number says how much they change something, not what to."""

_IS = frozenset({"be", "is", "are", "was", "were", "being", "must", "should", "may", "can", "will"})
"""Before a negation with nothing after it: "falling is forbidden" is about what stands before."""


_KEEPS = frozenset({"keep", "stop", "prevent", "save", "protect", "hinder"})
"""Before "from falling" they say that it is not to be."""


class PartsReader:
    """Reads one clause, word by word."""

    def __init__(self, clause: list[Token], known: set[str]) -> None:
        """Read a clause; `known` words need no understanding."""
        self._clause = clause
        self._words = [token.text for token in clause]
        self._known = known
        # Where an arm is the whole robot, it is no limb of it.
        self._limbs = LIMBS - {"arm", "arms"} if "arm" in known else LIMBS
        self._parts: list[Part] = []
        self._end = 0
        """Where the last part ends."""
        self._negated = False
        self._negation, self._negation_at = "", 0

    def read(self) -> list[Part]:
        """Return what the clause is made of; words that say nothing are left out."""
        index = 0
        while index < len(self._clause):
            index += self._read_at(index)
        if self._negation:
            self._settle_negation()
        return [_without_exertion(part) for part in self._parts]

    def _add(self, part: Part, end: int) -> None:
        self._parts.append(part)
        self._end = end

    def _read_at(self, index: int) -> int:
        """Read what is at a word and return how many words it takes."""
        token, words = self._clause[index], self._words[index:]
        found = None if token.number is not None else find_phrase(words)
        if found and found[0].tag == "tilt" and words[found[1] - 1] in ("leaning", "bending"):
            # "run backwards leaning forward" is no backward lean
            found = find_phrase(words if found[1] == 1 or words[0] == words[-1] else words[:1])
        if token.number is not None and not self._limb_at(index):
            tag: Literal["number", "style", "unknown"] = (
                "number" if self._is_a_target(index) else "unknown"
            )
            quantity = self._quantity_of(index)
            self._add(Part(tag, token.text, self._negated, token.number, quantity), index + 1)
            return 1
        if found and found[0].tag == "sequence":
            # One program pays for all wishes at the same time.
            self._add(Part("unknown", " ".join(words[: found[1]])), index + 1)
            return found[1]
        is_style = found is not None and found[0].tag == "style"
        is_unclear = token.is_doubtful or looks_like_negation(token.text)
        if is_style or is_unclear or (found and found[0].tag == "aside"):
            tag = "style" if is_style else "unknown"
            self._add(Part(tag, " ".join(words), self._negated), len(self._clause))
            return len(words)
        if effort := self._effort_at(index):
            return effort
        limb = self._limb_at(index)
        if limb > (found[1] if found else 0):
            return self._read_limb(index, limb)
        if _stops_doing(words) or self._keeps_from(index):
            self._negated, self._negation = not self._negated, ""
            return 1
        if token.text in _LESS and not found:
            return 1 + self._read_less(index)
        if found:
            return self._read_phrase(index, *found)
        if token.text.endswith("-like"):
            self._add(Part("style", token.text, self._negated), index + 1)
        elif not self._says_nothing(words):
            self._add(Part("unknown", token.text, self._negated), index + 1)
        return 1

    def _quantity_of(self, index: int) -> Quantity:
        """Return what a number is of; after a word for it, a mere number is a speed."""
        of_speed = bool({"speed", "velocity", "pace"} & set(self._words[:index]))
        turns = any(part.tag in ("spin", "flip") for part in self._parts)
        quantity = self._clause[index].quantity
        return "speed" if quantity == "none" and of_speed and not turns else quantity

    def _is_a_target(self, index: int) -> bool:
        """Tell a number that a wish may have from "on 2 legs", "5 boxes", "from 1", "by 1 m/s"."""
        last = self._clause[index - 1] if index else None
        if last and (last.text in ("minus", "negative") or not last.text[-1].isalpha()):
            # What stands there, a sign or another number, may make another one of it.
            return False
        if last and last.text == "by" and any(_BY & stems(word) for word in self._words[:index]):
            return False
        if self._clause[index].quantity != "none":
            return True
        before, after = self._words[:index], self._words[index + 1 : index + 2]
        says_so = bool({"speed", "velocity", "pace", "at"} & set(before)) and "from" not in before
        return says_so and (not after or after[0] in STOP_WORDS or bool(find_phrase(after)))

    def _read_phrase(self, index: int, meaning: Meaning, length: int) -> int:
        words = self._words[index : index + length]
        following = self._words[index + length :]
        if meaning.tag == "negation" and _LESSENS & stems(words[0]) and self._is_unknown(following):
            self._add(Part("unknown", " ".join(self._words[index:])), len(self._words))
            return len(self._words) - index
        if meaning.tag == "negation":
            self._negated, self._negation, self._negation_at = True, words[0], index
        elif meaning.tag == "height" and length == 1 and {"low", "high"} & stems(words[0]):
            return self._read_height(index, meaning, following)
        elif words in (["back"], ["back", "up"]) and index and self._words[index - 1] in WHOSE:
            # "on the floor with its back" goes nowhere
            if "back" not in self._known or self._words[index - 1] != "a":
                self._add(Part("unknown", " ".join(words), self._negated), index + length)
        elif words == ["off", "the", "ground"] and self._has_body():
            # "keep the torso off the ground"
            self._add(Part("height", " ".join(words), self._negated), index + length)
        elif meaning.tag != "stop":
            text = " ".join(words)
            negated = self._negated and not self._is_settled(index, meaning)
            self._add(Part(meaning.tag, text, negated, meaning.value), index + length)
        return length

    def _is_unknown(self, words: list[str]) -> bool:
        """Tell whether nothing stands for the first word that says something."""
        for at, word in enumerate(words):
            if find_phrase(words[at:]):
                return False
            if not self._says_nothing(words[at:]):
                return word.isalpha()
        return False

    def _has_body(self) -> bool:
        return any(part.tag == "body" for part in self._parts)

    def _is_settled(self, index: int, meaning: Meaning) -> bool:
        """Tell a limit after the negation of something else: "without falling at over 2 m/s"."""
        begins = {self._words[index], *self._words[index - 1 : index]} & {"at", "with"}
        if meaning.tag not in ("most", "least") or not begins:
            # "never fall below 1 m" is a limit that is denied.
            return False
        number = next((token for token in self._clause[index:] if token.number is not None), None)
        denied = [part for part in self._parts if part.negated]
        return bool(number and denied and not any(may_have(part, number) for part in denied))

    def _effort_at(self, index: int) -> int:
        """Read an amount of effort, as "low torque"; return how many words it takes, or 0."""
        sign = _AMOUNTS.get(self._words[index])
        found = find_phrase(self._words[index + 1 :]) if sign else None
        if sign is None or found is None or found[0].tag != "exertion":
            return 0
        end = index + 1 + found[1]
        self._add(Part("effort", " ".join(self._words[index:end]), self._negated, sign), end)
        return end - index

    def _read_height(self, index: int, meaning: Meaning, following: list[str]) -> int:
        """Tell "high friction" from a torso that is low or high."""
        word = self._words[index]
        found = find_phrase(following)
        if found and found[0].tag in _DEGREES:
            text = " ".join([word, *following[: found[1]]])
            value = found[0].value * meaning.value
            self._add(Part(found[0].tag, text, self._negated, value), index + 1 + found[1])
            return 1 + found[1]
        known = not following or found is not None or self._says_nothing(following)
        if following[:1] and (
            following[0] in _NO_HEIGHTS or (following[0].isalpha() and not known)
        ):
            self._add(Part("unknown", f"{word} {following[0]}", self._negated), index + 2)
            return 2
        self._add(Part("height", word, self._negated, meaning.value), index + 1)
        return 1

    def _says_nothing(self, words: list[str]) -> bool:
        if words[0] in NUMBER_WORDS and words[0] in self._known:
            # "two legs" may be the task's own, "two backflips" are not.
            return words[1:2] != [] and words[1] in self._known
        return words[0] in STOP_WORDS or words[0] in self._known

    def _limb_at(self, index: int) -> int:
        """Return how many words a limb takes here, with whose it is; 0 where there is none."""
        counts = self._done_before(index) is not None
        for at in range(index, len(self._words)):
            if self._words[at] in self._limbs:
                return at + 1 - index
            if not (self._words[at] in WHOSE or (counts and self._is_count(at))):
                break
        return 0

    def _is_count(self, at: int) -> bool:
        """Tell the number of "raise two feet", which is of the limbs."""
        return self._words[at] in NUMBER_WORDS or self._words[at].isdecimal()

    def _done_before(self, index: int) -> Part | None:
        """Return what is done to a limb at a word, where that is said right before it."""
        done = self._parts[-1] if self._parts and self._end == index else None
        return done if done and done.tag in OF_A_LIMB else None

    def _read_limb(self, index: int, length: int) -> int:
        """Read a limb together with what is done to it, which no field shows."""
        end = index + length
        texts = self._words[index:end]
        about = self._done_before(index)
        if about:
            self._parts.pop()
            texts.insert(0, about.text)
        found = find_phrase(self._words[end:])
        lifted = self._words[end : end + 1] == ["off"]
        if found and (lifted or found[0].tag in OF_A_LIMB - {"move", "hop"}):
            texts += self._words[end : end + found[1]]
            end += found[1]
        elif not about:
            said = [text for text in texts if text not in STOP_WORDS and text not in self._known]
            if not (said or WHICH & set(texts)):
                return length
            texts = [text for text in texts if text not in STOP_WORDS]
        self._add(Part("unknown", " ".join(texts), self._negated), end)
        return end - index

    def _read_less(self, index: int) -> int:
        """Negate what is to be less and return how many words of it follow."""
        words, self._negation = self._words[index:], ""
        found = find_phrase(words[1:])
        if found and found[0].tag not in _NOT_LESSENED:
            # "with less falling"
            meaning, length = found
            text = " ".join(words[1 : length + 1])
            part = Part(meaning.tag, text, not self._negated, meaning.value)
            self._add(part, index + 1 + length)
            return length
        before = self._words[index - 1] if index else ""
        of_unknown = before in STOP_WORDS and words[1:2] and words[1] not in STOP_WORDS
        if self._parts and not of_unknown:
            # "shake less"
            last = self._parts.pop()
            self._parts.append(replace(last, negated=not last.negated))
        else:
            # "with less noise"
            self._add(Part("unknown", words[0], self._negated), index + 1)
        return 0

    def _keeps_from(self, index: int) -> bool:
        """Tell "keep it from falling", "stop it from falling"."""
        words = self._words[index : index + 2]
        if words[:1] != ["from"] or len(words) < 2 or not words[1].endswith("ing"):
            return False
        if not any(_KEEPS & stems(word) for word in self._words[:index]):
            return False
        if self._negated:
            # "prevent it from falling", "refrain from jumping"
            self._negated = False
        self._parts = [part for part in self._parts if part.tag != "still"]
        return True

    def _settle_negation(self) -> None:
        """Decide about a negation that nothing known comes after."""
        denied = [part for part in self._parts if part.negated]
        said = [part for part in self._parts if not part.negated]
        is_said = self._negation_at > 0 and self._words[self._negation_at - 1] in _IS
        of_effort = all(part.tag == "exertion" for part in said)
        if (is_said or of_effort) and said and not denied:
            # "falling is forbidden", "falls should not happen", "torque minimal"
            self._parts = [replace(part, negated=True) for part in said]
        elif is_said and said and all(part.tag == "unknown" for part in denied):
            # "falling is not wanted": nobody can tell which way it is meant
            self._parts = [Part("unknown", " ".join(self._words))]
        elif not denied:
            # What is not to be was not understood, or it would stand here.
            self._parts.append(Part("unknown", self._negation))


def _without_exertion(part: Part) -> Part:
    """Return a mere word for effort as a wish for little of it where it is negated."""
    if part.tag != "exertion":
        return part
    if part.negated:
        return replace(part, tag="effort", value=-1.0)
    return replace(part, tag="unknown")


def _stops_doing(words: list[str]) -> bool:
    """Tell "stop falling" from "stop"; "stop moving" is left to the negation too."""
    return words[0] in ("stop", "quit", "cease") and len(words) > 1 and words[1].endswith("ing")
