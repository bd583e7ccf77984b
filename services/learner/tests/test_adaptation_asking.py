"""Questions to reward-gen: what waits for an answer, what is told of one, and what is written down.

On the toy, with an author whose answers come at the updates that a test names.
"""

import hashlib
import json
import shutil

import pytest
from staging import CENTRE, RIGHT, STEPS, Killed, die, kinds, logged, sends, unless_done

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation import answers, questions
from websim_learner.adaptation.answers import (
    Exchange,
    Failure,
    GoalAnswer,
    Issue,
    Provenance,
    RewardAnswer,
    Usage,
    Verdict,
)
from websim_learner.adaptation.author import Answered, AuthorFailed
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.adaptation.signals import TriggerState, after_adaptation
from websim_learner.control import (
    Approve,
    Ask,
    FitnessProgram,
    Reject,
    SetAdapt,
    SetGoal,
    TryReward,
)

BACKWARDS = SetGoal(kind="set_goal", description="run backwards while juggling", target=0.5)
ASK = Ask(kind="ask", reason="stuck")
NOTHING = "def reward(state, action):\n    return 0.0 * state.x\n"
"""A reward that says nothing: the first evaluation asks for another one."""

DOWN = AuthorFailed("unreachable", "reward-gen does not answer: connection refused; given up.")
DENIED = AuthorFailed("denied", "reward-gen wants a token: bring one.")
REFUSED = AuthorFailed("refused", "reward-gen refuses the question: description: too long")
MEASURED = GoalAnswer(
    kind="program",
    program="def fitness(state, action):\n    return -state.x\n",
    accumulate="max",
    unit="m",
    description="net displacement backwards",
    understood=("run backwards",),
    not_understood=("juggling",),
    provider="library",
    failures=(Failure(provider="claude", kind="refusal", message="the model declined"),),
    usage=Usage(attempts=1, usd=0.25),
    exchanges=(Exchange(model="m", system="the rules", prompt="asked", response="said"),),
)


def written(name, program, *issues):
    verdict = Verdict(
        accepted=not issues, issues=tuple(Issue(reason=r, message=m) for r, m in issues)
    )
    provenance = Provenance(provider="library")
    return answers.Candidate(name=name, program=program, verdict=verdict, provenance=provenance)


def wrote(*candidates, **more):
    return Answered("/v1/rewards", RewardAnswer(**{
        "request_sha256": "", "provider": "library", "diagnosis": "it stagnates",
        "action": "new_reward", "candidates": candidates, **more,
    }))  # fmt: skip


class Scripted:
    """Stands for the client of a reward-gen: the n-th answer comes at the n-th update named."""

    def __init__(self, *script):
        self.asked, self.busy, self.banner = [], False, ""
        self._script, self.now = list(script), lambda: 0

    def ask(self, path, body):
        assert not self.busy
        self.asked.append((path, body))
        self.busy = True

    def poll(self):
        if not self.busy or not self._script or self.now() < self._script[0][0]:
            return None
        self.busy = False
        return self._script.pop(0)[1]

    def give_up(self):
        pass

    def close(self):
        pass


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))
    monkeypatch.setattr(questions, "ASK_AGAIN_S", 0.0)

    def build(*script, directory=None, author=True, **overrides):
        own = {"adapt": "auto", "total_steps": 20 * STEPS, "eval_every_updates": 4}
        own |= {"client": {"shard_envs": 12}, "checkpoint_every_updates": 8}
        asked = Scripted(*script) if author else None
        h = harness(directory, author=asked, **{**own, **overrides})
        if asked is not None:
            asked.now = lambda: h.branch.updates
        return h, asked

    return build


def said(h, event):
    told = [each for each in h.run.stream.after(0, 10_000) if hasattr(each, "event")]
    return [each.message for each in told if each.event == event]


@pytest.mark.parametrize("failed", [DOWN, DENIED], ids=lambda failed: failed.kind)
def test_a_goal_without_an_answer_is_asked_again_until_there_is_one(make, failed):
    measured = Answered("/v1/goals", MEASURED)
    h, author = make((4, failed), (6, failed), (9, measured))
    seen = []
    h.at = {
        2: [sends(BACKWARDS)],
        8: [lambda h: seen.append(h.run.adaptation_view.goal())],
    }
    h.go()
    goals = [path for path, _ in author.asked if path == "/v1/goals"]
    assert len(goals) == 3
    # Only a goal that began is told as one.
    assert (len(said(h, "goal_asked")), len(said(h, "goal"))) == (1, 1)
    assert [(e.kind, e.update) for e in h.run_dir.journal() if e.kind.startswith("goal")] == [
        ("goal_asked", 2),
        ("goal", 9),
    ]
    # The banner is on meanwhile; the same trouble is told and written down once.
    told = f"the goal waits for an answer and is asked again: {failed.message}"
    assert seen[0].banner == told
    assert seen[0].adapting == 'asking how "run backwards while juggling" is measured'
    assert said(h, "unanswered") == [told]
    assert logged(h, "unanswered") == [{"path": "/v1/goals", "kind": failed.kind, "message": told}]
    assert h.run.adaptation_view.goal().banner == ""


def test_between_two_questions_there_is_a_pause(make, monkeypatch):
    monkeypatch.setattr(questions, "ASK_AGAIN_S", 3600.0)
    h, author = make((4, DOWN))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    assert len(author.asked) == 1
    assert h.run.adaptation.asked_goal == BACKWARDS.description


FORWARD = SetGoal(kind="set_goal", description="run forwards")


@pytest.mark.parametrize("first", [ASK, FORWARD], ids=lambda command: command.kind)
def test_another_goal_is_asked_for_as_soon_as_the_open_question_is_out_of_the_way(make, first):
    late = wrote(written("late", CENTRE)) if first is ASK else Answered("/v1/goals", MEASURED)
    h, author = make((6, late), (9, Answered("/v1/goals", MEASURED)), total_steps=12 * STEPS)
    h.at = {3: [sends(first)], 4: [sends(BACKWARDS)]}
    h.go()
    assert [answer.kind for answer in h.answers] == [first.kind, "set_goal"]
    assert author.asked[1][1]["description"] == BACKWARDS.description
    assert [(e.kind, e.update) for e in h.run_dir.journal() if e.kind == "goal"] == [("goal", 9)]
    assert h.run.adaptation.goal.description == BACKWARDS.description
    # What nobody waits for any more may have been paid for.
    assert [row.get("unwanted", False) for row in logged(h, "exchange")] == [True, False]


def test_runs_that_have_a_directory_one_after_the_other_have_budgets_of_their_own(make, tmp_path):
    def charged():
        directory = tmp_path / "first"
        h, author = make(directory=directory, total_steps=4 * STEPS)
        h.at = {2: [sends(BACKWARDS)]}
        h.go()
        shutil.rmtree(directory)
        return author.asked[0][1]["run"]

    one, other = charged(), charged()
    assert one.startswith("first-")
    assert other.startswith("first-")
    assert one != other


def test_a_goal_that_is_said_twice_is_asked_once(make):
    h, author = make((6, Answered("/v1/goals", MEASURED)), total_steps=8 * STEPS)
    h.at = {3: [sends(BACKWARDS)], 4: [sends(BACKWARDS)]}
    h.go()
    assert len([path for path, _ in author.asked if path == "/v1/goals"]) == 1
    assert h.run.adaptation.goal.description == BACKWARDS.description


def test_nothing_is_adapted_towards_the_goal_before_while_another_is_asked_for(make):
    idle, _ = make(reward_source=NOTHING)
    idle.go()
    assert len(logged(idle, "trigger")) == 1
    pending, author = make(reward_source=NOTHING)
    pending.at = {2: [sends(BACKWARDS)]}
    pending.go()
    assert [path for path, _ in author.asked] == ["/v1/goals"]
    assert not (pending.run_dir.path / "adaptations.jsonl").exists()


def test_a_target_in_words_unit_is_not_held_against_the_tasks_own_fitness(make):
    h, _ = make(goal="hold 2 m/s", target=-99.0)
    h.go()
    assert h.run.adaptation.goal.target is None
    assert h.run.adaptation.goal_target == -99.0


def refused_at_9(make, directory, *script, kill=None):
    h, author = make(*script, directory=directory, total_steps=40 * STEPS, reward_source=NOTHING)
    h.at = {2: [unless_done(BACKWARDS)]}
    if kill is not None:
        h.at[kill] = [die]
    return h, author


def test_a_goal_that_is_refused_for_its_words_is_given_up_in_every_life(make, tmp_path):
    candidates = wrote(written("centre", CENTRE))
    alone, _ = refused_at_9(make, tmp_path / "alone", (9, REFUSED), (14, candidates))
    alone.go()
    told = f'the goal "run backwards while juggling" is not set: {REFUSED.message}'
    assert said(alone, "unanswered") == [told]
    assert logged(alone, "unanswered")[0]["message"] == told
    # From then on the run adapts for the goal it has: at the evaluation of update 12.
    assert alone.run.adaptation.goal.n == 0
    assert [e.update for e in alone.run_dir.journal() if e.kind == "candidates"] == [14]

    with pytest.raises(Killed):
        refused_at_9(make, tmp_path / "killed", (9, REFUSED), kill=13)[0].go()
    # The checkpoint of update 8 holds the goal as asked for: its answer comes too late now.
    late = Answered("/v1/goals", MEASURED)
    again, _ = refused_at_9(make, tmp_path / "killed", (0, late), (14, candidates))
    again.go()
    assert again.run.adaptation.goal.n == 0
    assert again.digest() == alone.digest()
    assert again.run.adaptation.triggers == alone.run.adaptation.triggers
    assert kinds(again).count("goal_refused") == 1


def test_a_goal_waits_where_a_later_life_has_nobody_to_ask(make, tmp_path):
    first, _ = make(directory=tmp_path / "run")
    first.at = {2: [sends(BACKWARDS)], 9: [die]}
    with pytest.raises(Killed):
        first.go()
    again, _ = make(directory=tmp_path / "run", author=False)
    assert again.go() == "finished"
    assert again.run.adaptation.asked_goal == BACKWARDS.description
    assert "no reward-gen is set up" in again.run.adaptation_view.goal().banner


def test_an_adaptation_without_an_answer_is_none_of_those_a_run_may_have(make):
    h, _ = make((4, DENIED))
    h.at = {2: [sends(ASK)]}
    h.go()
    assert [row["why"] for row in logged(h, "kept")] == [f"nothing is changed: {DENIED.message}"]
    assert logged(h, "unanswered")[0]["path"] == "/v1/rewards"
    # It cools down all the same.
    triggers = h.run.adaptation.triggers
    assert (triggers.adaptations, triggers.last_end_env_steps) == (0, 4 * STEPS)


def test_eight_refused_questions_silence_nothing():
    state = TriggerState()
    for number in range(8):
        state = after_adaptation(state, 1000 * number, adopted=False, answered=False)
    assert state == TriggerState(last_end_env_steps=7000)
    assert after_adaptation(state, 9000, adopted=False).adaptations == 1


WRONG = "def reward(state, action):\n    return np.sqrt(-1.0 - np.abs(state.x))\n"


def test_the_next_author_is_told_what_was_refused_and_why(make):
    answer = wrote(
        written("wrong", WRONG, ("nonfinite", "the total is not finite")),
        written("again", CENTRE, ("repeated", "this program was tried already")),
    )
    h, author = make((4, answer))
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


def test_a_no_and_its_reason_are_in_the_log_and_reach_the_next_author(make, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    goal = GoalAnswer(kind="none", description="no measure expresses it")
    candidates = wrote(written("right", RIGHT))
    h, author = make((3, Answered("/v1/goals", goal)), (5, candidates), total_steps=50 * STEPS)
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


def test_what_a_goals_measure_leaves_out_is_told_with_it(make):
    h, _ = make((4, Answered("/v1/goals", MEASURED)))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    assert f'goal: "{BACKWARDS.description}", {LEFT_OUT}' in said(h, "goal")
    (goal,) = logged(h, "goal")
    assert (goal["understood"], goal["not_understood"]) == (["run backwards"], ["juggling"])
    assert h.run.adaptation_view.goal().goal["not_understood"] == ["juggling"]


def test_who_is_asked_for_a_yes_is_told_what_it_leaves_out(make):
    h, _ = make((4, Answered("/v1/goals", MEASURED)), adapt="approve")
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    (waiting,) = logged(h, "waiting")
    assert waiting["sentence"] == f'"{BACKWARDS.description}" is measured by: {LEFT_OUT}'


def test_what_candidates_leave_out_is_told_with_them(make):
    h, _ = make((4, wrote(not_understood=("juggling",))))
    h.at = {2: [sends(ASK)]}
    h.go()
    assert said(h, "candidates") == ['it stagnates: none was written. Not understood: "juggling".']
    assert logged(h, "answer")[0]["not_understood"] == ["juggling"]


def test_the_question_for_a_goals_measure_is_in_the_log_with_its_answer(make):
    h, author = make((4, Answered("/v1/goals", MEASURED)))
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


def test_what_an_author_is_told_every_time_is_in_the_log_once(make):
    answered = Answered("/v1/goals", MEASURED)
    h, _ = make((4, answered), (8, answered), adapt="off")
    h.at = {2: [sends(BACKWARDS)], 6: [sends(BACKWARDS)]}
    h.go()
    assert len(logged(h, "exchange")) == 2
    assert len(logged(h, "prompt")) == 1


def test_the_log_says_whose_measure_a_goal_has(make):
    h, _ = make((4, Answered("/v1/goals", MEASURED)))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    assert [each["by"] for each in logged(h, "goal")] == ["author"]
    h, _ = make((4, Answered("/v1/goals", MEASURED)), adapt="approve")
    h.at = {2: [sends(BACKWARDS)], 5: [sends(Approve(kind="approve", adaptation=1))]}
    h.go()
    assert [each["by"] for each in logged(h, "goal")] == ["person"]


OWN = SetGoal(
    kind="set_goal",
    description="go left",
    fitness=FitnessProgram(program="def fitness(state, action):\n    return -state.x\n"),
)


def modes(h, command):
    """Return whether the run adapts before a command and after it."""
    seen = []
    h.at = {
        2: [lambda h: seen.append(h.run.adaptation.mode), sends(command)],
        4: [lambda h: seen.append(h.run.adaptation.mode)],
    }
    h.go()
    return seen


@pytest.mark.parametrize("command", [OWN, BACKWARDS], ids=["measured", "in words"])
def test_a_run_of_which_nobody_said_if_it_adapts_does_so_from_its_first_goal_on(make, command):
    h, author = make((3, Answered("/v1/goals", MEASURED)), adapt="off", adapts_with_goal=True)
    assert modes(h, command) == ["off", "auto"]
    assert h.answers[0].detail.endswith("; the run adapts from now on")
    # Candidates are asked for as soon as it is known how the goal is measured.
    assert [path for path, _ in author.asked][-1] == "/v1/rewards"


def test_a_goal_turns_nothing_on_that_was_turned_off(make):
    h, _ = make(adapt="off")
    assert modes(h, OWN) == ["off", "off"]
    assert h.answers[0].detail == "the goal is set; it is only measured until the run adapts"
    off, _ = make(adapt="off", adapts_with_goal=True)
    said = SetAdapt(kind="set_adapt", mode="off")
    off.at = {1: [sends(said)], 2: [sends(OWN)]}
    off.go()
    assert off.run.adaptation.mode == "off"


@pytest.mark.parametrize("command", [OWN, BACKWARDS], ids=["measured", "in words"])
def test_a_goal_turns_adapting_on_in_every_life_of_a_run(make, tmp_path, command):
    answers = (3, Answered("/v1/goals", MEASURED)), (20, wrote(written("centre", CENTRE)))
    off = {"adapt": "off", "adapts_with_goal": True, "checkpoint_every_updates": 100}

    def begin(name):
        h, _ = make(*answers, directory=tmp_path / name, **off)
        h.at = {2: [unless_done(command)]}
        return h

    alone, killed = begin("alone"), begin("killed")
    alone.go()
    killed.at[10] = [die]
    with pytest.raises(Killed):
        killed.go()
    again = begin("killed")
    again.go()
    assert again.run.adaptation.mode == "auto"
    assert again.digest() == alone.digest()


def measured_after_a_yes(make, directory, *script, kill=None):
    """A run whose goal waits for a yes as adaptation 1, and whose candidates come at update 10."""
    h, _ = make(*script, directory=directory, adapt="approve", checkpoint_every_updates=100)
    h.at = {2: [unless_done(BACKWARDS)], 5: [unless_done(Approve(kind="approve", adaptation=1))]}
    if kill is not None:
        h.at[kill] = [die]
    return h


def test_candidates_after_a_yes_to_a_goal_have_the_same_number_in_every_life(make, tmp_path):
    measured, candidates = Answered("/v1/goals", MEASURED), wrote(written("centre", CENTRE))
    alone = measured_after_a_yes(make, tmp_path / "alone", (3, measured), (10, candidates))
    alone.go()
    (goal,) = [entry for entry in alone.run_dir.journal() if entry.kind == "goal"]
    assert (goal.update, goal.values["adaptation"]) == (5, 1)

    with pytest.raises(Killed):
        measured_after_a_yes(make, tmp_path / "killed", (3, measured), kill=7).go()
    # It begins at update 0, where nobody answers again what the yes was said to.
    again = measured_after_a_yes(make, tmp_path / "killed", (10, candidates))
    again.go()
    for h in (alone, again):
        (number,) = [e.values["adaptation"] for e in h.run_dir.journal() if e.kind == "candidates"]
        assert number == 2
    assert again.digest() == alone.digest()


def test_a_goal_in_an_older_journal_that_tells_no_number_is_taken(make):
    h, _ = make()
    goal = {"n": 1, "description": "be", "kind": "none"}
    h.at = {2: [lambda h: h.run._adapter.replay("goal", goal)]}
    h.go()
    assert (h.run.adaptation.goal.description, h.run.adaptation.adaptations) == ("be", 1)


TRY = TryReward(kind="try_reward", source=CENTRE, name="centre")


def test_what_is_asked_while_a_reward_is_to_be_tried_is_refused(make):
    h, author = make(total_steps=6 * STEPS)
    h.at = {3: [sends(TRY), sends(ASK)]}
    h.go()
    tried, refused = sorted(h.answers, key=lambda answer: isinstance(answer, UserError))
    assert tried.kind == "try_reward"
    assert str(refused) == "an adaptation is under way. Wait for it, or answer what it asks."
    assert "ask" not in kinds(h)
    assert (author.asked, h.run.adaptation.adaptations) == ([], 1)


def test_who_asks_twice_is_told_to_wait(make):
    h, author = make(total_steps=6 * STEPS)
    h.at = {3: [sends(ASK)], 4: [sends(ASK)]}
    h.go()
    assert str(h.answers[1]) == "candidates are being written. Wait for them."
    assert len(author.asked) == 1


def asked_then_tried(make, directory, *script, kill=None):
    """A person asks for candidates and tries a reward of their own before these are there."""
    h, author = make(*script, directory=directory, checkpoint_every_updates=100)
    h.at = {3: [unless_done(ASK)], 5: [unless_done(TRY)]}
    if kill is not None:
        h.at[kill] = [die]
    return h, author


def test_a_reward_of_ones_own_goes_before_what_is_being_written_and_says_so(make, tmp_path):
    late = wrote(written("right", RIGHT))
    alone, author = asked_then_tried(make, tmp_path / "alone", (8, late))
    alone.go()
    withdrawn = "the question for candidates is withdrawn: a person tries a reward of their own"
    assert said(alone, "unanswered") == [withdrawn]
    log = [(row["kind"], row["adaptation"]) for row in alone.run.adaptation_view.rows(0, 99)]
    assert [row for row in log if row[0] in ("unanswered", "answer", "decision")] == [
        ("unanswered", 1),
        ("answer", 2),
        ("decision", 2),
    ]
    # What was written comes too late.
    assert len(author.asked) == 1
    assert [entry.name for entry in alone.run.adaptation.rewards] == ["the task's own", "centre"]

    with pytest.raises(Killed):
        asked_then_tried(make, tmp_path / "killed", kill=7)[0].go()
    again, _ = asked_then_tried(make, tmp_path / "killed")
    again.go()
    assert logged(again, "unanswered")[0]["message"] == withdrawn
    assert again.digest() == alone.digest()


def test_an_environment_and_a_reward_of_one_answer_wait_under_numbers_of_their_own(
    make, monkeypatch
):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    change = answers.EnvChange(name="force", low=0.5, high=0.5)
    goal = Answered("/v1/goals", GoalAnswer(kind="none", description="no measure expresses it"))
    both = wrote(written("right", RIGHT), action="env_change", env_changes=(change,))
    h, _ = make((3, goal), (5, both), total_steps=50 * STEPS)
    reward = Approve(kind="approve", adaptation=1, name="right")
    environment = Approve(kind="approve", adaptation=2)
    h.at = {2: [sends(BACKWARDS)], 8: [sends(environment)], 9: [sends(reward), sends(environment)]}
    h.go()
    assert [(each["what"], each["adaptation"]) for each in logged(h, "waiting")] == [
        ("environment", 2),
        ("reward", 1),
    ]
    assert "adaptation 1 came after it and waits too" in str(h.answers[1])
    assert h.run.adaptation_view.rewards().in_force in {each.detail for each in h.answers[2:]}
    assert h.run.adaptation.ranges == {"force": (0.5, 0.5)}
    assert h.run.adaptation.waiting is None
