"""What is told of questions and answers: to the next author, to people, in the log. On the toy."""

import hashlib
import json

from scripted import ASK, BACKWARDS, MEASURED, said, written, wrote
from staging import CENTRE, RIGHT, STEPS, logged, sends

from websim_learner import run as run_module
from websim_learner.adaptation.answers import GoalAnswer
from websim_learner.adaptation.author import Answered
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import Approve, Reject

WRONG = "def reward(state, action):\n    return np.sqrt(-1.0 - np.abs(state.x))\n"


def test_the_next_author_is_told_what_was_refused_and_why(asking):
    answer = wrote(
        written("wrong", WRONG, ("nonfinite", "the total is not finite")),
        written("again", CENTRE, ("repeated", "this program was tried already")),
    )
    h, author = asking((4, answer))
    h.at = {2: [sends(ASK)], 8: [sends(ASK)]}
    h.go()
    memory = author.asked[1][1]["memory"]
    assert memory == [
        {
            "name": "wrong",
            "program": WRONG,
            "outcome": "refused",
            "reason": "nonfinite: the total is not finite",
        }
    ]
    (kept,) = logged(h, "kept")
    assert kept["why"] == "nothing is changed: no candidate passed reward-gen's gate"
    (answered,) = logged(h, "answer")
    assert [each["name"] for each in answered["refused"]] == ["wrong"]
    # The verdicts are all in the log, those on what is remembered already among them.
    (exchange,) = logged(h, "exchange")
    assert [each["name"] for each in exchange["verdicts"]] == ["wrong", "again"]
    assert h.run.adaptation.triggers.adaptations == 1


def test_a_no_and_its_reason_are_in_the_log_and_reach_the_next_author(asking, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    goal = GoalAnswer(kind="none", description="no measure expresses it")
    candidates = wrote(written("right", RIGHT))
    h, author = asking((3, Answered("/v1/goals", goal)), (5, candidates), total_steps=50 * STEPS)
    no = Reject(kind="reject", adaptation=1, reason="it drags a leg")
    h.at = {2: [sends(BACKWARDS)], 8: [sends(no)], 10: [sends(ASK)]}
    h.go()
    why = "a person says no: it drags a leg"
    assert logged(h, "rejected") == [
        {"adaptation": 1, "what": "reward", "by": "person", "why": why}
    ]
    (remembered,) = author.asked[2][1]["memory"]
    assert (remembered["name"], remembered["outcome"]) == ("right", "lost")
    assert remembered["reason"] == why


LEFT_OUT = (
    'net displacement backwards. Not understood: "juggling". '
    "claude gave no answer (the model declined); library did."
)


def test_what_a_goals_measure_leaves_out_is_told_with_it(asking):
    h, _ = asking((4, Answered("/v1/goals", MEASURED)))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    assert f'goal: "{BACKWARDS.description}", {LEFT_OUT}' in said(h, "goal")
    (goal,) = logged(h, "goal")
    assert (goal["understood"], goal["not_understood"]) == (["run backwards"], ["juggling"])
    assert h.run.adaptation_view.goal().goal["not_understood"] == ["juggling"]


def test_who_is_asked_for_a_yes_is_told_what_it_leaves_out(asking):
    h, _ = asking((4, Answered("/v1/goals", MEASURED)), adapt="approve")
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    (waiting,) = logged(h, "waiting")
    assert waiting["sentence"] == f'"{BACKWARDS.description}" is measured by: {LEFT_OUT}'


def test_what_candidates_leave_out_is_told_with_them(asking):
    h, _ = asking((4, wrote(not_understood=("juggling",))))
    h.at = {2: [sends(ASK)]}
    h.go()
    assert said(h, "candidates") == ['it stagnates: none was written. Not understood: "juggling".']
    assert logged(h, "answer")[0]["not_understood"] == ["juggling"]


def test_the_question_for_a_goals_measure_is_in_the_log_with_its_answer(asking):
    h, author = asking((4, Answered("/v1/goals", MEASURED)))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    (exchange,) = logged(h, "exchange")
    assert exchange["question"] == json.loads(json.dumps(author.asked[0][1]))
    assert exchange["answer"]["program"] == MEASURED.program
    told = hashlib.sha256(b"the rules").hexdigest()
    assert exchange["exchanges"] == [
        {"model": "m", "prompt": "asked", "response": "said", "stop_reason": ""}
        | {"system_sha256": told}
    ]
    assert logged(h, "prompt") == [{"sha256": told, "text": "the rules"}]
    assert exchange["usage"]["usd"] == 0.25
    assert replay_decisions(h.run_dir.path) == 0


def test_what_an_author_is_told_every_time_is_in_the_log_once(asking):
    answered = Answered("/v1/goals", MEASURED)
    h, _ = asking((4, answered), (8, answered), adapt="off")
    h.at = {2: [sends(BACKWARDS)], 6: [sends(BACKWARDS)]}
    h.go()
    assert len(logged(h, "exchange")) == 2
    assert len(logged(h, "prompt")) == 1


def test_the_log_says_whose_measure_a_goal_has(asking):
    h, _ = asking((4, Answered("/v1/goals", MEASURED)))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    assert [each["by"] for each in logged(h, "goal")] == ["author"]
    h, _ = asking((4, Answered("/v1/goals", MEASURED)), adapt="approve")
    h.at = {2: [sends(BACKWARDS)], 5: [sends(Approve(kind="approve", adaptation=1))]}
    h.go()
    assert [each["by"] for each in logged(h, "goal")] == ["person"]
