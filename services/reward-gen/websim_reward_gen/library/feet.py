"""Feet: lengths, as in "jump two feet high", or limbs, as in "raise two feet".

Of a few feet a sentence has to say that they are a length: who lifts a foot is not to be told to
stand at 0.3 m.
"""

from websim_reward_gen.library.inflections import stems

_FEET = frozenset({"foot", "feet"})

_FEW = frozenset({"a", "one", "two", "three", "four"})
_FEW_IN_FIGURES = frozenset({"1", "2", "3", "4"})

_BEFORE_A_LIMB = frozenset({"on", "its", "with", "using", "the", "off"})

_DONE_TO_A_LIMB = frozenset({"raise", "lift", "kick", "keep", "hold", "swing", "wave"})
"""Before a few feet in figures, which are lengths otherwise."""

_BEFORE_A_LENGTH_WORDS = """
    most least than below under above over beyond within exceed max maximum min minimum of by at
    jump hop leap bounce bound spring fly height torso body trunk tip it itself
"""
_BEFORE_A_LENGTH = frozenset(_BEFORE_A_LENGTH_WORDS.split())

_ABOUT = frozenset({"about", "around", "approximately", "roughly", "exactly", "nearly", "almost"})

_OF_A_HEIGHT = frozenset({"height", "torso", "body", "trunk", "tip", "limit", "cap", "restrict"})
"""Earlier in "limit the height to one foot"."""

_STAYS_WORDS = "stay remain be is are stand sit crouch squat walk run go rise hover get"
_STAYS = frozenset(_STAYS_WORDS.split())
"""What is done to no limb: "stay a foot above the ground", but "keep a foot above the ground"."""

_BEHIND_A_LENGTH = frozenset({"high", "tall", "higher", "above", "below", "from", "away"})

_PLACE_WORDS = "target goal start center centre middle origin object cylinder"
_PLACES = frozenset(_PLACE_WORDS.split())


def is_limb(words: list[str], index: int, end: int) -> bool:
    """Tell whether what words[index:end] counts are the limbs at `end`, rather than a length."""
    if words[end] not in _FEET:
        return False
    if words[index - 1 : index] and words[index - 1] in _BEFORE_A_LIMB:
        return True
    at = index
    while at and words[at - 1] in _ABOUT:
        at -= 1
    before = stems(words[at - 1]) if at else set()
    behind = words[end + 1 : end + 5]
    is_few = end == index + 1 and words[index] in _FEW | _FEW_IN_FIGURES
    if not is_few or before & _BEFORE_A_LENGTH:
        return False
    if words[index] in _FEW_IN_FIGURES:
        return bool(before & _DONE_TO_A_LIMB)
    if before & {"to", "be", "is"} and any(stems(word) & _OF_A_HEIGHT for word in words[:index]):
        return False
    if behind[:1] and behind[0] in ("from", "of", "away") and _PLACES & set(behind):
        return False
    return not (before & _STAYS and behind[:1] and behind[0] in _BEHIND_A_LENGTH)
