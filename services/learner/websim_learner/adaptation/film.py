"""What a policy looks like: the first seconds of one of its episodes, as a moving figure.

Recorded in evaluations, for people alone: nothing that a run computes depends on it.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from websim.wire.messages import FIGURE_FIELD, FigureInfo, TaskInfo

CLIP_S = 6.0
"""Of simulated time: a gait repeats itself within it, and a person looks at several in a row."""

FRAMES_PER_S = 30.0
"""About as many; pages draw what lies between them."""

MAX_FRAMES = 360
"""Bound of a clip, whatever a task's time step is."""

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A moving figure of k points."""

    episode: str
    """Which one of how many."""
    episode_s: float
    """How long it was; a shorter one than the clip ended in it."""
    frame_s: float
    """Simulated time from frame to frame."""
    root_x: bytes
    """<f4 (frames,): where the figure is along the ground, m."""
    points: bytes
    """<i2 (frames, k, 2): right of root_x and up, in units of the figure's scale_m."""


class Film:
    """Takes the figures of every env's first episode while they are stepped; one is kept."""

    def __init__(self, task: TaskInfo, figure: FigureInfo, num_envs: int) -> None:
        """Make ready.

        Args:
            task: of the session.
            figure: its.
            num_envs: of the session.
        """
        self._dt_s = task.dt_s
        self._stride = max(1, round(1.0 / (FRAMES_PER_S * task.dt_s)))
        count = round(CLIP_S / (self._stride * task.dt_s))
        self._frames = min(MAX_FRAMES, max(1, count))
        # Whole numbers, as they travel to pages: a fraction of what floats take.
        self._points = np.zeros((self._frames, num_envs, 2 * figure.k), "<i2")
        self._root_x = np.zeros((self._frames, num_envs), "<f4")
        self._taken = np.zeros(num_envs, np.int64)

    def fields(self, step: int) -> tuple[str, ...]:
        """Return what to ask for with a shard's step of this number, from 0."""
        frame, rest = divmod(step, self._stride)
        return (FIGURE_FIELD,) if rest == 0 and frame < self._frames else ()

    def take(self, rows: slice, step: int, figures: Float64 | None, counted: Bool) -> None:
        """Take the answer to a step.

        Args:
            rows: env_ids of the shard's n envs.
            step: its number.
            figures: FIGURE_FIELD; None where it was not asked for. Shape: (n, 1 + 2 k).
            counted: envs whose first episode it belongs to. Shape: (n,).
        """
        if figures is None:
            return
        frame = step // self._stride
        self._root_x[frame, rows] = figures[:, 0]
        self._points[frame, rows] = figures[:, 1:]
        self._taken[rows] += counted

    def clip(self, env_id: int, episode: str, episode_length: float) -> Clip:
        """Return an env's episode.

        Args:
            env_id: whose.
            episode: which one it is, for people.
            episode_length: in env steps.
        """
        frames = int(self._taken[env_id])
        return Clip(
            episode=episode,
            episode_s=episode_length * self._dt_s,
            frame_s=self._stride * self._dt_s,
            root_x=self._root_x[:frames, env_id].tobytes(),
            points=self._points[:frames, env_id].tobytes(),
        )
