"""The form of Claude's answer: what the API is told, and what is checked again here."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from websim_reward_gen.answers import Accumulate
from websim_reward_gen.bodies import MAX_CANDIDATES, Action, Finite

_FENCED = re.compile(r"\s*```(?:python|py)?[ \t]*\n(?P<code>(?:(?!```).)*)```\s*", re.DOTALL)
_IMPORT = re.compile(r"^import numpy as np[ \t]*(?:\n|\Z)", re.MULTILINE)


def bare(text: str) -> str:
    """Return a program without what a model likes to write around one.

    That is one fence around the whole, and one line that imports numpy. What is left is the gate's.
    """
    fenced = _FENCED.fullmatch(text)
    return _IMPORT.sub("", fenced["code"] if fenced else text, count=1)


Text = Annotated[str, StringConstraints(max_length=4000)]
ProgramText = Annotated[str, StringConstraints(max_length=32_000), AfterValidator(bare)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightPart(_Part):
    """A new value of one weight of the current program."""

    name: Annotated[str, StringConstraints(max_length=100)]
    value: Finite


class CandidatePart(_Part):
    """A candidate."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    hypothesis: Text
    expected_failure: Text
    program: ProgramText
    weights: tuple[WeightPart, ...] = Field(max_length=64)


class EnvChangePart(_Part):
    """New bounds of a knob."""

    name: Annotated[str, StringConstraints(max_length=100)]
    low: Finite
    high: Finite
    reason: Text


class AnswerPart(_Part):
    """The whole answer."""

    diagnosis: Text
    action: Action
    candidates: tuple[CandidatePart, ...] = Field(max_length=2 * MAX_CANDIDATES)
    env_changes: tuple[EnvChangePart, ...] = Field(max_length=64)
    not_understood: tuple[Annotated[str, StringConstraints(max_length=400)], ...] = Field(
        max_length=32
    )


class GoalPart(_Part):
    """The answer to a goal."""

    kind: Literal["task", "program", "none"]
    program: ProgramText
    accumulate: Accumulate
    per_horizon: bool
    unit: Annotated[str, StringConstraints(max_length=64)]
    description: Text
    not_understood: tuple[Annotated[str, StringConstraints(max_length=400)], ...] = Field(
        max_length=32
    )


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an object; the API knows neither bounds nor optional parts."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}

ANSWER_SCHEMA = _object(
    {
        "diagnosis": _TEXT,
        "action": {"type": "string", "enum": ["reweight", "new_reward", "env_change", "none"]},
        "candidates": _list(
            _object(
                {
                    "name": _TEXT,
                    "hypothesis": _TEXT,
                    "expected_failure": _TEXT,
                    "program": _TEXT,
                    "weights": _list(_object({"name": _TEXT, "value": _NUMBER})),
                }
            )
        ),
        "env_changes": _list(
            _object({"name": _TEXT, "low": _NUMBER, "high": _NUMBER, "reason": _TEXT})
        ),
        "not_understood": _list(_TEXT),
    }
)

GOAL_SCHEMA = _object(
    {
        "kind": {"type": "string", "enum": ["task", "program", "none"]},
        "program": _TEXT,
        "accumulate": {"type": "string", "enum": ["sum", "last", "max"]},
        "per_horizon": {"type": "boolean"},
        "unit": _TEXT,
        "description": _TEXT,
        "not_understood": _list(_TEXT),
    }
)
