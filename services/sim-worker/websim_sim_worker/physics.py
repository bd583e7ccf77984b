"""Step a shard's batch, and tell where the answer is not the physics of what was asked.

The engine does not raise when a simulation diverges: it resets that simulation and counts a
warning. Where it does raise, the simulations concerned keep their state and the others go on.
"""

import mujoco
import mujoco.batch
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_BAD = slice(mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADCTRL + 1)
"""Warnings of numbers that are not finite or huge: in qpos, qvel, qacc, ctrl."""


class Physics:
    """The stepping of a batch.

    Attributes:
        invalid: (n,) bool, transitions of the last step that nobody should learn from.
        diverged_total: Invalid transitions so far.
        last_failure: What the engine said when it last raised, or "".
    """

    def __init__(self, batch: mujoco.batch.Batch, frame_skip: int) -> None:
        self.invalid = np.zeros(batch.nsim, bool)
        self.diverged_total = 0
        self.last_failure = ""
        self._batch = batch
        self._frame_skip = frame_skip
        self._bad = batch.warning[:, _BAD, 1]
        self._has_invalid = False

    def advance(self) -> bool:
        """Step all simulations and mark `invalid`. Return whether there are any."""
        failed = None
        try:
            self._batch.step(nstep=self._frame_skip)
        except mujoco.batch.SimulationError as error:
            failed = error.ids
            self.last_failure = str(error)
        if self._has_invalid:
            self.invalid.fill(False)
            self._has_invalid = False
        if failed is None and not self._bad.any():
            return False
        np.copyto(self.invalid, self._bad.any(axis=1))
        if failed is not None:
            self.invalid[failed] = True
        self._bad[...] = 0
        return True

    def skip(self) -> None:
        """Mark all transitions invalid, without stepping anything."""
        self.invalid.fill(True)

    def settle(self, reward: Floats, terminated: Bools) -> None:
        """Take merit and end from invalid transitions, and count them.

        A transition without a finite reward (n,) is invalid, too.
        """
        self._has_invalid = True
        np.logical_or(self.invalid, ~np.isfinite(reward), out=self.invalid)
        reward[self.invalid] = 0.0
        terminated[self.invalid] = False
        self.diverged_total += int(self.invalid.sum())
