"""What a person may wish for, and the parts of a clause that say so."""

from dataclasses import dataclass, field, replace
from typing import Literal

from websim_reward_gen.library.vocabulary import Tag
from websim_reward_gen.library.words import Quantity

Kind = Literal[
    "move",
    "sideways",
    "roam",
    "still",
    "jump",
    "height",
    "stand",
    "spin",
    "flip",
    "balance",
    "effort",
    "smooth",
    "impact",
    "tilt",
    "reach",
    "push",
    "center",
    "straight",
    "joints",
    "trot",
    "gallop",
    "skip",
    "march",
    "limp",
]

GAITS: frozenset[str] = frozenset({"trot", "gallop", "skip", "march", "limp"})
"""Ways of going: who wishes for one wishes to go, too."""

MOTIONS: frozenset[Kind] = frozenset({"move", "sideways", "roam"})

PLAIN: dict[str, Kind] = {
    "still": "still",
    "jump": "jump",
    "hop": "jump",
    "height": "height",
    "stand": "stand",
    "spin": "spin",
    "flip": "flip",
    "balance": "balance",
    "effort": "effort",
    "smooth": "smooth",
    "impact": "impact",
    "tilt": "tilt",
    "reach": "reach",
    "push": "push",
    "center": "center",
    "straight": "straight",
    "joints": "joints",
    "trot": "trot",
    "gallop": "gallop",
    "skip": "skip",
    "march": "march",
    "limp": "limp",
}
"""What the phrases of a tag wish for."""

SLOW_SPEED = 0.5
"""What "slowly" means, in m/s, and in rad/s of a turn."""

SOME_LEAN = 0.2
"""What "lean" alone means, in rad; phrases.txt has the others."""

TOLD_LEAN = 0.3
"""What "lean forward" means, in rad."""

LEAN = 1.1
"""Up to here an angle is a lean, beyond it a posture such as standing on hind legs, in rad."""


@dataclass(frozen=True)
class Part:
    """One phrase or number of a clause."""

    tag: Tag | Literal["number", "unknown"]
    text: str
    negated: bool = False
    value: float = 1.0
    quantity: Quantity = "none"


@dataclass(frozen=True)
class Wish:
    """One thing that is to be, or not to be."""

    kind: Kind
    text: str
    """The words that say it."""
    sign: float = 1.0
    """Direction: forward, left, up, counterclockwise and nose down are positive."""
    target: float | None = None
    """In SI units; none means as much as possible."""
    bound: Literal["most", "least", ""] = ""
    """Whether the target is a limit rather than a value to hold."""
    avoid: bool = False
    """To keep it from happening; with a limit, from going beyond it."""
    assumed: bool = field(default=False, compare=False)
    """Of a motion or a turn: its direction was not said, and one that is said later is its own."""

    def repeats(self, other: "Wish") -> bool:
        """Tell whether both say the same, in whatever words."""
        return replace(self, text=other.text) == other

    def excludes(self, other: "Wish") -> bool:
        """Tell whether both cannot be had at the same time."""
        kinds = {self.kind, other.kind}
        if "still" in kinds and kinds & {"move", "sideways", "roam"}:
            return not (self.avoid or other.avoid)
        if kinds == {"jump", "height"}:
            # "jump less high"
            low = self if self.kind == "height" else other
            return low.sign < 0 and low.target is None and not (self.avoid or other.avoid)
        if self.kind != other.kind:
            return False
        if self.avoid != other.avoid:
            return self.sign == other.sign and not (self.bound or other.bound)
        if self.avoid:
            return False
        return self.sign != other.sign or (
            self.target != other.target and not self.bound and not other.bound
        )
