"""Which behaviour a reward prefers: it must rank kept trajectories as the goal's fitness does.

The trajectory preference evaluation of CARD (arXiv 2410.14660): no training is needed to see that
a reward pays a statue more than a runner.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.points import Trajectory

Evaluate = Callable[[Mapping[str, NDArray[np.float64]], NDArray[np.float32]], NDArray[np.floating]]
"""A reward over steps: fields and actions of T steps to T rewards. Shape: (T,)."""

CLEAR_SHARE = 0.1
"""Of the range of fitness: two trajectories further apart than this are clearly ordered."""
MIN_PAIRS = 6
"""With fewer clearly ordered pairs there is nothing to judge by."""
MIN_SCORE = 0.0
"""As many right pairs as wrong ones: what is doubtful is for a trial to show."""
_TIE = 1e-9
"""Relative difference of returns that is rounding, not preference."""


BANK_SIZE = 24
"""Trajectories kept: 276 pairs."""
BANK_BYTES = 64 * 1024 * 1024
"""Of all of them, which go into every checkpoint: nine whole episodes of Humanoid-v5."""


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """A trajectory as the preference test sees it: all that its verdict is made of."""

    label: str
    """Where it comes from, for people."""
    fitness: float
    """By the goal's measure."""
    discounted_return: float
    """Of the reward that is tested; NaN where it has no number."""


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """How well a reward's ranking of trajectories agrees with that of fitness."""

    score: float
    """(pairs in the same order - pairs in the opposite one) / clearly ordered pairs; -1 to 1."""
    num_pairs: int
    """Clearly ordered pairs."""
    passed: bool
    sentence: str
    """For people; names the pair that is most wrongly ordered."""


def preference(
    evaluate: Evaluate,
    trajectories: Sequence[Trajectory],
    *,
    gamma: float,
    min_score: float = MIN_SCORE,
) -> Preference:
    """Return whether a reward prefers the trajectories that fitness prefers.

    Args:
        evaluate: the reward.
        trajectories: behaviours of different fitness, those worth nothing among them.
        gamma: discount per env step, the learner's.
        min_score: lowest score that passes.
    """
    return judge(rank(evaluate, trajectories, gamma), min_score)


def rank(evaluate: Evaluate, trajectories: Sequence[Trajectory], gamma: float) -> list[Ranked]:
    """Return what a reward pays trajectories, those of unknown fitness and empty ones left out.

    They are ranked by discounted return, which is what a policy learns to raise: a reward that
    pays a dive more than a run does so within its horizon, whatever the episodes' sums are.

    Args:
        evaluate: the reward.
        trajectories: behaviours of different fitness.
        gamma: discount per env step, the learner's.
    """
    return [
        Ranked(
            label=each.label,
            fitness=each.fitness,
            discounted_return=_discounted(evaluate(each.fields, each.action), gamma),
        )
        for each in trajectories
        if math.isfinite(each.fitness) and each.length
    ]


def judge(ranked: Sequence[Ranked], min_score: float = MIN_SCORE) -> Preference:
    """Return whether returns order trajectories as fitness does.

    A pair with equal returns counts as clearly ordered but as neither right nor wrong.

    Args:
        ranked: trajectories of known fitness.
        min_score: lowest score that passes.
    """
    fitness = [each.fitness for each in ranked]
    margin = CLEAR_SHARE * (max(fitness) - min(fitness)) if ranked else 0.0
    agreement, num_pairs = 0, 0
    worst, worst_gap = "", 0.0
    for first, second in combinations(ranked, 2):
        better, worse = (first, second) if first.fitness > second.fitness else (second, first)
        gap = better.fitness - worse.fitness
        if gap <= margin:
            continue
        num_pairs += 1
        verdict = _compare(better.discounted_return, worse.discounted_return)
        agreement += verdict
        if verdict <= 0 and gap > worst_gap:
            than = "no less than" if verdict == 0 else "more than"
            worst = f"it pays {_name(worse)} {than} {_name(better)}"
            worst_gap = gap
    if num_pairs < MIN_PAIRS:
        sentence = f"Only {num_pairs} pairs of trajectories differ clearly: too few to judge."
        return Preference(score=0.0, num_pairs=num_pairs, passed=True, sentence=sentence)
    score = agreement / num_pairs
    tail = f"; {worst}." if worst else "."
    sentence = f"Ranks {num_pairs} pairs of trajectories with score {score:.2f}{tail}"
    return Preference(
        score=score, num_pairs=num_pairs, passed=score >= min_score, sentence=sentence
    )


def _discounted(reward: NDArray[np.floating], gamma: float) -> float:
    """Return the sum of gamma^t r_t over an episode; NaN where that is no number."""
    weights = gamma ** np.arange(len(reward))
    with np.errstate(invalid="ignore"):
        discounted = np.asarray(reward, dtype=np.float64) * weights
    try:
        return math.fsum(discounted)
    except (OverflowError, ValueError):
        # Finite rewards of a sum beyond all numbers; infinite ones of both signs.
        return math.nan


def _compare(better: float, worse: float) -> int:
    """Return 1 for the right order, -1 for the wrong one, 0 for a tie or no number."""
    if not (math.isfinite(better) and math.isfinite(worse)):
        return 0
    if abs(better - worse) <= _TIE * max(abs(better), abs(worse)):
        return 0
    return 1 if better > worse else -1


def _name(ranked: Ranked) -> str:
    return f'"{ranked.label}" (fitness {ranked.fitness:.3g})'


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint's JSON says of one trajectory."""

    label: str
    fitness: float
    probe: bool


class TrajectoryBank:
    """Trajectories of different fitness, few enough to keep, for `preference`.

    Probes (scripted behaviours such as standing still) stay. Of the others, when there are too
    many, in number or in bytes, the one goes whose neighbours in fitness are closest together: the
    range stays covered, its ends for certain. Of equals the oldest goes.
    """

    def __init__(self, size: int = BANK_SIZE, most_bytes: int = BANK_BYTES) -> None:
        """Make an empty bank of at most `size` trajectories and `most_bytes` bytes."""
        self._size = size
        self._most_bytes = most_bytes
        self._probes: list[Trajectory] = []
        self._others: list[Trajectory] = []

    @property
    def trajectories(self) -> list[Trajectory]:
        """Probes, then the others from the oldest to the newest."""
        return [*self._probes, *self._others]

    @property
    def has_own(self) -> bool:
        """Whether there are others than probes."""
        return bool(self._others)

    def add(self, trajectory: Trajectory, *, probe: bool = False) -> None:
        """Take a trajectory in; an empty one, or one of unknown fitness, is left out.

        Args:
            trajectory: any episode.
            probe: keep it; a probe of the same label is replaced.
        """
        if not trajectory.length or not math.isfinite(trajectory.fitness):
            return
        if probe:
            others = [kept for kept in self._probes if kept.label != trajectory.label]
            if len(others) >= self._size:
                raise ValueError(f"a bank of {self._size} trajectories is full of probes")
            self._probes = [*others, trajectory]
        else:
            self._others.append(trajectory)
        while self._others and self._is_too_large():
            del self._others[_most_redundant([kept.fitness for kept in self._others])]

    def _is_too_large(self) -> bool:
        kept = self.trajectories
        too_many = len(kept) > self._size
        return too_many or sum(each.num_bytes for each in kept) > self._most_bytes

    def clear(self) -> None:
        """Forget everything: fitness is measured by another goal now."""
        self._probes, self._others = [], []

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all fields and actions, for a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        for index, kept in enumerate(self.trajectories):
            arrays[f"{index}/action"] = kept.action
            for name, field in kept.fields.items():
                arrays[f"{index}/field/{name}"] = field
        return arrays

    def counters(self) -> dict[str, Any]:
        """Return what is known of each trajectory as plain JSON values, for a checkpoint."""
        flagged = [(kept, True) for kept in self._probes] + [(kept, False) for kept in self._others]
        rows = [_Kept(label=t.label, fitness=t.fitness, probe=probe) for t, probe in flagged]
        return {"trajectories": [msgspec.to_builtins(row) for row in rows]}

    def load(self, arrays: Mapping[str, NDArray[Any]], counters: Mapping[str, Any]) -> None:
        """Take over what `arrays` and `counters` returned."""
        self.clear()
        for index, row in enumerate(msgspec.convert(counters["trajectories"], list[_Kept])):
            prefix = f"{index}/field/"
            trajectory = Trajectory(
                label=row.label,
                fitness=row.fitness,
                fields={
                    name.removeprefix(prefix): array
                    for name, array in arrays.items()
                    if name.startswith(prefix)
                },
                action=arrays[f"{index}/action"],
            )
            (self._probes if row.probe else self._others).append(trajectory)


def _most_redundant(fitness: Sequence[float]) -> int:
    """Return the index of the value that leaves the smallest gap; the first of equals.

    The lowest and highest go only when there is nothing between them, and then the oldest.
    """
    order = sorted(range(len(fitness)), key=lambda index: (fitness[index], index))
    inner = [
        (fitness[order[place + 1]] - fitness[order[place - 1]], order[place])
        for place in range(1, len(order) - 1)
    ]
    return min(inner)[1] if inner else 0
