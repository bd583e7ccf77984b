"""What is asked over HTTP: typed, bounded bodies. A body that does not fit is answered with 422.

Nothing here is trusted beyond its type: names are plain identifiers, numbers are finite, and texts
have bounds, because they become part of prompts, logs and answers.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from websim.programs.limits import MAX_COLUMNS, MAX_COMPONENT_NAME, MAX_COMPONENTS, MAX_SOURCE_BYTES
from websim.programs.schema import ProgramKind, ProgramSchema, is_plain_name

MAX_CANDIDATES = 8
MAX_DESCRIPTION = 2000
MAX_MEMORY = 32
MAX_KNOBS = 64
MAX_CURVES = 32
MAX_POINTS = 32
MAX_FIELDS = 256
MAX_TOTAL_COLUMNS = 16384
"""Columns of all fields together: the gate makes up some hundred rows of each."""

Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:/-]+$")
]
ComponentName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_COMPONENT_NAME)]
ShortText = Annotated[str, StringConstraints(max_length=400)]
Description = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_DESCRIPTION)
]
ProgramText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SOURCE_BYTES)]
ProviderName = Literal["auto", "claude", "library", "replay"]
Action = Literal["reweight", "new_reward", "env_change", "none"]


class Body(BaseModel):
    """Frozen; unknown names are refused, so that a misspelt one is not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldBody(Body):
    """A quantity that programs may read as `state.<name>`."""

    name: Annotated[str, StringConstraints(max_length=64)]
    columns: int = Field(ge=0, le=MAX_COLUMNS)
    """0 for one value per environment, k for k columns."""
    unit: Annotated[str, StringConstraints(max_length=64)] = ""
    description: ShortText = ""


class TaskBody(BaseModel):
    """A task as `websim tasks NAME --json` prints it; names that are not needed are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    id: Name
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    action_low: tuple[Finite, ...] = Field(min_length=1, max_length=MAX_COLUMNS)
    action_high: tuple[Finite, ...] = Field(min_length=1, max_length=MAX_COLUMNS)
    dt_s: float = Field(gt=0.0, le=10.0)
    """Simulated time of one step."""
    max_episode_steps: int = Field(ge=1, le=10_000_000)
    fields: tuple[FieldBody, ...] = Field(min_length=1, max_length=MAX_FIELDS)
    reward_source: Annotated[str, StringConstraints(max_length=MAX_SOURCE_BYTES)] = ""
    """The task's own reward; it may read constants that a generated reward may not."""
    fitness_unit: Annotated[str, StringConstraints(max_length=64)] = ""
    fitness_description: ShortText = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [field.name for field in self.fields]
        broken = [name for name in names if not is_plain_name(name)]
        if broken:
            raise ValueError(f"field name {broken[0]!r} is not a plain identifier")
        if len(set(names)) != len(names):
            raise ValueError("two fields have the same name")
        if sum(max(1, field.columns) for field in self.fields) > MAX_TOTAL_COLUMNS:
            raise ValueError(f"the fields have more than {MAX_TOTAL_COLUMNS} columns together")
        if len(self.action_low) != len(self.action_high):
            raise ValueError("action_low and action_high have different lengths")
        return self

    @property
    def action_dim(self) -> int:
        """Columns of `action`."""
        return len(self.action_low)

    @property
    def columns(self) -> dict[str, int]:
        """Columns of each field."""
        return {field.name: field.columns for field in self.fields}

    @property
    def schema_(self) -> ProgramSchema:
        """What a generated program may read."""
        return ProgramSchema(self.columns, self.action_dim)


class ComponentFeedback(Body):
    """How one component of the current reward behaved."""

    share: float = Field(ge=0.0, le=1.0)
    """Of the sum of magnitudes of all components."""
    mean: Finite
    std: float = Field(ge=0.0, le=1e12)
    fitness_correlation: float | None = Field(default=None, ge=-1.0, le=1.0)


class Feedback(Body):
    """What training under the current reward looked like."""

    trigger: Literal["stagnation", "target_reached", "schedule", "guard", "manual", ""] = ""
    """Why a change is asked for."""
    evidence: ShortText = ""
    env_steps: int = Field(default=0, ge=0)
    fitness: Finite | None = None
    fitness_target: Finite | None = None
    fitness_slope_low: Finite | None = None
    """Lower confidence bound of the slope of fitness, per million steps."""
    episode_length: float | None = Field(default=None, ge=0.0, le=1e9)
    reward_fitness_correlation: float | None = Field(default=None, ge=-1.0, le=1.0)
    components: dict[ComponentName, ComponentFeedback] = Field(
        default={}, max_length=MAX_COMPONENTS
    )
    curves: dict[Name, Annotated[tuple[Finite, ...], Field(max_length=MAX_POINTS)]] = Field(
        default={}, max_length=MAX_CURVES
    )
    """About ten evenly spaced values of each: fitness, episode_length, value_loss, ..."""


class Remembered(Body):
    """An earlier candidate and what became of it."""

    name: ShortText
    program: Annotated[str, StringConstraints(max_length=MAX_SOURCE_BYTES)] = ""
    outcome: Literal["adopted", "lost", "rolled_back", "refused"]
    reason: ShortText = ""
    fitness_gain: Finite | None = None


class Knob(Body):
    """A change of the environment that is allowed, within bounds."""

    name: Name
    low: Finite
    high: Finite
    current_low: Finite
    current_high: Finite
    unit: Annotated[str, StringConstraints(max_length=64)] = ""
    description: ShortText = ""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.current_low <= self.current_high <= self.high:
            raise ValueError(f"knob {self.name}: low <= current_low <= current_high <= high")
        return self


class RewardRequest(Body):
    """What `POST /v1/rewards` takes."""

    run: Name = "none"
    """Whose budget the call counts against."""
    task: TaskBody
    description: Description
    """The goal, in words."""
    current_program: ProgramText | None = None
    """The reward in force; none when it is the task's own."""
    feedback: Feedback = Feedback()
    memory: tuple[Remembered, ...] = Field(default=(), max_length=MAX_MEMORY)
    num_candidates: int = Field(default=4, ge=1, le=MAX_CANDIDATES)
    knobs: tuple[Knob, ...] = Field(default=(), max_length=MAX_KNOBS)
    provider: ProviderName = "auto"
    """Who writes; `auto` is the service's default."""


class GoalRequest(Body):
    """What `POST /v1/goals` takes."""

    run: Name = "none"
    """Whose budget the call counts against."""
    task: TaskBody
    description: Description
    provider: ProviderName = "auto"
    """Who says it; `auto` is the library, and the service's default where that leaves words out."""


class CheckRequest(Body):
    """What `POST /v1/checks` takes: a program of a person, or any other."""

    task: TaskBody
    program: Annotated[str, StringConstraints(max_length=4 * MAX_SOURCE_BYTES)]
    kind: ProgramKind = "reward"
