"""What a step has to compute for a set of requested fields, worked out once per set."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from websim.tasks import TaskError
from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.table import FieldTable, Refresh

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class StepPlan:
    """The refreshes of a step in their order, and the fields to hand out."""

    refreshes: tuple[Refresh, ...]
    requested: tuple[tuple[str, Floats, Floats], ...]
    """Name, live array, buffer to copy it to before resets."""
    wants_obs: bool
    wants_previous_obs: bool


class StepPlans:
    """The plans of a shard by requested fields.

    Args:
        task: The compiled task.
        table: Its fields on the shard's arrays.
        observed: What the observation reads.
        room_bytes: What a message has left for requested fields.
    """

    def __init__(
        self, task: CompiledTask, table: FieldTable, observed: Iterable[str], room_bytes: int
    ) -> None:
        self._task = task
        self._table = table
        self._room_bytes = room_bytes
        self._always = {*observed, *task.program_fields}
        self._plans: dict[tuple[str, ...], StepPlan] = {}

    def plan(self, requested: tuple[str, ...]) -> StepPlan:
        """Return the plan for these fields.

        Raises:
            TaskError: A name is not a field of the task, or they are too much for a message.
        """
        plan = self._plans.get(requested)
        if plan is None:
            plan = self._plans[requested] = self._make(requested)
        return plan

    def _make(self, requested: tuple[str, ...]) -> StepPlan:
        for name in requested:
            if name not in self._table.values and name not in self._task.fields:
                info = self._task.info
                known = ", ".join(field.name for field in info.fields)
                raise TaskError(f"{info.id} has no field {name!r}", remedy=f"it has {known}")
        wanted = {*requested, *self._always}
        refreshes = self._table.plan(wanted)
        sources = [(name, self._table.values[name]) for name in requested]
        if sum(live.nbytes for _, live in sources) > self._room_bytes:
            raise TaskError(
                "the answer with these fields is larger than a message may be",
                remedy="ask for fewer of them, or open the session with fewer shard_envs",
            )
        return StepPlan(
            refreshes=refreshes,
            requested=tuple((name, live, np.empty(live.shape)) for name, live in sources),
            wants_obs="obs" in wanted,
            wants_previous_obs="previous_obs" in wanted,
        )
