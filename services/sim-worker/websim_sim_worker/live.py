"""The engine's arrays of a shard, and those of one environment when people ask for it."""

import copy
import functools

import mujoco
import mujoco.batch
import numpy as np
import numpy.typing as npt

from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.contacts import contact_forces
from websim_sim_worker.selection import CENTER_OF_MASS, array_width
from websim_sim_worker.table import ComputedArray, FieldTable, center_of_mass

Floats = npt.NDArray[np.float64]

_STATE_BITS = {
    "time": mujoco.mjtState.mjSTATE_TIME,
    "qpos": mujoco.mjtState.mjSTATE_QPOS,
    "qvel": mujoco.mjtState.mjSTATE_QVEL,
    "act": mujoco.mjtState.mjSTATE_ACT,
    "ctrl": mujoco.mjtState.mjSTATE_CTRL,
}


class LiveArrays:
    """Owns a shard's batch and says where each array's columns are."""

    def __init__(self, task: CompiledTask, num_envs: int, nthread: int) -> None:
        self._task = task
        self._derived: dict[str, Floats] = {}
        # Only a persistent batch can be asked for contact forces; it needs more memory.
        self.batch = mujoco.batch.Batch(
            task.model, num_envs, nthread, persistent=task.offers_contact_forces
        )

    def table(self) -> FieldTable:
        """Make the table of the task's fields on the live arrays."""
        return FieldTable(
            self._task.fields,
            num_rows=self.batch.nsim,
            dt_s=self._task.info.dt_s,
            locate=self._locate,
            compute=self._compute,
        )

    def fields_of(self, row: int, table: FieldTable) -> dict[str, Floats]:
        """Evaluate all fields of one environment at its current state."""
        return self._single.fields(self.batch, row, table)

    @functools.cached_property
    def _single(self) -> "_SingleEnv":
        return _SingleEnv(self._task)

    def _locate(self, array: str) -> tuple[Floats, int]:
        if (bit := _STATE_BITS.get(array)) is not None:
            below = int(mujoco.mjtState.mjSTATE_INTEGRATION) & (int(bit) - 1)
            return self.batch.state, mujoco.mj_stateSize(self._task.model, below)
        if array not in self._derived:
            self._derived[array] = self.batch.bind(array).reshape(self.batch.nsim, -1)
        return self._derived[array], 0

    def _compute(self, array: str) -> ComputedArray | None:
        if array == "cfrc_ext":
            return contact_forces(self.batch, self._task.model)
        if array == CENTER_OF_MASS:
            return center_of_mass(self._locate("xipos")[0], self._body_mass)
        return None

    def _body_mass(self) -> Floats:
        """(nbody,) shared by all, or (n, nbody) once a knob gave each environment its own."""
        own: Floats | None = self.batch.expanded("body_mass")
        shared: Floats = self._task.model.body_mass
        return shared if own is None else own


class _SingleEnv:
    """Fields of one environment, evaluated with mj_forward at its state."""

    def __init__(self, task: CompiledTask) -> None:
        # A copy, to hold the values of the environment asked about where knobs gave it its own.
        self._model = copy.copy(task.model)
        self._data = mujoco.MjData(task.model)
        self._arrays: dict[str, Floats] = {}
        self._table = FieldTable(
            task.fields,
            num_rows=1,
            dt_s=task.info.dt_s,
            locate=self._locate,
            compute=self._compute,
        )
        self._table.add("time_s", self._locate("time")[0][:, 0])
        self._plan = self._table.plan(task.fields, after_reset=True)

    def fields(
        self, batch: mujoco.batch.Batch, row: int, shard_table: FieldTable
    ) -> dict[str, Floats]:
        """Return every field as a copy, () or (columns,); rates are those of the last step."""
        state = batch.state[row]
        batch.get_model(row, self._model)
        mujoco.mj_setState(self._model, self._data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self._model, self._data)
        mujoco.mj_rnePostConstraint(self._model, self._data)
        for name, values in self._arrays.items():
            values[0] = np.ravel(getattr(self._data, name))
        for name, keeper in shard_table.rates.items():
            self._table.values[name][0] = keeper.value[row]
        for refresh in self._plan:
            refresh()
        return {name: values[0].copy() for name, values in self._table.values.items()}

    def _locate(self, array: str) -> tuple[Floats, int]:
        if array not in self._arrays:
            self._arrays[array] = np.zeros((1, array_width(array, self._model)))
        return self._arrays[array], 0

    def _compute(self, array: str) -> ComputedArray | None:
        if array == CENTER_OF_MASS:
            return center_of_mass(self._locate("xipos")[0], lambda: self._model.body_mass)
        return None
