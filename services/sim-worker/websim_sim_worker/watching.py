"""What of a shard is shown to people: all its figures, or the pose of one environment.

Looking changes nothing: a shard that is looked at has the bits of one that is not.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import mujoco.batch
import numpy as np
import numpy.typing as npt

from websim_sim_worker.compilation import CompiledTask
from websim_sim_worker.episodes import Episodes
from websim_sim_worker.figure import Figure
from websim_sim_worker.live import LiveArrays
from websim_sim_worker.results import Bools, Floats, Ids
from websim_sim_worker.table import Refresh

Array = npt.NDArray[Any]

TERMINATED, TRUNCATED, SUCCESS, INVALID = 1, 2, 3, 4
"""How an environment's last episode ended; 0 before one has."""
_EDGE = 32767.0


class ShardView:
    """Shows the environments of a shard. Unless somebody looks, it costs a step nothing."""

    def __init__(self, task: CompiledTask, live: LiveArrays, episodes: Episodes) -> None:
        self._task = task
        self._live = live
        self._episodes = episodes
        self._outcomes = np.zeros(live.batch.nsim, np.uint8)
        self._figures: FigureView | None = None
        self._to_explain: Sequence[int] = ()
        self._explained: dict[int, dict[str, float]] = {}

    # --- for whoever looks

    def expect(self, *, figures: bool, env_indices: Sequence[int]) -> None:
        """Prepare for a look after the coming step.

        Args:
            figures: Whether `figures` will be called.
            env_indices: Rows that `pose` will be called for.
        """
        if figures:
            self._figure_view().prepare()
        self._to_explain = env_indices

    def figures(self) -> dict[str, Array]:
        """The arrays of a Figures message, all copies."""
        points, root_x = self._figure_view().points()
        return {
            "points": points,
            "root_x": root_x,
            "episode_return": self._episodes.episode_return.astype(np.float32),
            "episode_length": self._episodes.length.copy(),
            "outcome": self._outcomes.copy(),
        }

    def pose(self, env_index: int) -> tuple[float, dict[str, Array]]:
        """Time, s, of one environment and the arrays of a Pose message, all copies.

        The reward is among them if the last step was expected to be looked at.
        """
        time_s, arrays = self._live.pose_of(env_index)
        for name, value in self._explained.get(env_index, {}).items():
            arrays[name] = np.array(value)
        return time_s, arrays

    def _figure_view(self) -> "FigureView":
        if self._figures is None:
            self._figures = FigureView(self._task.figure, self._task.model, self._live.batch)
        return self._figures

    # --- for the shard

    def figure_field(self) -> tuple[Floats, Refresh]:
        """The array of FIGURE_FIELD, and what brings it up to date after a step, before resets."""
        rows = np.zeros((self._live.batch.nsim, 1 + 2 * len(self._task.figure.names)))

        def refresh() -> None:
            view = self._figure_view()
            points, rows[:, 0] = view.points()
            rows[:, 1:] = points.reshape(len(rows), -1)
            # Who asks once goes on asking: the next step brings what this one had to look up.
            view.prepare()

        return rows, refresh

    def stepped(self) -> None:
        """Note that the engine has stepped all environments."""
        if self._figures is not None:
            self._figures.stepped()

    def restored(self) -> None:
        """Note that the state was written without a step."""
        self._explained = {}
        if self._figures is not None:
            self._figures.fresh = False

    def explain(
        self, values: Mapping[str, Floats], action: npt.NDArray[np.float32], reward: Floats
    ) -> None:
        """Keep the step's reward by components where somebody will look; before any reset.

        Args:
            values: Fields by name, (n,) or (n, columns).
            action: (n, action_dim).
            reward: (n,), as it is handed out.
        """
        if not (self._to_explain or self._explained):
            return
        rows, self._to_explain = self._to_explain, ()
        self._explained = {}
        program = self._task.reward
        for row in rows:
            own = {name: values[name][row : row + 1] for name in program.fields}
            _, parts = program.with_components(own, action[row : row + 1])
            told = {f"component:{name}": float(part[0]) for name, part in parts.items()}
            self._explained[row] = {"reward": float(reward[row])} | told

    def ended(self, rows: Ids, terminated: Bools, success: Floats, invalid: Bools) -> None:
        """Take in the episodes that ended in `rows` (k,).

        Args:
            rows: Ascending.
            terminated: (n,).
            success: (k,), NaN where the task defines none.
            invalid: (n,).
        """
        codes = np.where(terminated[rows], TERMINATED, TRUNCATED)
        codes[success >= 1.0] = SUCCESS
        codes[invalid[rows]] = INVALID
        self._outcomes[rows] = codes


class FigureView:
    """The key points of all environments of a shard.

    The engine hands positions and rotations of bodies out with every step once it is asked for
    them: `prepare` asks. What it handed out is not valid until the next step, nor after the state
    was written without one; then each environment is visited.
    """

    def __init__(self, figure: Figure, model: mujoco.MjModel, batch: mujoco.batch.Batch) -> None:
        self._figure = figure
        self._model = model
        self._batch = batch
        self._onto, self._follow = _matrices(figure)
        self._bodies = np.empty((model.nbody, 12, batch.nsim))
        self._along = 1 if figure.plane == "yz" else 0
        self._xpos: Floats | None = None
        self._xmat: Floats | None = None
        self._data: mujoco.MjData | None = None
        self.fresh = False
        """What the engine handed out is of the present state."""

    def prepare(self) -> None:
        """Ask the engine for what a look after the coming step needs."""
        if self._xpos is None:
            self._xpos = self._batch.bind("xpos")
            self._xmat = self._batch.bind("xmat")

    def stepped(self) -> None:
        """Note that all environments were stepped."""
        self.fresh = self._xpos is not None

    def points(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32]]:
        """Points (n, p, 2) in units of the figure's scale_m, and root_x (n,) in metres.

        What is too far away, or no number, is at the edge.
        """
        if self.fresh and self._xpos is not None and self._xmat is not None:
            xpos, xmat = self._xpos, self._xmat
        else:
            xpos, xmat = self._visit_all()
        bodies = self._bodies
        bodies[:, :3] = xpos.transpose(1, 2, 0)
        bodies[:, 3:] = xmat.transpose(1, 2, 0)
        with np.errstate(all="ignore"):
            # One small product per point: a large one would wake threads that training needs.
            places = self._onto @ bodies[self._figure.bodies]
            places -= self._follow @ bodies[self._figure.root]
            np.rint(places, out=places)
            np.fmax(places, -_EDGE, out=places)
            np.fmin(places, _EDGE, out=places)
            root_x = bodies[self._figure.root, self._along].astype(np.float32)
        points = np.ascontiguousarray(places.astype(np.int16).transpose(2, 0, 1))
        return points, np.nan_to_num(root_x, copy=False)

    def _visit_all(self) -> tuple[Floats, Floats]:
        if self._data is None:
            self._data = mujoco.MjData(self._model)
        data, num_envs = self._data, self._batch.nsim
        xpos, xmat = np.empty((num_envs, *data.xpos.shape)), np.empty((num_envs, *data.xmat.shape))
        for row, state in enumerate(self._batch.state):
            mujoco.mj_setState(self._model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
            mujoco.mj_kinematics(self._model, data)
            xpos[row], xmat[row] = data.xpos, data.xmat
        return xpos, xmat


def _matrices(figure: Figure) -> tuple[Floats, Floats]:
    """Matrices (p, 2, 12) from a point's body to the point, and (2, 12) from the root to its place.

    Of a body they take xpos (3,) and xmat (9,) together:
    point = projection @ (xpos[body] + xmat[body] @ local - horizontal part of xpos[root]) / scale_m
    """
    onto = figure.projection / figure.scale_m
    turns = np.einsum("ci,pj->pcij", onto, figure.local).reshape(-1, 2, 9)
    places = np.broadcast_to(onto, (len(turns), 2, 3))
    follow = np.zeros((2, 12))
    if figure.root:
        follow[:, :2] = onto[:, :2]
    return np.concatenate([places, turns], axis=2), follow
