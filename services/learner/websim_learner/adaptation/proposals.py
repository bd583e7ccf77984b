"""Answers of reward-gen in the adapter's own terms: a measure, candidates, an environment."""

from collections.abc import Sequence
from typing import Any

from websim_learner.adaptation.answers import Candidate as Written
from websim_learner.adaptation.answers import Failure, GoalAnswer, RewardAnswer
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.state import AdaptState, Candidate, Proposal


def goal_of(body: GoalAnswer, state: AdaptState) -> Goal:
    """Return the goal that is asked for, as it is measured."""
    assert state.asked_goal is not None
    return Goal(
        description=state.asked_goal,
        kind=body.kind,
        program=body.program,
        accumulate=body.accumulate or "sum",
        per_horizon=body.per_horizon,
        unit=body.unit,
        fitness_description=body.description,
        target=state.goal_target,
        understood=body.understood,
        not_understood=body.not_understood,
        failures=_in_words(body.failures, body.provider),
    )


def measure_of(body: GoalAnswer) -> dict[str, Any]:
    """Return what is said of a goal's measure, without how the answer came about."""
    names = ("kind", "program", "accumulate", "per_horizon", "unit", "description")
    return {name: getattr(body, name) for name in names}


def proposal_of(body: RewardAnswer, state: AdaptState) -> Proposal:
    """Return what an answer's candidates are, and the environment it proposes."""
    written = _candidates([each for each in body.candidates if not _repeats(each)])
    candidates = tuple(each for each in written if not each.refusal)
    ranges = {}
    if body.action == "env_change":
        ranges = {each.name: (each.low, each.high) for each in body.env_changes}
    refused = tuple(each for each in written if each.refusal)
    reason = ""
    if not candidates and not ranges:
        nothing = "no candidate passed reward-gen's gate" if refused else "none was written"
        reason = "; ".join(f.message for f in body.failures) or nothing
    return Proposal(
        adaptation=state.adaptations,
        candidates=candidates,
        diagnosis=body.diagnosis,
        reason=reason,
        ranges=ranges,
        refused=refused,
        understood=body.understood,
        not_understood=body.not_understood,
        failures=_in_words(body.failures, body.provider),
    )


def _in_words(failures: Sequence[Failure], provider: str) -> tuple[str, ...]:
    """Return who was asked in vain before a provider answered, in sentences."""
    return tuple(
        f"{each.provider} gave no answer ({each.message}); {provider} did." for each in failures
    )


def _candidates(written: Sequence[Written]) -> list[Candidate]:
    """Return what was written, each with a name of its own and why it is refused, if it is."""
    candidates: list[Candidate] = []
    names: set[str] = {"control"}
    for each in written:
        name, number = each.name[:60] or "candidate", 2
        while name in names:
            name, number = f"{each.name[:56]} {number}", number + 1
        names.add(name)
        known = {"claude": "claude", "library": "library", "replay": "replay"}
        refusal = "" if each.verdict.accepted else each.verdict.message or "without a reason"
        candidates.append(
            Candidate(
                name=name,
                source=each.program,
                origin=known.get(each.provenance.provider, "library"),  # type: ignore[arg-type]
                hypothesis=each.hypothesis,
                refusal=refusal,
            )
        )
    return candidates


def _repeats(written: Written) -> bool:
    """Return whether it is refused for what it repeats, which is remembered itself."""
    return any(issue.reason == "repeated" for issue in written.verdict.issues)
