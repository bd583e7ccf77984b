"""Values of the rows of adaptations.jsonl that hold decisions: all that each was made of.

`as_values` writes them, `from_values` reads them back; replay-decisions makes them anew.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from websim.programs.schema import ProgramKind
from websim_learner.adaptation.curriculum import Level
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference, Ranked
from websim_learner.adaptation.signals import Trigger, TriggerSettings, TriggerState
from websim_learner.adaptation.verdicts import Decision, TrialSettings

T = TypeVar("T")

By = Literal["person", "trial", "guard", "curriculum", "author", "run"]
"""Who decided what a row tells of: a person's word or yes, what a trial measured, a guard, what is
mastered or too hard, whoever writes rewards and measures, or the run where its measure failed. It
is the value "by" of the rows adopted, rolled_back, restored, rejected, knobs, tasks and goal; those
of earlier versions have none."""

LANGUAGE = "language"
"""`refused_by` of a program that the compiler refuses, for which it can be asked again."""

PREFERENCE = "preference"
"""`refused_by` of one that ranks stored trajectories otherwise than fitness does."""


class TriggerValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "trigger": the arguments of `find_trigger` and what it returned."""

    points: list[EvalPoint]
    baseline: EvalPoint | None = None
    target: float | None = None
    preference: Preference | None = None
    state: TriggerState
    """As it was given, before the trigger."""
    settings: TriggerSettings
    env_steps: int
    trigger: Trigger | None


class RoundValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "round": the arguments of `halve` and the names that stay."""

    round: int
    results: dict[str, EvalPoint | None]
    """Of every contender, the control's included; None: it failed."""
    keep: int
    control: str
    stay: list[str]
    settings: TrialSettings | None = None
    """Of the trial; None in the rows of earlier versions, as `clear`."""
    clear: bool | None = None
    """Whether the trial ended here, before its last round: what `is_clear` said."""


class DecisionValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "decision": the arguments of `decide` and what it returned."""

    control: EvalPoint
    finalists: dict[str, EvalPoint | None]
    settings: TrialSettings
    decision: Decision
    unit: str = ""
    """Of the fitness; empty where it has none, and in the rows of earlier versions."""


class YesValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "yes": the arguments of `goes_on` and what it returned."""

    name: str
    """Of the candidate that a person chose."""
    present: EvalPoint
    tried: EvalPoint
    confidence: float
    goes_on: bool


class EnvironmentValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "environment": levels that a policy was measured at, and how many of them it follows."""

    levels: list[Level]
    """The easiest first."""
    asked: float
    kept: int


class DifficultyValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "difficulty": the arguments of `advice` and what it returned."""

    values: list[float]
    """What the policy reached in its environments since they changed, the oldest first."""
    asked: float
    advice: Literal["harder", "easier"] | None


class SchemaValues(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may read, as ProgramSchema takes it."""

    fields: dict[str, int]
    action_dim: int
    constants: dict[str, float | tuple[float, ...]] = {}


class PreferenceValues(msgspec.Struct, frozen=True, kw_only=True):
    """Of a row "verdict": the argument of `judge` and what it returned."""

    ranked: tuple[Ranked, ...]
    """As many as the bank keeps at most."""
    preference: Preference


class VerdictValues(msgspec.Struct, frozen=True, kw_only=True):
    """Row "verdict": a candidate at the gate."""

    name: str = ""
    source: str
    schema: SchemaValues
    kind: ProgramKind = "reward"
    accepted: bool
    program_id: str | None = None
    """Of every program that compiles, refused later or not."""
    refused_by: str = ""
    """"language" for the compiler, otherwise the later gate: "dry_run", "preference", ..."""
    judged: PreferenceValues | None = None
    """Where it came to the preference test; None in the rows of earlier versions, too."""
    reason: str = ""
    """For people."""


def as_values(struct: msgspec.Struct) -> dict[str, Any]:
    """Return the values of a row."""
    return plain(msgspec.structs.asdict(struct))


def from_values(values: Mapping[str, Any], kind: type[T]) -> T:
    """Return the struct that `as_values` wrote.

    Raises:
        msgspec.ValidationError: these are not such values.
    """
    # Not strict, for the names of the three numbers that JSON lacks.
    return msgspec.convert(values, kind, strict=False)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with structs as dicts, tuples and arrays as lists, numpy numbers as numbers.

    JSON lacks three floats: they become "nan", "inf" and "-inf".
    """
    builtins = msgspec.to_builtins(dict(values), enc_hook=_from_numpy, str_keys=True)
    return {name: _finite(value) for name, value in builtins.items()}


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _from_numpy(value: object) -> object:
    """Return the Python numbers of what msgspec does not know."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not go into a row")
