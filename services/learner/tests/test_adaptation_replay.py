"""`replay-decisions`: decisions follow from what the log holds, or the log does not pass."""

import math

import msgspec
import pytest
from fastapi.testclient import TestClient

from websim.programs import ProgramSchema, compile_program
from websim.service.adaptation_log import LOG_NAME
from websim.service.errors import UserError
from websim.service.http import make_app
from websim_learner.adaptation import view as view_module
from websim_learner.adaptation.books import LazyLog
from websim_learner.adaptation.chain import AdaptationLog
from websim_learner.adaptation.points import ComponentTally, EvalPoint
from websim_learner.adaptation.preference import Preference, Ranked, judge
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.adaptation.rows import (
    DecisionValues,
    DifficultyValues,
    PreferenceValues,
    RoundValues,
    SchemaValues,
    TriggerValues,
    VerdictValues,
    as_values,
    from_values,
)
from websim_learner.adaptation.signals import Trigger, TriggerSettings, TriggerState
from websim_learner.adaptation.state import AdaptState
from websim_learner.adaptation.triggers import find_trigger
from websim_learner.adaptation.verdicts import TrialSettings, decide, halve
from websim_learner.adaptation.view import AdaptationView
from websim_learner.api import add_adaptation_routes

SOURCE = "def reward(state, action):\n    return state.x\n"
SCHEMA = SchemaValues(fields={"x": 0}, action_dim=1)
PROGRAM_ID = compile_program(SOURCE, ProgramSchema({"x": 0}, 1)).id


def point(update, *fitness, **changes):
    values = {
        "update": update,
        "env_steps": 1000 * update,
        "fitness": fitness,
        "reward_return": tuple(10.0 * f for f in fitness),
        "task_return": fitness,
        "length": (10,) * len(fitness),
        "reward_id": "p_1",
    }
    return EvalPoint(**{**values, **changes})


FLAT = [point(i, 1.0 + 0.01 * (i % 2), 2.0) for i in range(8)]
CONTROL = point(9, 1.0, 2.0, 3.0)
BETTER = point(9, 2.0, 3.1, 4.0)


def trigger_row(**changes):
    state, settings = TriggerState(), TriggerSettings()
    trigger = find_trigger(FLAT, None, None, None, state, settings, 9000)
    values = TriggerValues(
        points=FLAT, state=state, settings=settings, env_steps=9000, trigger=trigger
    )
    return "trigger", msgspec.structs.replace(values, **changes)


def round_row(**changes):
    results = {"control": CONTROL, "a": BETTER, "b": None}
    stay = halve(results, 2, "control")
    values = RoundValues(round=1, results=results, keep=2, control="control", stay=stay)
    return "round", msgspec.structs.replace(values, **changes)


def judged_round(**changes):
    """A round whose best gains 2 times the control's |fitness|, surely: no further one is held.

    The control reached 1, the best 3, in each of three paired episodes: the bound is the mean, 2,
    which is beyond 1.
    """
    results = {"control": point(9, 1.0, 1.0, 1.0), "a": point(9, 3.0, 3.0, 3.0), "b": None}
    values = RoundValues(
        round=1, results=results, keep=3, control="control", stay=["a"],
        settings=TrialSettings(round_env_steps=(400, 400)), clear=True,
    )  # fmt: skip
    return "round", msgspec.structs.replace(values, **changes)


def difficulty_row(**changes):
    """Twice in a row at or above the 1 that is asked: harder; twice below half of it: easier."""
    values = DifficultyValues(values=[0.2, 1.0, 1.5], asked=1.0, advice="harder")
    return "difficulty", msgspec.structs.replace(values, **changes)


def decision_row(**changes):
    settings = TrialSettings()
    decision = decide(CONTROL, {"a": BETTER}, settings)
    values = DecisionValues(
        control=CONTROL, finalists={"a": BETTER}, settings=settings, decision=decision
    )
    return "decision", msgspec.structs.replace(values, **changes)


def verdict_row(**changes):
    values = VerdictValues(
        name="a", source="import os", schema=SCHEMA, accepted=False, refused_by="language"
    )
    return "verdict", msgspec.structs.replace(values, **changes)


def ranked(*returns):
    """Trajectories of fitness 0, 1, 2, ... and what a reward pays them."""
    return tuple(
        Ranked(label=f"update {i}", fitness=float(i), discounted_return=each)
        for i, each in enumerate(returns)
    )


def judged_verdict(*returns, **changes):
    """A verdict of the preference test; of four trajectories there are six pairs."""
    seen = ranked(*returns)
    preferred = judge(seen)
    row = verdict_row(
        source=SOURCE,
        program_id=PROGRAM_ID,
        accepted=preferred.passed,
        refused_by="" if preferred.passed else "preference",
        judged=PreferenceValues(ranked=seen, preference=preferred),
    )
    return "verdict", msgspec.structs.replace(row[1], **changes)


def judged_as(*returns, **preferred):
    """What the preference test saw, and what the log says that came of it."""
    seen = ranked(*returns)
    return PreferenceValues(
        ranked=seen, preference=msgspec.structs.replace(judge(seen), **preferred)
    )


@pytest.fixture
def write(tmp_path):
    def write_rows(*rows):
        log = AdaptationLog(tmp_path / LOG_NAME)
        for kind, values in rows:
            plain = as_values(values) if isinstance(values, msgspec.Struct) else values
            log.append(kind, 9, 9000, 1, plain)
        log.close()
        return tmp_path

    return write_rows


def test_decisions_come_out_again(write, capsys):
    run = write(trigger_row(), round_row(), decision_row(), verdict_row(), ("adopted", {"a": 1}))
    assert replay_decisions(run) == 0
    assert "4 of 4 decisions reproduced; the chain of 5 rows holds" in capsys.readouterr().out


def test_the_early_end_of_a_trial_and_a_changed_difficulty_come_out_again(write, capsys):
    easier = difficulty_row(values=[0.6, 0.4, 0.49], advice="easier")
    last = judged_round(round=2, clear=False)
    run = write(judged_round(), last, difficulty_row(), easier)
    assert replay_decisions(run) == 0
    out = capsys.readouterr().out
    assert "4 of 4 decisions reproduced" in out
    assert "round 1: a of 3 stay, and no further round is needed" in out


def test_what_a_reward_prefers_is_judged_again(write, capsys):
    """Five of six pairs right; five wrong; no numbers; too few to judge; right, but no change."""
    right, wrong = (0.0, 2.0, 1.0, 3.0), (3.0, 1.0, 2.0, 0.0)
    run = write(
        judged_verdict(*right),
        judged_verdict(*wrong),
        judged_verdict(*[math.nan] * 4),
        judged_verdict(1.0, 0.0),
        judged_verdict(*right, accepted=False, refused_by="in_force"),
    )
    assert judge(ranked(*right)).score == pytest.approx(4 / 6)
    assert judge(ranked(*wrong)).score == pytest.approx(-4 / 6)
    assert replay_decisions(run) == 0
    out = capsys.readouterr().out
    assert "5 of 5 decisions reproduced" in out
    assert out.count("a: refused by preference") == 1


OTHER = Trigger(kind="schedule", what="schedule", sentence="It was time.")


@pytest.mark.parametrize(
    "row",
    [
        trigger_row(trigger=OTHER),
        trigger_row(trigger=None),
        round_row(stay=["b"]),
        round_row(keep=0),
        # It was clear, it would have ended, and two may stay for a further round.
        judged_round(clear=False),
        judged_round(round=2),
        judged_round(keep=2),
        difficulty_row(advice="easier"),
        difficulty_row(values=[0.2, 1.0, 0.9]),
        difficulty_row(asked=2.0),
        decision_row(finalists={"a": CONTROL}),
        verdict_row(source=SOURCE),
        verdict_row(accepted=True, refused_by="", program_id="p_1"),
        verdict_row(source=SOURCE, accepted=True, refused_by="", program_id="p_wrong"),
        # It prefers worse and was let through; it prefers better and was refused.
        judged_verdict(3.0, 2.0, 1.0, 0.0, accepted=True, refused_by=""),
        judged_verdict(0.0, 1.0, 2.0, 3.0, accepted=False, refused_by="preference"),
        # What it was paid was changed, or what came of that.
        judged_verdict(3.0, 2.0, 1.0, 0.0, judged=judged_as(0.0, 1.0, 2.0, 3.0)),
        judged_verdict(0.0, 1.0, 2.0, 3.0, judged=judged_as(0.0, 1.0, 2.0, 3.0, score=0.5)),
        judged_verdict(0.0, 1.0, 2.0, 3.0, accepted=False),
    ],
    ids=lambda row: row[0],
)
def test_a_decision_that_does_not_follow_is_told(write, capsys, row):
    """The chain of such a log is whole: whoever wrote it decided otherwise."""
    assert replay_decisions(write(round_row(), row)) == 1
    out = capsys.readouterr().out
    assert "1 of 2 decisions reproduced" in out
    assert f"row 2 differs first: {row[0]} comes out as" in out


WON = [verdict_row(source=SOURCE, program_id=PROGRAM_ID, accepted=True, refused_by="")]
WON.append(decision_row())
"""A candidate that passes the gate, and takes over by its trial."""
LOST = [WON[0], decision_row(
    finalists={"a": CONTROL}, decision=decide(CONTROL, {"a": CONTROL}, TrialSettings())
)]  # fmt: skip
"""One whose trial leaves the reward in force where it is."""


def adopted(reward_id=PROGRAM_ID, by="trial"):
    return "adopted", {"reward_id": reward_id, "by": by, "why": "a gains"}


def test_a_trials_adoption_follows_from_its_decision(write, capsys):
    """After a life that was cut short the trial is held once more, and its winner adopted."""
    run = write(*WON, adopted(), ("resumed", {"position": 0}), *WON, adopted())
    assert replay_decisions(run) == 0
    assert "4 of 4 decisions reproduced" in capsys.readouterr().out


def test_a_persons_adoption_follows_from_no_trial(write):
    assert replay_decisions(write(*LOST, adopted(by="person"))) == 0


@pytest.mark.parametrize(
    ("rows", "again"),
    [
        ([*LOST, adopted()], "no trial lets a reward take over here"),
        ([WON[0], adopted()], "no trial lets a reward take over here"),
        ([*WON, adopted("p_other")], f"a, {PROGRAM_ID}, takes over"),
        ([WON[1], adopted()], "a, whose program no row tells, takes over"),
        ([*WON, adopted(), adopted()], "no trial lets a reward take over here"),
        (
            [*WON, ("resumed", {"position": 0}), adopted()],
            "no trial lets a reward take over here",
        ),
    ],
    ids=["it lost", "undecided", "another", "not at the gate", "twice", "another life's"],
)
def test_a_trials_adoption_without_its_decision_is_told(write, capsys, rows, again):
    """The chain of such a log is whole: what was done is not what was decided."""
    assert replay_decisions(write(*rows)) == 1
    told = f"row {len(rows)} differs first: adopted comes out as {again}"
    assert told in capsys.readouterr().out


def test_names_cannot_act_on_the_terminal(write, capsys):
    name = "a\x1b[2J\nforged"
    replay_decisions(write(verdict_row(name=name)))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "a\\x1b[2J\\nforged: refused by language" in out


def test_a_round_without_its_control_is_told(write):
    row = judged_round(control="nobody")
    with pytest.raises(UserError, match="row 1 does not hold a round"):
        replay_decisions(write(row))


def test_what_a_person_asked_for_follows_from_nothing(write, capsys):
    manual = Trigger(kind="manual", what="ask", sentence="a person asks")
    assert replay_decisions(write(trigger_row(trigger=manual))) == 0
    assert "0 of 0" in capsys.readouterr().out


def test_a_later_gates_refusal_is_taken_as_it_is(write):
    compiled = verdict_row(source=SOURCE, refused_by="dry_run")[1]
    # Its id is what compiles out of the text; the log of the learner has it.
    row = msgspec.structs.replace(compiled, program_id=PROGRAM_ID)
    assert replay_decisions(write(("verdict", row))) == 0


def test_a_log_that_was_changed_is_not_replayed(write):
    run = write(round_row(), decision_row())
    path = run / LOG_NAME
    path.write_bytes(path.read_bytes().replace(b'"keep":2', b'"keep":1'))
    with pytest.raises(UserError, match="row 1 was changed"):
        replay_decisions(run)


def test_a_row_without_its_numbers_is_told(write):
    with pytest.raises(UserError, match="row 1 does not hold a round"):
        replay_decisions(write(("round", {"round": 1})))


@pytest.mark.parametrize(
    "values",
    [
        trigger_row(
            baseline=point(0, math.nan, math.inf),
            preference=Preference(score=-1.0, num_pairs=3, passed=False, sentence="no"),
            points=[
                point(
                    1,
                    -math.inf,
                    components={"a": ComponentTally(share=1.0, mean=0.0, std=math.nan)},
                )
            ],
        )[1],
        round_row()[1],
        judged_round()[1],
        difficulty_row()[1],
        decision_row()[1],
        verdict_row(
            schema=SchemaValues(fields={"x": 2}, action_dim=3, constants={"k": (1.0, 2.0)})
        )[1],
        judged_verdict(math.nan, 1.0, 2.0, math.inf)[1],
    ],
    ids=lambda values: type(values).__name__,
)
def test_values_come_back_as_they_were_written(values):
    again = from_values(as_values(values), type(values))
    # NaN is equal to nothing, so the written forms are compared.
    assert as_values(again) == as_values(values)
    assert type(again) is type(values)


def test_values_of_another_kind_are_refused():
    with pytest.raises(msgspec.ValidationError):
        from_values(as_values(round_row()[1]), DecisionValues)


@pytest.fixture
def view(tmp_path):
    """What HTTP threads are told of the log in tmp_path."""
    log = LazyLog(tmp_path / LOG_NAME)
    made = AdaptationView(AdaptState(), None, None, log, None)

    def opened():
        log.open()
        return made

    yield opened
    log.close()


def http_of(view):
    app = make_app("learner", "0")
    add_adaptation_routes(app, view)
    return TestClient(app, base_url="http://127.0.0.1")


def test_decisions_come_out_again_over_http(write, view):
    write(decision_row(), round_row(stay=["b"]), ("adopted", {"a": 1}))
    told = http_of(view()).get("/v1/adaptations/replay").json()
    assert (told["rows"], told["problem"]) == (3, "")
    assert [(each["n"], each["kind"], each["same"]) for each in told["decisions"]] == [
        (1, "decision", True),
        (2, "round", False),
    ]
    assert (told["decisions"][1]["decided"], told["decisions"][1]["again"]) == (
        "round 1: b of 3 stay",
        "a of 3 stay",
    )


def test_a_run_without_a_log_has_decided_nothing(view):
    assert view().replay().model_dump() == {"rows": 0, "decisions": [], "problem": ""}


def test_a_log_that_was_changed_meanwhile_is_told_of(write, view, tmp_path):
    write(decision_row(), round_row())
    opened = view()
    path = tmp_path / LOG_NAME
    path.write_bytes(path.read_bytes().replace(b'"env_steps":9000', b'"env_steps":9001', 1))
    assert "row 1 was changed after it was written" in opened.replay().problem


def test_decisions_are_made_again_for_one_caller_at_a_time_and_not_for_ever(
    write, view, monkeypatch
):
    write(decision_row())
    opened = view()
    http = http_of(opened)
    with opened._replaying:
        assert http.get("/v1/adaptations/replay").status_code == 503
    monkeypatch.setattr(view_module, "REPLAY_S", -1.0)
    assert "there was time for 0 of 1 rows" in http.get("/v1/adaptations/replay").json()["problem"]
