"""How everything stands, made of what learner and orchestrator said last; pure."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from websim.service.tokens import Role
from websim_dashboard.bottleneck import describe_bottleneck
from websim_dashboard.fleet_feed import FleetFeed
from websim_dashboard.learner_feed import LearnerFeed
from websim_dashboard.messages import (
    Goal,
    RunState,
    SessionSummary,
    Status,
    TaskDetail,
    TimeSplit,
)
from websim_dashboard.run_status import copied

STATES: Mapping[str, RunState] = {
    "starting": "waiting",
    "waiting": "waiting",
    "running": "training",
    "adapting": "trial",
    "paused": "paused",
    "evaluating": "evaluating",
    "finished": "finished",
    "stopped": "stopped",
    "failed": "failed",
}
"""States of the learner, as the page names them."""

STEPPING = frozenset({"training", "trial"})
"""States in which a speed is told; in all others the learner still has its last one."""


def make_status(
    learner: LearnerFeed, fleet: FleetFeed, task: TaskDetail | None, role: Role
) -> Status:
    """Return the status for somebody of that role.

    Args:
        learner: what is known of the learner.
        fleet: what is known of the fleet.
        task: the training session's, where known.
        role: what the asker may do.
    """
    run = learner.status or {}
    session = training_session(run.get("run_id", ""), fleet.sessions)
    split = TimeSplit(**run.get("time_split", {}))
    answering = learner.error is None
    values = copied(run)
    state = run_state(learner, fleet)
    if state not in STEPPING:
        values |= {"steps_per_s": 0.0, "real_time_factor": 0.0}
    if not answering:
        values |= {"reason": run.get("reason", ""), "adapting": ""}
    if not answering and learner.final is None:
        values["reason"] = learner.error
    if learner.goal is not None:
        values |= _goal_values(learner.goal)
    if _measured_by_goal(learner.goal):
        # Training episodes tell the task's own fitness; evaluations are measured by the goal.
        values["fitness_mean"] = (run.get("evaluation") or {}).get("fitness_mean")
    return Status(
        **values,
        run=learner.run_name,
        run_key=learner.run_key,
        state=state,
        fitness_unit=_fitness_unit(learner.goal, task),
        workers=len(fleet.workers),
        session=session,
        sessions=list(fleet.sessions),
        bottleneck=describe_bottleneck(split, fleet.workers, fleet.busy) if answering else "",
        time_split=split,
        role=role,
        learner_error=learner.error,
        orchestrator_error=fleet.error,
    )


def run_state(learner: LearnerFeed, fleet: FleetFeed) -> RunState:
    """Return the state of the run, or of what is there instead of one."""
    if learner.error is None and learner.status is not None:
        return STATES.get(learner.status["state"], "waiting")
    if learner.final is not None:
        return STATES[learner.final]
    # A fleet without a learner is a notebook's, or waits for one that begins or comes back.
    return "waiting" if fleet.error is None else "disconnected"


def training_session(run: str, sessions: Sequence[SessionSummary]) -> int | None:
    """Return the number of the session that a run trains on; None when there is none."""
    found = [each.session for each in sessions if run and each.label == f"training {run}"]
    # After a learner's restart, the one it left behind may still be there.
    return max(found, default=None)


def learners_sessions(sessions: Sequence[SessionSummary]) -> list[int]:
    """Return the numbers of the sessions that learners opened, of whatever run, by their labels."""
    begun = ("training ", "evaluation of ", "trial of ")
    return [each.session for each in sessions if each.label.startswith(begun)]


def _goal_values(goal: Goal) -> dict[str, Any]:
    return {
        "goal": goal.goal.get("description", ""),
        "goal_reached": goal.reached,
        "difficulty": goal.difficulty,
        "adapt_mode": goal.mode,
        "banner": goal.banner,
        "pending": next(iter(goal.pending), None),
    }


def _measured_by_goal(goal: Goal | None) -> TypeGuard[Goal]:
    """Whether fitness is another than the task's own."""
    return goal is not None and goal.goal.get("kind", "task") != "task"


def _fitness_unit(goal: Goal | None, task: TaskDetail | None) -> str:
    if _measured_by_goal(goal):
        return str(goal.goal.get("unit", ""))
    return "" if task is None else task.fitness_unit
