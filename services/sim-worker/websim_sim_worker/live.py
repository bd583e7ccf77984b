"""The engine's arrays of a shard, and those of one environment when people ask for it."""

import copy
import functools
from typing import Any

import mujoco
import mujoco.batch
import numpy as np
import numpy.typing as npt

from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.contacts import contact_forces
from websim_sim_worker.selection import CENTER_OF_MASS, array_width
from websim_sim_worker.table import ComputedArray, FieldTable, center_of_mass

Floats = npt.NDArray[np.float64]

MAX_CONTACTS = 256
"""Bound of the contacts that a pose has."""

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

    def pose_of(self, row: int) -> tuple[float, dict[str, npt.NDArray[Any]]]:
        """Time, s, of one environment and where its geoms and contacts are (see pose_arrays)."""
        return self._single.pose(self.batch, row)

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
        self._take(batch, row)
        mujoco.mj_rnePostConstraint(self._model, self._data)
        for name, values in self._arrays.items():
            values[0] = np.ravel(getattr(self._data, name))
        for name, keeper in shard_table.rates.items():
            self._table.values[name][0] = keeper.value[row]
        for refresh in self._plan:
            refresh()
        return {name: values[0].copy() for name, values in self._table.values.items()}

    def pose(
        self, batch: mujoco.batch.Batch, row: int
    ) -> tuple[float, dict[str, npt.NDArray[Any]]]:
        """Return the time, s, and the pose's arrays, all copies."""
        self._take(batch, row)
        return float(self._data.time), pose_arrays(self._model, self._data)

    def _take(self, batch: mujoco.batch.Batch, row: int) -> None:
        """Be that environment, with all that follows from its state.

        Where the engine fails in that state, only what follows from its places alone.
        """
        batch.get_model(row, self._model)
        self._be(batch.state[row])
        try:
            mujoco.mj_forward(self._model, self._data)
        except mujoco.FatalError:
            mujoco.mj_resetData(self._model, self._data)
            self._be(batch.state[row])
            mujoco.mj_kinematics(self._model, self._data)

    def _be(self, state: Floats) -> None:
        mujoco.mj_setState(self._model, self._data, state, mujoco.mjtState.mjSTATE_INTEGRATION)

    def _locate(self, array: str) -> tuple[Floats, int]:
        if array not in self._arrays:
            self._arrays[array] = np.zeros((1, array_width(array, self._model)))
        return self._arrays[array], 0

    def _compute(self, array: str) -> ComputedArray | None:
        if array == CENTER_OF_MASS:
            return center_of_mass(self._locate("xipos")[0], lambda: self._model.body_mass)
        return None


def pose_arrays(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a Pose, but for its reward, after mj_forward.

    geom_xpos (g, 3), geom_xquat (g, 4), and where there are any, contacts (c, 4), all float32.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "geom_xpos": data.geom_xpos.astype(np.float32),
        "geom_xquat": data.geom_xquat.astype(np.float32),
    }
    force = np.zeros(6)
    contacts = []
    for index in range(min(data.ncon, MAX_CONTACTS)):
        contact = data.contact[index]
        if contact.efc_address >= 0:
            mujoco.mj_contactForce(model, data, index, force)
            contacts.append((*contact.pos, force[0]))
    if contacts:
        arrays["contacts"] = np.array(contacts, np.float32)
    return arrays
