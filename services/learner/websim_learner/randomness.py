"""Counter-based random streams: every draw of a run is a function of (seed, stream, counter).

One generator serves a whole table in env order, never one object per env, and nothing here or in
the learner draws from a global generator. A run that resumes at counter ``n`` therefore draws what
an uninterrupted run would have drawn there.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What a draw is for; streams with different numbers never overlap."""

    WEIGHTS = 1
    ACTION_NOISE = 2
    MINIBATCH_ORDER = 3
    EPISODE_STAGGER = 4
    TRAINING_SESSION = 5
    EVALUATION_SESSION = 6
    GOLDEN = 7
    PROBE_ACTIONS = 8
    CONTEST_SESSION = 9
    DIVIDED_SESSION = 10


def generator(seed: int, stream: Stream, counter: int) -> np.random.Generator:
    """Return the generator of one (seed, stream, counter).

    Args:
        seed: the run's seed, 0 <= seed < 2**64.
        stream: what the numbers are for.
        counter: the position in the stream, such as the vector step t or the update number.
    """
    key = np.array([seed, stream], dtype=np.uint64)
    # Philox advances the lowest of its four counter words, so word 2 keeps 2**128 draws between
    # two neighbouring counters.
    start = np.array([0, 0, counter, 0], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=start))


def derived_seed(seed: int, stream: Stream, counter: int = 0) -> int:
    """Return a seed in [0, 2**31) for something that takes one seed of its own."""
    return int(generator(seed, stream, counter).integers(2**31))
