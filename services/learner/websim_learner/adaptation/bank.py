"""Trajectories that a run keeps, good and bad, to see which behaviour a reward prefers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.points import Trajectory
from websim_learner.algorithms.state import Arrays

MAX_TRAJECTORIES = 24
"""Kept at most; the probes among them always."""


class TrajectoryBank:
    """A bounded choice of trajectories, spread over the range of fitness."""

    def __init__(self) -> None:
        self._probes: list[Trajectory] = []
        self._others: list[Trajectory] = []

    @property
    def trajectories(self) -> list[Trajectory]:
        """All of them, the probes first."""
        return [*self._probes, *self._others]

    @property
    def has_probes(self) -> bool:
        """Whether behaviours that want nothing are among them."""
        return bool(self._probes)

    def keep_probes(self, probes: tuple[Trajectory, ...]) -> None:
        """Keep behaviours that want nothing, for good."""
        self._probes = list(probes)

    def add(self, trajectory: Trajectory) -> None:
        """Add one; where there are too many, one goes whose fitness another one has nearly."""
        if not np.isfinite(trajectory.fitness):
            return
        self._others.append(trajectory)
        if len(self.trajectories) > MAX_TRAJECTORIES:
            order = np.argsort([each.fitness for each in self._others], kind="stable")
            fitness = np.array([self._others[i].fitness for i in order])
            # What its neighbours leave open when it goes; the ends of the range stay.
            gaps = fitness[2:] - fitness[:-2]
            del self._others[int(order[1 + int(np.argmin(gaps))])]

    def counters(self) -> list[dict[str, Any]]:
        """Return what is not arrays, for a checkpoint."""
        return [
            {"label": each.label, "fitness": each.fitness, "probe": index < len(self._probes)}
            for index, each in enumerate(self.trajectories)
        ]

    def arrays(self) -> dict[str, Arrays]:
        """Return all arrays as one part, for a checkpoint; none where there is nothing."""
        part: dict[str, NDArray[Any]] = {}
        for index, each in enumerate(self.trajectories):
            part[f"{index}.action"] = each.action
            part |= {f"{index}.field.{name}": values for name, values in each.fields.items()}
        return {"trajectories": part} if part else {}

    def load(self, counters: list[dict[str, Any]], parts: dict[str, Arrays]) -> None:
        """Take over what `counters` and `arrays` returned."""
        self._probes, self._others = [], []
        part = parts.get("trajectories", {})
        for index, facts in enumerate(counters):
            start = f"{index}.field."
            trajectory = Trajectory(
                label=facts["label"],
                fitness=facts["fitness"],
                fields={k[len(start) :]: v for k, v in part.items() if k.startswith(start)},
                action=part[f"{index}.action"],
            )
            (self._probes if facts["probe"] else self._others).append(trajectory)
