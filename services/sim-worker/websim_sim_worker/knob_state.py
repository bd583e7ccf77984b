"""The knobs of a shard's environments: ranges, what each one has drawn, and pushes under way.

Off until a range is other than nominal: then the batch gets model values of each environment's own.
Draws are made as resets are: one table for the whole shard per command, in the order of
environments, whichever of them begin an episode.
"""

from collections.abc import Mapping
from typing import Any

import mujoco.batch
import numpy as np
import numpy.typing as npt

from websim.tasks import TaskError
from websim.tasks.knobs import Ranges, refuse_ranges
from websim_sim_worker.knobs import CONSTANT_INPUTS, Knob, Push, Write

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]

KNOB_STREAM = 2
PUSH_STREAM = 3
"""Numbers of the random streams that knobs' values, and directions of pushes, are drawn from."""
_PREFIX = "knob_"


class KnobState:
    """Knobs of the n environments of a batch.

    Attributes:
        on: Whether any knob has been turned since the shard was built.
        values: (n, k) float64, each environment's present values, in the knobs' units.
    """

    def __init__(
        self, knobs: tuple[Knob, ...], batch: mujoco.batch.Batch, first_env_id: int
    ) -> None:
        self.on = False
        self._knobs = knobs
        self._infos = tuple(knob.info for knob in knobs)
        self._batch = batch
        self._first_env_id = first_env_id
        self._nominal = np.array([info.nominal for info in self._infos])
        self._ranges = np.stack([self._nominal, self._nominal], axis=1).reshape(-1, 2)
        self.values = np.tile(self._nominal, (batch.nsim, 1))
        self._pushes = [knob.push for knob in knobs if knob.push is not None]
        self._pushing = [i for i, knob in enumerate(knobs) if knob.push is not None]
        self._periods = np.array([push.period for push in self._pushes], np.int64)
        self._offsets = np.zeros((batch.nsim, len(self._pushes)), np.int64)
        """Steps by which each environment's pushes come earlier than its episode's count of them"""
        self._fields: list[tuple[int, Write, npt.NDArray[Any]]] = []
        self._derives = False

    def named(self, row: int) -> dict[str, Floats]:
        """One environment's values by `knob:<name>`, () each."""
        pairs = zip(self._infos, self.values[row], strict=True)
        return {f"knob:{info.name}": np.array(value) for info, value in pairs}

    def turn(self, ranges: Ranges) -> None:
        """Draw from these ranges from each environment's next episode on.

        Raises:
            TaskError: There is no such knob, or a range is not within its limits.
        """
        if (refusal := refuse_ranges(self._infos, ranges)) is not None:
            raise TaskError(refusal[0], remedy=refusal[1])
        for i, info in enumerate(self._infos):
            if info.name in ranges:
                self._ranges[i] = ranges[info.name]
        if (self._ranges != self._nominal[:, None]).any():
            self._turn_on()

    def begin(self, rows: Ids, seed: int, t: int) -> None:
        """Draw the values of the episodes that begin in `rows` (k,) with command `t`."""
        if not self.on:
            return
        generator = self._generator(KNOB_STREAM, seed, t)
        low, high = self._ranges.T
        drawn = low + (high - low) * generator.random(self.values.shape)
        # Rounding must not lead beyond an end, which may be the widest allowed.
        self.values[rows] = np.clip(drawn, low, high)[rows]
        phases = generator.random(self._offsets.shape)
        self._offsets[rows] = (phases * self._periods).astype(np.int64)[rows]
        self._write(rows)

    def push(self, length: Ids, seed: int, t: int) -> None:
        """Begin and end the pushes that are due in the step `t`.

        Args:
            length: (n,) steps of the episodes so far.
            seed: Keys the shard's randomness.
            t: Number of the command.
        """
        if not self.on or not self._pushes:
            return
        phases = (length[:, None] + self._offsets) % self._periods
        forces = self.values[:, self._pushing]
        begins = (phases == 0) & (forces > 0.0)
        if begins.any():
            turns = self._generator(PUSH_STREAM, seed, t).random(begins.shape)
        wrenches = self._batch.bind("xfrc_applied")
        for column, push in enumerate(self._pushes):
            wrench = wrenches[:, push.body, :2]
            wrench[phases[:, column] == push.duration] = 0.0
            rows = np.flatnonzero(begins[:, column])
            if len(rows):
                strength = forces[rows, column, None]
                wrench[rows] = strength * _directions(push, turns[rows, column])

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Copies of all there is; nothing while off. Forces under way are in the engine's state."""
        return {name: array.copy() for name, array in self.arrays().items()} if self.on else {}

    def check(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> None:
        """Raise TaskError unless a snapshot has no knobs, or knobs of this task and size."""
        for name, array in self.arrays().items() if self._given(snapshot) else ():
            given = snapshot.get(name)
            if given is None or given.shape != array.shape or given.dtype != array.dtype:
                raise TaskError(f"the snapshot's {name!r} does not fit a shard of this task")

    def restore(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what a snapshot has; one of a shard that was off makes everything nominal."""
        everyone = np.arange(self._batch.nsim, dtype=np.int32)
        if self._given(snapshot):
            for name, array in self.arrays().items():
                array[...] = snapshot[name]
            self._turn_on()
            self._write(everyone)
        elif self.on:
            self._ranges[...] = self._nominal[:, None]
            self.values[...] = self._nominal
            self._offsets[...] = 0
            self._write(everyone)

    @staticmethod
    def is_mine(name: str) -> bool:
        """Whether an array of a snapshot is about knobs."""
        return name.startswith(_PREFIX)

    def _given(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> bool:
        return any(self.is_mine(name) for name in snapshot)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All there is in a snapshot of a shard whose knobs are on; not copies."""
        arrays: dict[str, npt.NDArray[Any]] = {
            f"{_PREFIX}ranges": self._ranges,
            f"{_PREFIX}values": self.values,
        }
        # An array without numbers does not travel.
        return arrays | ({f"{_PREFIX}offsets": self._offsets} if self._pushes else {})

    def _generator(self, stream: int, seed: int, t: int) -> np.random.Generator:
        key = np.array([seed % 2**64, stream << 32 | self._first_env_id], dtype=np.uint64)
        counter = np.array([0, 0, 0, t], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def _turn_on(self) -> None:
        """Give the environments model values of their own; at first those of the model."""
        if self.on:
            return
        self.on = True
        for i, knob in enumerate(self._knobs):
            for write in knob.writes:
                flat = self._batch.expand(write.field).reshape(self._batch.nsim, -1)
                self._fields.append((i, write, flat))
                self._derives |= write.field in CONSTANT_INPUTS

    def _write(self, rows: Ids) -> None:
        """Bring the model values of `rows` (k,) to what they have drawn."""
        for i, write, flat in self._fields:
            flat[rows[:, None], write.index] = write.numbers(self.values[rows, i])
        if self._derives:
            self._batch.set_const(rows)


def _directions(push: Push, turns: Floats) -> Floats:
    """Unit vectors (n, 2) in the plane, from uniform numbers (n,) in [0, 1)."""
    zero, sign = np.zeros(len(turns)), np.where(turns < 0.5, -1.0, 1.0)
    match push.along:
        case "x":
            return np.stack([sign, zero], axis=1)
        case "y":
            return np.stack([zero, sign], axis=1)
    angle = 2.0 * np.pi * turns
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
