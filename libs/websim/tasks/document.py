"""A task file as frozen dataclasses: what the parser makes and the worker compiles.

Nothing here knows MuJoCo: names of joints and bodies are still text, parameters are still names.
"""

from dataclasses import dataclass, field
from typing import Literal

Value = bool | int | float | str | tuple[float, ...]
"""A parameter's value. Integers and floats are kept apart, as the file writes them."""
Scalar = int | float | str
"""A number, or the name of a parameter that holds one."""
Clip = str | tuple[Scalar, Scalar]
"""[low, high], or the name of a parameter that holds both."""
Objects = str | int | tuple[str, ...]
"""A name, an index, several names, a range 'a:b', or '$parameter'."""
Columns = int | str | tuple[int, ...]
"""One column (no column axis remains), a range 'a:b', or several."""
Accumulate = Literal["sum", "last", "max"]
ObjectKind = Literal["joint", "body", "geom", "site", "actuator", "tendon", "sensor"]
KnobTarget = Literal[
    "gravity", "mass", "friction", "damping", "actuator_strength", "push", "terrain"
]
"""What a knob changes in the model."""

AUTOMATIC_FIELDS = ("obs", "previous_obs", "previous_action", "time_s")
"""Fields that every task has without naming them."""


@dataclass(frozen=True)
class Source:
    """Numbers of one MjData array, selected by object and column."""

    array: str
    kind: ObjectKind | None = None
    objects: Objects | None = None
    columns: Columns | None = None


@dataclass(frozen=True)
class Reference:
    """Another field as it is (in observations)."""

    field: str


@dataclass(frozen=True)
class Rate:
    """Change of a field over the environment step, per second."""

    field: str


@dataclass(frozen=True)
class Expression:
    """One number per environment, from other fields, in the closed language."""

    text: str


@dataclass(frozen=True)
class Elementwise:
    """A function of each number of a field."""

    function: Literal["sin", "cos"]
    field: str


@dataclass(frozen=True)
class Difference:
    """One field minus another."""

    left: str
    right: str


Quantity = Source | Reference | Rate | Expression | Elementwise | Difference


@dataclass(frozen=True)
class FieldSpec:
    """A named quantity; `where` names its place in the file for messages."""

    name: str
    quantity: Quantity
    clip: Clip | None = None
    unit: str = ""
    description: str = ""
    where: str = ""


@dataclass(frozen=True)
class ObservationPart:
    """A run of observation columns, there when `when` is true and `unless` is false."""

    quantity: Source | Reference
    clip: Clip | None = None
    when: str | None = None
    unless: str | None = None
    where: str = ""


@dataclass(frozen=True)
class Parameter:
    """A named value that make_vec(..., name=value) may override."""

    name: str
    value: Value
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class JointNoise:
    """What differs for one joint: `center` replaces the initial value."""

    joint: str
    center: Scalar | None = None
    scale: Scalar | None = None


@dataclass(frozen=True)
class Noise:
    """Reset noise of qpos or qvel around the initial state."""

    distribution: Literal["uniform", "normal"]
    scale: Scalar
    joints: tuple[JointNoise, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Region:
    """Positions of joints drawn uniformly: in the box or disk, and outside a radius if given."""

    joints: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    inside_radius: float = float("inf")
    outside_radius: float = 0.0
    where: str = ""


@dataclass(frozen=True)
class ResetSpec:
    """How an episode begins."""

    keyframe: str | None = None
    qpos: Noise | None = None
    qvel: Noise | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class PushTimes:
    """When a push comes, and which way; simulated seconds. `along`: x, y, or any way in xy."""

    period_s: float = 2.0
    duration_s: float = 0.2
    along: Literal["x", "y", "xy"] = "xy"


@dataclass(frozen=True)
class KnobSpec:
    """A physical parameter that may vary from environment to environment.

    `range` is the widest allowed; `hard` the end, or the range, that is reached at difficulty 1.
    """

    name: str
    target: KnobTarget
    range: tuple[float, float]
    hard: float | tuple[float, float]
    kind: Literal["scale", "set"] = "scale"
    objects_kind: ObjectKind | None = None
    objects: Objects | None = None
    nominal: float | None = None
    push: PushTimes = PushTimes()
    unit: str = ""
    description: str = ""
    where: str = ""


@dataclass(frozen=True)
class ProgramText:
    """A program's source; `where` names its place in the file for messages."""

    source: str
    where: str = ""


@dataclass(frozen=True)
class Judge:
    """A program evaluated each step and how an episode accumulates it."""

    program: ProgramText
    accumulate: Accumulate
    per_horizon: bool = False
    unit: str = ""
    description: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """Where the MJCF comes from: exactly one of file, gymnasium, generate is not empty."""

    file: str = ""
    gymnasium: str = ""
    generate: str = ""
    sha256: str = ""
    where: str = ""


@dataclass(frozen=True)
class TaskDocument:
    """A parsed task file."""

    id: str
    description: str
    model: ModelSpec
    frame_skip: int
    max_episode_steps: int
    observation: tuple[ObservationPart, ...]
    reward: ProgramText
    fitness: Judge
    terminated: ProgramText | None = None
    success: Judge | None = None
    parameters: tuple[Parameter, ...] = ()
    fields: tuple[FieldSpec, ...] = ()
    reset: ResetSpec = field(default_factory=ResetSpec)
    knobs: tuple[KnobSpec, ...] = ()
