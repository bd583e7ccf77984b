"""What a task's fields offer, as expressions of the language: speeds, heights, distances."""

from dataclasses import dataclass

from websim_reward_gen.bodies import TaskBody
from websim_reward_gen.library.legs import Legs, legs_of

_VERTICAL_AXIS = 2

_STANDING = ("Hopper", "Walker2d", "Humanoid")

_LIES_AT_REST = ("HumanoidStandup",)
"""Whose torso has no rotation where it lies on its back: its head is along -x."""


@dataclass(frozen=True)
class Robot:
    """Expressions by meaning; None where the task has no field for it. All are (N,) columns."""

    action_dim: int
    action_scale: float
    """Largest magnitude of an action."""
    forward_speed: str | None
    """m/s along x."""
    side_speed: str | None
    """m/s along y, to the left."""
    rise_speed: str | None
    """m/s upward."""
    height: str | None
    """m above ground, of the torso or tip."""
    start_rise: str | None
    """m above the height that the torso starts at."""
    pitch: str | None
    """rad, 0 upright or level, positive nose down."""
    lean: str | None
    """The pitch within half a turn to either side, however often the robot turned over."""
    pitch_speed: str | None
    """rad/s, positive nose down."""
    yaw_speed: str | None
    """rad/s, positive counterclockwise seen from above."""
    upright: str | None
    """1 upright, -1 upside down."""
    alive: str | None
    """1 while the task calls the state good, else 0."""
    joint_speeds: str | None
    """(N, k) rad/s."""
    contact: str | None
    """(N, k) forces and torques."""
    reach_distance: str | None
    """m from what reaches to what is to be reached."""
    push_distance: str | None
    """m from the object to its goal."""
    position: str | None
    """m along x from the start or the rail's middle."""
    side_position: str | None
    """m along y from the start."""
    legs: Legs | None
    """What its legs do; None where the fields do not tell whose the joints are."""
    cart: bool
    """On a rail along x: left is towards negative x."""
    stands: bool
    """Whether a pitch of 0 is upright; else it is level."""

    @classmethod
    def of(cls, task: TaskBody) -> "Robot":
        """Return what a task offers, judged by the names and columns of its fields."""
        columns = task.columns

        def column(*names: str) -> str | None:
            return next((f"state.{name}" for name in names if columns.get(name) == 0), None)

        def part(name: str, index: int) -> str | None:
            return f"state.{name}[:, {index}]" if columns.get(name, 0) > index else None

        def matrix(*names: str) -> str | None:
            return next((f"state.{name}" for name in names if columns.get(name, 0) > 0), None)

        quaternion = "torso_orientation" if columns.get("torso_orientation") == 4 else None
        cart = columns.get("cart_position") == 0
        # A planar robot's velocities begin with those of its root: x, z, pitch.
        planar_rise = part("velocities", 1) if columns.get("pitch") == 0 else None
        pitch = column("pitch", "angle")
        lean = f"np.arctan2(np.sin({pitch}), np.cos({pitch}))" if pitch else None
        lies = task.id.startswith(_LIES_AT_REST)
        if quaternion and not pitch and not lies:
            pitch = lean = _pitch_of(quaternion)
        return cls(
            action_dim=task.action_dim,
            action_scale=max(map(abs, (*task.action_low, *task.action_high))) or 1.0,
            forward_speed=column("x_velocity", "cart_velocity"),
            side_speed=column("y_velocity"),
            rise_speed=part("torso_velocity", _VERTICAL_AXIS) or planar_rise,
            height=column("torso_height", "tip_height"),
            start_rise=column("torso_rise"),
            pitch=pitch,
            lean=lean,
            pitch_speed=column("pitch_velocity", "angle_velocity") or part("torso_rotation", 1),
            yaw_speed=part("torso_rotation", _VERTICAL_AXIS),
            upright=_head_up(quaternion) if quaternion and lies else _upright(columns, quaternion),
            alive=column("healthy", "upright", "up"),
            joint_speeds=matrix("joint_velocities", "pole_velocities"),
            contact=matrix("contact_forces"),
            reach_distance=column("distance", "object_distance"),
            push_distance=column("goal_distance"),
            position=column("x_position", "cart_position"),
            side_position=column("y_position"),
            legs=legs_of(task.id, columns),
            cart=cart,
            stands=columns.get("angle") == 0 or task.id.startswith(_STANDING),
        )


def _upright(columns: dict[str, int], quaternion: str | None) -> str | None:
    if quaternion:
        # z of the body's z axis: 1 - 2 (x^2 + y^2) of the quaternion w, x, y, z
        return f"1.0 - 2.0 * np.sum(np.square(state.{quaternion}[:, 1:3]), axis=1)"
    for name in ("pitch", "angle"):
        if columns.get(name) == 0:
            return f"np.cos(state.{name})"
    if columns.get("tip_height") == 0 and columns.get("up") is None:
        return "np.clip(state.tip_height - 1.0, -1.0, 1.0)"
    return None


def _head_up(quaternion: str) -> str:
    """How far the body's -x axis points up, within -1 and 1: 2 (w y - z x)."""
    w, x, y, z = (f"state.{quaternion}[:, {index}]" for index in range(4))
    return f"np.clip(2.0 * ({w} * {y} - {z} * {x}), -1.0, 1.0)"


def _pitch_of(quaternion: str) -> str:
    """The angle by which the body's x axis points below the horizon: asin(2 (w y - z x))."""
    return f"np.arcsin({_head_up(quaternion)})"
