"""Bodies of questions to reward-gen, from what the learner knows. Pure; author.py sends them.

reward-gen takes bounded texts and finite numbers only, and refuses a body as a whole: what has
another author than this learner (a task's descriptions, a run's name) is fitted here.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from websim.programs.limits import MAX_SOURCE_BYTES
from websim.wire.messages import TaskInfo
from websim_learner.adaptation.goal import Goal

MAX_NAME = 64
MAX_UNIT = 64
MAX_TEXT = 400
MAX_DESCRIPTION = 2000
MAX_MEMORY = 32
MAX_KNOBS = 64
MAX_NUMBER = 1e12
"""What reward-gen takes at most."""

Trigger = Literal["stagnation", "target_reached", "schedule", "guard", "manual", ""]


class ComponentFeedback(msgspec.Struct, frozen=True, kw_only=True):
    """How one component of the reward in force behaved."""

    share: float
    """Of the sum of magnitudes of all components."""
    mean: float
    std: float
    fitness_correlation: float | None = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What training under the reward in force looked like (see feedback.py)."""

    trigger: Trigger = ""
    """Why a change is asked for."""
    evidence: str = ""
    env_steps: int = 0
    fitness: float | None = None
    fitness_target: float | None = None
    fitness_slope_low: float | None = None
    """Lower confidence bound of the slope of fitness, per million steps."""
    episode_length: float | None = None
    reward_fitness_correlation: float | None = None
    components: dict[str, ComponentFeedback] = {}
    curves: dict[str, tuple[float, ...]] = {}


class Remembered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An earlier candidate and what became of it."""

    name: str
    program: str = ""
    outcome: Literal["adopted", "lost", "rolled_back", "refused"]
    reason: str = ""
    fitness_gain: float | None = None


class KnobBounds(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of the environment that is allowed: within [low, high], now within `current`."""

    name: str
    low: float
    high: float
    current_low: float
    current_high: float
    unit: str = ""
    description: str = ""


def task_body(task: TaskInfo) -> dict[str, Any]:
    """Return a task as reward-gen takes it."""
    return {
        "id": plain_name(task.id),
        "description": task.description[:MAX_DESCRIPTION],
        "action_low": list(map(_clipped, task.action_low)),
        "action_high": list(map(_clipped, task.action_high)),
        "dt_s": task.dt_s,
        "max_episode_steps": task.max_episode_steps,
        "fields": [
            {
                "name": field.name,
                "columns": field.columns,
                "unit": field.unit[:MAX_UNIT],
                "description": field.description[:MAX_TEXT],
            }
            for field in task.fields
        ],
        "reward_source": _whole_or_nothing(task.reward_source),
        "fitness_unit": task.fitness_unit[:MAX_UNIT],
        "fitness_description": task.fitness_description[:MAX_TEXT],
    }


def reward_request(
    run: str,
    task: TaskInfo,
    goal: Goal,
    current_source: str | None,
    feedback: Feedback,
    memory: Sequence[Remembered] = (),
    num_candidates: int = 4,
    knobs: Sequence[KnobBounds] = (),
) -> dict[str, Any]:
    """Return the question for candidates (`/v1/rewards`).

    Args:
        run: The run's name; its budget is charged.
        task: What the rewards are for.
        goal: What they should bring about.
        current_source: The reward in force; None when it is the task's own.
        feedback: What training under it looked like.
        memory: Earlier candidates, the oldest first; the newest are kept where they are too many.
        num_candidates: Accepted ones that are wanted at most.
        knobs: What of the environment may be changed.
    """
    body: dict[str, Any] = {
        "run": plain_name(run),
        "task": task_body(task),
        "description": _purpose(goal, task),
        "feedback": msgspec.to_builtins(feedback),
        "memory": [_remembered(each) for each in memory[-MAX_MEMORY:]],
        "num_candidates": num_candidates,
        "knobs": [_knob(each) for each in knobs[:MAX_KNOBS]],
    }
    if current_source is not None and _whole_or_nothing(current_source):
        body["current_program"] = current_source
    return body


def goal_request(run: str, task: TaskInfo, description: str) -> dict[str, Any]:
    """Return the question how a goal in words is measured (`/v1/goals`)."""
    return {"run": plain_name(run), "task": task_body(task), "description": description}


def plain_name(name: str) -> str:
    """Return a name of the characters that reward-gen takes for one; "none" for an empty one."""
    return re.sub(r"[^A-Za-z0-9_.:/-]", "_", name)[-MAX_NAME:] or "none"


def finite(value: float | None) -> float | None:
    """Return a number that may travel; None for one that is none."""
    if value is None or not math.isfinite(value) or abs(value) > MAX_NUMBER:
        return None
    return float(value)


def _purpose(goal: Goal, task: TaskInfo) -> str:
    """Return the goal in words; a run without one is for what the task is for."""
    for words in (goal.description, task.description, task.fitness_description):
        if words.strip():
            return words.strip()[:MAX_DESCRIPTION]
    return f"do well at {task.id}"


def _clipped(value: float) -> float:
    """Return a bound of an action; one that is open ends at what reward-gen takes."""
    return min(max(value, -MAX_NUMBER), MAX_NUMBER)


def _whole_or_nothing(source: str) -> str:
    """Return a program, or nothing of one that is too long: half of it would mislead."""
    return source if len(source) <= MAX_SOURCE_BYTES else ""


def _remembered(each: Remembered) -> dict[str, Any]:
    fitted = msgspec.structs.replace(
        each,
        name=each.name[:MAX_TEXT],
        program=_whole_or_nothing(each.program),
        reason=each.reason[:MAX_TEXT],
        fitness_gain=finite(each.fitness_gain),
    )
    body: dict[str, Any] = msgspec.to_builtins(fitted)
    return body


def _knob(each: KnobBounds) -> dict[str, Any]:
    fitted = msgspec.structs.replace(
        each, unit=each.unit[:MAX_UNIT], description=each.description[:MAX_TEXT]
    )
    body: dict[str, Any] = msgspec.to_builtins(fitted)
    return body
