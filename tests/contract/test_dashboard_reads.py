"""What orchestrator and learner answer is what the dashboard reads, whose types they do not share.

Compared are JSON Schemas: what a reader needs is written, what it refuses is not, and of words
from a fixed set none is written that it does not know.
"""

import typing

import msgspec
import pytest
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from websim_dashboard import checks, log_rows, messages
from websim_dashboard.records import trial_points
from websim_dashboard.status import STATES
from websim_learner import control, records, status
from websim_learner.adaptation import goal, points, rows, signals, state, verdicts, view
from websim_orchestrator import api, scene_view, task_view
from websim_reward_gen import answers

PAIRS = [
    (messages.Worker, api.WorkerView),
    (messages.Env, api.EnvView),
    (messages.Scene, scene_view.SceneView),
    (messages.Geom, scene_view.GeomView),
    (messages.Mesh, scene_view.MeshView),
    (messages.Hfield, scene_view.HfieldView),
    (messages.TaskDetail, task_view.TaskView),
    (messages.TaskField, task_view.FieldView),
    (messages.Knob, task_view.KnobView),
    (messages.TaskSummary, task_view.TaskSummaryView),
    (messages.TimeSplit, status.TimeSplit),
    (messages.Goal, view.GoalView),
    (messages.Waiting, state.Waiting),
    (messages.Rewards, view.RewardsView),
    (messages.DecisionAgain, view.DecisionView),
    (messages.Replay, view.ReplayView),
    (messages.Reward, state.RewardEntry),
    (messages.Applied, control.Applied),
    (checks.GateVerdict, answers.Verdict),
    (messages.CheckMessage, answers.IssueView),
    # Values of rows of the log, by kind; "waiting" is above.
    (log_rows.GoalRow, goal.Goal),
    (log_rows.TriggerRow, rows.TriggerValues),
    (log_rows.TriggerTold, signals.Trigger),
    (log_rows.AnswerRow, state.Proposal),
    (log_rows.CandidateTold, state.Candidate),
    (log_rows.VerdictRow, rows.VerdictValues),
    (log_rows.RoundRow, rows.RoundValues),
    (log_rows.FitnessTold, points.EvalPoint),
    (log_rows.DecisionRow, rows.DecisionValues),
    (log_rows.RoundsTold, verdicts.TrialSettings),
    (log_rows.DecisionTold, verdicts.Decision),
]


def schema_of(kind, mode):
    if issubclass(kind, BaseModel):
        names, document = models_json_schema([(kind, mode)])
        return document["$defs"][names[kind, mode]["$ref"].rpartition("/")[2]]
    (schema,), _ = msgspec.json.schema_components([kind])
    name = schema["$ref"].rpartition("/")[2]
    return msgspec.json.schema(kind)["$defs"][name]


@pytest.mark.parametrize(("reader", "writer"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_dashboard_reads_what_is_written(reader, writer):
    reads, writes = schema_of(reader, "validation"), schema_of(writer, "serialization")
    known, written = reads["properties"], writes["properties"]
    assert set(reads.get("required", ())) <= set(written)
    if reads.get("additionalProperties") is False:
        assert set(written) <= set(known)
    for name in known.keys() & written.keys():
        if "enum" in written[name]:
            assert set(written[name]["enum"]) <= set(known[name].get("enum", written[name]["enum"]))


def test_a_point_of_a_trial_arrives_as_it_is_told():
    told = records.TrialRecord(
        n=7,
        update=6,
        env_steps=1152,
        adaptation=1,
        contender="control",
        trial_env_steps=480,
        return_mean=2.5,
        fitness_mean=None,
    )
    [point] = trial_points([msgspec.to_builtins(told)], pytest.fail)
    assert point.model_dump() == {
        "number": 7,
        "adaptation": 1,
        "contender": "control",
        "trial_env_steps": 480,
        "return_mean": 2.5,
        "fitness_mean": None,
    }


def test_every_state_of_a_run_has_a_name_on_the_page():
    assert set(typing.get_args(records.RunState)) == set(STATES)
