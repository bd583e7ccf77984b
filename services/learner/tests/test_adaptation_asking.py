"""Questions to reward-gen: what waits for an answer, and what does not. On the toy."""

import shutil

import pytest
from scripted import ASK, BACKWARDS, MEASURED, NOTHING, said, written, wrote
from staging import CENTRE, RIGHT, STEPS, Killed, die, kinds, logged, sends, unless_done

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation import answers, questions
from websim_learner.adaptation.answers import GoalAnswer
from websim_learner.adaptation.author import Answered, AuthorFailed
from websim_learner.adaptation.signals import TriggerState, after_adaptation
from websim_learner.control import Approve, SetGoal, TryReward

DOWN = AuthorFailed("unreachable", "reward-gen does not answer: connection refused; given up.")

DENIED = AuthorFailed("denied", "reward-gen wants a token: bring one.")

REFUSED = AuthorFailed("refused", "reward-gen refuses the question: description: too long")


@pytest.mark.parametrize("failed", [DOWN, DENIED], ids=lambda failed: failed.kind)
def test_a_goal_without_an_answer_is_asked_again_until_there_is_one(asking, failed):
    measured = Answered("/v1/goals", MEASURED)
    h, author = asking((4, failed), (6, failed), (9, measured))
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


def test_between_two_questions_there_is_a_pause(asking, monkeypatch):
    monkeypatch.setattr(questions, "ASK_AGAIN_S", 3600.0)
    h, author = asking((4, DOWN))
    h.at = {2: [sends(BACKWARDS)]}
    h.go()
    assert len(author.asked) == 1
    assert h.run.adaptation.asked_goal == BACKWARDS.description


FORWARD = SetGoal(kind="set_goal", description="run forwards")


@pytest.mark.parametrize("first", [ASK, FORWARD], ids=lambda command: command.kind)
def test_another_goal_is_asked_for_as_soon_as_the_open_question_is_out_of_the_way(asking, first):
    late = wrote(written("late", CENTRE)) if first is ASK else Answered("/v1/goals", MEASURED)
    h, author = asking((6, late), (9, Answered("/v1/goals", MEASURED)), total_steps=12 * STEPS)
    h.at = {3: [sends(first)], 4: [sends(BACKWARDS)]}
    h.go()
    assert [answer.kind for answer in h.answers] == [first.kind, "set_goal"]
    assert author.asked[1][1]["description"] == BACKWARDS.description
    assert [(e.kind, e.update) for e in h.run_dir.journal() if e.kind == "goal"] == [("goal", 9)]
    assert h.run.adaptation.goal.description == BACKWARDS.description
    # What nobody waits for any more may have been paid for.
    assert [row.get("unwanted", False) for row in logged(h, "exchange")] == [True, False]


def test_runs_that_have_a_directory_one_after_the_other_have_budgets_of_their_own(asking, tmp_path):
    def charged():
        directory = tmp_path / "first"
        h, author = asking(directory=directory, total_steps=4 * STEPS)
        h.at = {2: [sends(BACKWARDS)]}
        h.go()
        shutil.rmtree(directory)
        return author.asked[0][1]["run"]

    one, other = charged(), charged()
    assert one.startswith("first-")
    assert other.startswith("first-")
    assert one != other


def test_a_goal_that_is_said_twice_is_asked_once(asking):
    h, author = asking((6, Answered("/v1/goals", MEASURED)), total_steps=8 * STEPS)
    h.at = {3: [sends(BACKWARDS)], 4: [sends(BACKWARDS)]}
    h.go()
    assert len([path for path, _ in author.asked if path == "/v1/goals"]) == 1
    assert h.run.adaptation.goal.description == BACKWARDS.description


def test_nothing_is_adapted_towards_the_goal_before_while_another_is_asked_for(asking):
    idle, _ = asking(reward_source=NOTHING)
    idle.go()
    assert len(logged(idle, "trigger")) == 1
    pending, author = asking(reward_source=NOTHING)
    pending.at = {2: [sends(BACKWARDS)]}
    pending.go()
    assert [path for path, _ in author.asked] == ["/v1/goals"]
    assert not (pending.run_dir.path / "adaptations.jsonl").exists()


def test_a_target_in_words_unit_is_not_held_against_the_tasks_own_fitness(asking):
    h, _ = asking(goal="hold 2 m/s", target=-99.0)
    h.go()
    assert h.run.adaptation.goal.target is None
    assert h.run.adaptation.goal_target == -99.0


def refused_at_9(asking, directory, *script, kill=None):
    h, author = asking(*script, directory=directory, total_steps=40 * STEPS, reward_source=NOTHING)
    h.at = {2: [unless_done(BACKWARDS)]}
    if kill is not None:
        h.at[kill] = [die]
    return h, author


def test_a_goal_that_is_refused_for_its_words_is_given_up_in_every_life(asking, tmp_path):
    candidates = wrote(written("centre", CENTRE))
    alone, _ = refused_at_9(asking, tmp_path / "alone", (9, REFUSED), (14, candidates))
    alone.go()
    told = f'the goal "run backwards while juggling" is not set: {REFUSED.message}'
    assert said(alone, "unanswered") == [told]
    assert logged(alone, "unanswered")[0]["message"] == told
    # From then on the run adapts for the goal it has: at the evaluation of update 12.
    assert alone.run.adaptation.goal.n == 0
    assert [e.update for e in alone.run_dir.journal() if e.kind == "candidates"] == [14]

    with pytest.raises(Killed):
        refused_at_9(asking, tmp_path / "killed", (9, REFUSED), kill=13)[0].go()
    # The checkpoint of update 8 holds the goal as asked for: its answer comes too late now.
    late = Answered("/v1/goals", MEASURED)
    again, _ = refused_at_9(asking, tmp_path / "killed", (0, late), (14, candidates))
    again.go()
    assert again.run.adaptation.goal.n == 0
    assert again.digest() == alone.digest()
    assert again.run.adaptation.triggers == alone.run.adaptation.triggers
    assert kinds(again).count("goal_refused") == 1


def test_a_goal_waits_where_a_later_life_has_nobody_to_ask(asking, tmp_path):
    first, _ = asking(directory=tmp_path / "run")
    first.at = {2: [sends(BACKWARDS)], 9: [die]}
    with pytest.raises(Killed):
        first.go()
    again, _ = asking(directory=tmp_path / "run", author=False)
    assert again.go() == "finished"
    assert again.run.adaptation.asked_goal == BACKWARDS.description
    assert "no reward-gen is set up" in again.run.adaptation_view.goal().banner


def test_an_adaptation_without_an_answer_is_none_of_those_a_run_may_have(asking):
    h, _ = asking((4, DENIED))
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


def measured_after_a_yes(asking, directory, *script, kill=None):
    """A run whose goal waits for a yes as adaptation 1, and whose candidates come at update 10."""
    h, _ = asking(*script, directory=directory, adapt="approve", checkpoint_every_updates=100)
    h.at = {2: [unless_done(BACKWARDS)], 5: [unless_done(Approve(kind="approve", adaptation=1))]}
    if kill is not None:
        h.at[kill] = [die]
    return h


def test_candidates_after_a_yes_to_a_goal_have_the_same_number_in_every_life(asking, tmp_path):
    measured, candidates = Answered("/v1/goals", MEASURED), wrote(written("centre", CENTRE))
    alone = measured_after_a_yes(asking, tmp_path / "alone", (3, measured), (10, candidates))
    alone.go()
    (goal,) = [entry for entry in alone.run_dir.journal() if entry.kind == "goal"]
    assert (goal.update, goal.values["adaptation"]) == (5, 1)

    with pytest.raises(Killed):
        measured_after_a_yes(asking, tmp_path / "killed", (3, measured), kill=7).go()
    # It begins at update 0, where nobody answers again what the yes was said to.
    again = measured_after_a_yes(asking, tmp_path / "killed", (10, candidates))
    again.go()
    for h in (alone, again):
        (number,) = [e.values["adaptation"] for e in h.run_dir.journal() if e.kind == "candidates"]
        assert number == 2
    assert again.digest() == alone.digest()


def test_a_goal_in_an_older_journal_that_tells_no_number_is_taken(asking):
    h, _ = asking()
    goal = {"n": 1, "description": "be", "kind": "none"}
    h.at = {2: [lambda h: h.run._adapter.replay("goal", goal)]}
    h.go()
    assert (h.run.adaptation.goal.description, h.run.adaptation.adaptations) == ("be", 1)


TRY = TryReward(kind="try_reward", source=CENTRE, name="centre")


def test_what_is_asked_while_a_reward_is_to_be_tried_is_refused(asking):
    h, author = asking(total_steps=6 * STEPS)
    h.at = {3: [sends(TRY), sends(ASK)]}
    h.go()
    tried, refused = sorted(h.answers, key=lambda answer: isinstance(answer, UserError))
    assert tried.kind == "try_reward"
    assert str(refused) == "an adaptation is under way. Wait for it, or answer what it asks."
    assert "ask" not in kinds(h)
    assert (author.asked, h.run.adaptation.adaptations) == ([], 1)


def test_who_asks_twice_is_told_to_wait(asking):
    h, author = asking(total_steps=6 * STEPS)
    h.at = {3: [sends(ASK)], 4: [sends(ASK)]}
    h.go()
    assert str(h.answers[1]) == "candidates are being written. Wait for them."
    assert len(author.asked) == 1


def asked_then_tried(asking, directory, *script, kill=None):
    """A person asks for candidates and tries a reward of their own before these are there."""
    h, author = asking(*script, directory=directory, checkpoint_every_updates=100)
    h.at = {3: [unless_done(ASK)], 5: [unless_done(TRY)]}
    if kill is not None:
        h.at[kill] = [die]
    return h, author


def test_a_reward_of_ones_own_goes_before_what_is_being_written_and_says_so(asking, tmp_path):
    late = wrote(written("right", RIGHT))
    alone, author = asked_then_tried(asking, tmp_path / "alone", (8, late))
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
        asked_then_tried(asking, tmp_path / "killed", kill=7)[0].go()
    again, _ = asked_then_tried(asking, tmp_path / "killed")
    again.go()
    assert logged(again, "unanswered")[0]["message"] == withdrawn
    assert again.digest() == alone.digest()


def test_an_environment_and_a_reward_of_one_answer_wait_under_numbers_of_their_own(
    asking, monkeypatch
):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    change = answers.EnvChange(name="force", low=0.5, high=0.5)
    goal = Answered("/v1/goals", GoalAnswer(kind="none", description="no measure expresses it"))
    both = wrote(written("right", RIGHT), action="env_change", env_changes=(change,))
    h, _ = asking((3, goal), (5, both), total_steps=50 * STEPS)
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
