"""The learner's records as points of curves and events of the timeline; pure."""

import math
from collections.abc import Callable, Iterable
from typing import Any, get_args

from pydantic import ValidationError

from websim_dashboard.messages import EventKind, MetricPoint, TimelineEvent, TrialPoint

PLACES = frozenset({"n", "kind", "update", "env_steps", "time_unix_s", "branch"})
"""What a point has beside its values."""

KINDS = frozenset(get_args(EventKind))

Record = dict[str, Any]


def split_records(
    records: Iterable[Record], report: Callable[[str], None] = lambda _: None
) -> tuple[list[MetricPoint], list[TimelineEvent]]:
    """Return the points and the events among a learner's records.

    Records of kinds that are not known here are left out: later learners have more.

    Args:
        records: as `GET /v1/events` answers them.
        report: called with a line for people for each one that cannot be read, and is left out:
            those after it are worth as much as ever.
    """
    points: list[MetricPoint] = []
    events: list[TimelineEvent] = []
    for record in records:
        try:
            if record["kind"] == "metrics":
                points.append(_point(record))
            elif record["kind"] in KINDS:
                events.append(_event(record))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            report(f"a record of the learner cannot be read and is left out: {error!r}")
    return points, events


def trial_points(
    records: Iterable[Record], report: Callable[[str], None] = lambda _: None
) -> list[TrialPoint]:
    """Return how contenders of trials did, among a learner's records.

    Args:
        records: as `GET /v1/events` answers them.
        report: called with a line for people for each one that cannot be read, and is left out.
    """
    points: list[TrialPoint] = []
    for record in records:
        if record.get("kind") != "trial":
            continue
        try:
            points.append(TrialPoint.model_validate(record | {"number": record["n"]}))
        except (KeyError, ValidationError) as error:
            report(f"a point of a trial cannot be read and is left out: {error!r}")
    return points


def _point(record: Record) -> MetricPoint:
    values: dict[str, float] = {}
    for name, value in record.items():
        if name in PLACES:
            continue
        if isinstance(value, dict):
            # component_shares: {"forward": 0.7, "control": 0.3}
            values |= {f"component:{k}": float(v) for k, v in value.items() if _is_number(v)}
        elif _is_number(value):
            values[name] = float(value)
    return MetricPoint(
        number=record["n"],
        branch=record["branch"],
        update=record["update"],
        env_steps=record["env_steps"],
        time_unix_s=record.get("time_unix_s", 0.0),
        values=values,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _event(record: Record) -> TimelineEvent:
    title, detail = _words(record)
    rest = (PLACES | {"adaptation"}) - {"branch"}
    return TimelineEvent(
        number=record["n"],
        time_unix_s=record.get("time_unix_s", 0.0),
        update=record["update"],
        env_steps=record["env_steps"],
        kind=record["kind"],
        title=title,
        detail=detail,
        adaptation=record.get("adaptation", 0),
        values={name: value for name, value in record.items() if name not in rest},
    )


def _words(record: Record) -> tuple[str, str]:
    """Return title and detail of an event."""
    match record["kind"]:
        case "state":
            return record["state"], record["reason"]
        case "checkpoint":
            return f"checkpoint {record['name']}", record["weights_sha256"]
        case "evaluation":
            title = f"evaluation: return {record['return_mean']:.1f} ± {record['return_std']:.1f}"
            fitness = record["fitness_mean"]
            known = "unknown" if fitness is None else f"{fitness:.3g}"
            return title, f"fitness {known} over {record['episodes']} episodes"
        case "command":
            return record["command"].replace("_", " "), record["detail"]
        case "adaptation":
            return record["message"], record["event"].replace("_", " ")
    return record["message"], ""
