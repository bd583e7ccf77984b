"""What PPO does about another reward: match the critic's output, then let it catch up alone.

The first advantages under another reward come from a critic of the old one. With them the actor
would unlearn for as long as the critic needs. So, at the first rollout of the new reward:

1. The scale of returns follows by the ratio of spreads and the shift (`ReturnScale.follow`).
2. The critic's output v becomes a v + b, by its last layer, like PopArt does when the scale of
   its targets moves (van Hasselt et al. 2016, arXiv:1602.07714). There a and b follow from two
   scales; between two rewards they are unknown, so they are estimated: a v + b is the fixed point
   of TD(lambda) among these maps (LSTD, Boyan 2002, with the features v and 1). A rollout is
   shorter than the horizon of the discount, so plain means of its returns would not do.
3. Only the critic learns, until it explains as much of its targets as before or half of them, for
   at most three updates.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Float64 = NDArray[np.float64]

MAX_WARM_UPS = 3
"""Updates of the critic alone after which the actor learns again, whatever the critic knows."""

ENOUGH = 0.5
"""Explained variance with which the critic is good enough whatever it was before."""

SLOPES = (0.1, 10.0)
"""Magnitudes of a: beyond them the last layer would be silenced, or blown up, by noise."""

MIN_STD = 1e-3
"""Spread of the critic's values, in scaled returns, below which nothing is known of a."""


@dataclass
class Swap:
    """Where the treatment stands; JSON values all, for a checkpoint."""

    due: bool = False
    """The next rollout is the first of another reward."""
    warm_ups_left: int = 0
    """Updates that may still go to the critic alone."""
    enough: float = ENOUGH
    """Explained variance at which the warm-up ends."""
    explained: float | None = None
    """Of the last update; None before the first."""

    def begin(self) -> None:
        """Note that another reward is to come."""
        if self.explained is None:
            # Nothing was learned yet, so there is nothing to match and nothing to protect.
            return
        if not self.warm_ups_left:
            self.enough = min(ENOUGH, self.explained)
        self.due = True
        self.warm_ups_left = MAX_WARM_UPS

    def warms_up(self, explained: float) -> bool:
        """Return whether this update goes to the critic alone.

        Args:
            explained: variance of this rollout's targets that the critic explains by now.
        """
        self.due = False
        self.explained = explained
        if self.warm_ups_left and explained < self.enough:
            self.warm_ups_left -= 1
            return True
        self.warm_ups_left = 0
        return False

    def counters(self) -> dict[str, Any]:
        """Return everything, for a checkpoint."""
        return asdict(self)


def matched(
    value: Float64, reward: Float64, bootstrap: Float64, constant: Float64
) -> tuple[float, float]:
    """Return a and b with which a v + b fits targets that are made with a v + b themselves.

    The target of TD(lambda) is linear in rewards and values: R + a P + b Q, so the fixed point of
    its projection solves two linear equations: E[f (a (v - P) + b (1 - Q) - R)] = 0, f = v, 1.

    Args:
        value: v of n transitions. Shape: (n,), like all.
        reward: R, the targets if all values were 0.
        bootstrap: P, the targets if all rewards were 0.
        constant: Q, the targets if all rewards were 0 and all values 1.
    """
    a = 1.0
    if len(value) == 0:
        return 1.0, 0.0
    spread = float(value.std())
    own, one = value - bootstrap, 1.0 - constant
    if float(one.mean()) < 1e-6:
        # Nothing is discounted: a shift of all values leaves the targets' error as it is.
        return 1.0, 0.0
    if spread > MIN_STD:
        f = value - value.mean()
        # Eliminating b from the second equation, where E[1 - Q] > 0.
        ratio = one / one.mean()
        slope = float((f * (own - ratio * own.mean())).mean())
        a = float((f * (reward - ratio * reward.mean())).mean()) / slope if slope else 1.0
        if not np.isfinite(a):
            a = 1.0
        a = float(np.copysign(np.clip(abs(a), *SLOPES), a))
    b = float((reward.mean() - a * own.mean()) / one.mean())
    return (a, b) if np.isfinite(b) else (1.0, 0.0)


@torch.no_grad()
def rescale(critic: nn.Sequential, a: float, b: float) -> None:
    """Let a critic return a v + b where it returned v."""
    last = critic[-1]
    assert isinstance(last, nn.Linear)
    last.weight.mul_(a)
    last.bias.mul_(a).add_(b)
