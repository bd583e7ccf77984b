"""Who judges an adaptation, by what, and what ends one: words of a person. On the toy."""

import pytest
from judging import OFF, AskedAuthor, in_the_trial, tries
from staging import CENTRE, RIGHT, STEPS, Killed, die, kinds, logged, sends

from websim_learner import run as run_module
from websim_learner.control import Ask, FitnessProgram, SetGoal, TryReward
from websim_learner.records import EvaluationRecord

TO_THE_RIGHT = SetGoal(
    kind="set_goal",
    description="go right",
    fitness=FitnessProgram(
        program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
    ),
)


def wins_unless_turned_off(learning, directory, kill=None):
    """A run whose candidate wins a trial, in the middle of which adaptation is turned off."""
    h = learning(directory, total_steps=40 * STEPS)
    tried = TryReward(kind="try_reward", source=RIGHT, name="right")
    h.at = {
        2: [lambda h: "goal" in kinds(h) or h.send(TO_THE_RIGHT)],
        # The goal without a reward-gen had candidates too: none.
        6: [lambda h: kinds(h).count("candidates") > 1 or h.send(tried)],
    }
    in_the_trial(h, 6, lambda h: "adapt_mode" in kinds(h) or h.send(OFF))
    if kill is not None:
        h.at[kill] = [die]
    return h


def test_a_winner_is_not_adopted_once_adaptation_is_off(learning, monkeypatch, tmp_path):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    alone = wins_unless_turned_off(learning, tmp_path / "alone")
    alone.go()
    (decision,) = logged(alone, "decision")
    assert decision["decision"]["promote"]
    assert logged(alone, "adopted") == []
    kept = logged(alone, "kept")[-1]
    assert kept["reward_id"] == alone.branch.reward.id == "task"
    assert "turned off" in kept["why"]
    # A later life begins after the trial, whose steps count.
    with pytest.raises(Killed):
        wins_unless_turned_off(learning, tmp_path / "killed", kill=7).go()
    killed = wins_unless_turned_off(learning, tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()
    assert killed.result()["env_steps"] == alone.result()["env_steps"]
    assert logged(killed, "kept") == logged(alone, "kept")


def test_turning_adaptation_off_takes_back_what_was_asked(learning):
    author = AskedAuthor()
    h = learning(author=author)
    h.at = {
        2: [sends(Ask(kind="ask", reason="stuck"))],
        4: [sends(OFF)],
        6: [lambda h: author.answers(CENTRE)],
    }
    h.go()
    assert [path for path, _ in author.asked] == ["/v1/rewards"]
    assert logged(h, "answer") == logged(h, "round") == []
    assert h.run.adaptation_view.goal().adapting == ""


def test_it_is_told_whether_candidates_are_written_checked_or_tried(learning):
    author, seen = AskedAuthor(), []

    def look(h):
        told = h.run.adaptation_view.goal().adapting
        assert h.run.status.read().adapting == told
        seen.append(told)

    h = learning(author=author)
    h.at = {
        2: [look, sends(Ask(kind="ask", reason="stuck"))],
        4: [look],
        6: [lambda h: author.answers(CENTRE)],
        8: [look],
    }
    for call in (1, 2, 3, 4):
        in_the_trial(h, call, look)
    h.go()
    # Two rounds of two updates of 240 steps, each for the control and the one candidate.
    assert seen == [
        "",
        "candidates are being written: stuck",
        "candidate 1 of 1 is checked at the gate: written",
        "the trial begins: control, written",
        "trial, round 1 of 2, 0 of at most 1,920 steps: control, written",
        "trial, round 1 of 2, 240 of at most 1,920 steps: control, written",
        "",
    ]


def test_a_trial_that_was_to_come_is_not_held_once_adaptation_is_off(learning):
    h = learning()
    h.at = {6: [tries(CENTRE, "centre"), sends(OFF)]}
    h.go()
    assert len(logged(h, "answer")) == 1
    assert logged(h, "verdict") == logged(h, "round") == []


def test_an_answer_to_a_question_for_another_goal_is_not_tried_for_the_present_one(learning):
    author = AskedAuthor()
    h = learning(author=author)
    h.at = {
        2: [sends(Ask(kind="ask", reason="stuck"))],
        4: [sends(TO_THE_RIGHT)],
        6: [lambda h: author.answers(CENTRE)],
    }
    h.go()
    assert logged(h, "answer") == []
    # The new goal's own question follows.
    asked = [body["description"] for _, body in author.asked]
    assert (len(asked), asked[1]) == (2, "go right")


def changes_its_mind(learning, directory, kill=None):
    """A run in which another goal is set while the winner for the one before waits for a yes."""
    author = AskedAuthor()
    h = learning(
        directory, adapt="approve", total_steps=80 * STEPS, checkpoint_every_updates=10,
        author=author,
    )  # fmt: skip
    to_the_left = FitnessProgram(
        program="def fitness(state, action):\n    return -state.x\n", accumulate="max"
    )
    other = SetGoal(kind="set_goal", description="go left", fitness=to_the_left)
    h.at = {
        2: [lambda h: "goal" in kinds(h) or h.send(TO_THE_RIGHT)],
        6: [lambda h: "candidates" in kinds(h) or author.answers(RIGHT)],
        12: [lambda h: kinds(h).count("goal") > 1 or h.send(other)],
    }
    if kill is not None:
        h.at[kill] = [die]
    return h


def test_another_goal_ends_what_waits_for_a_yes_in_every_life(learning, monkeypatch, tmp_path):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (2_000, 2_000))
    alone = changes_its_mind(learning, tmp_path / "alone")
    asked_about = []
    alone.at[11] = [lambda h: asked_about.append(h.run.adaptation.waiting.names)]
    alone.go()
    with pytest.raises(Killed):
        changes_its_mind(learning, tmp_path / "killed", kill=14).go()
    killed = changes_its_mind(learning, tmp_path / "killed")
    killed.go()
    assert asked_about == [("written",)]
    for h in (alone, killed):
        assert h.run.adaptation.waiting is None
        assert h.run._adapter.policies.proposed == {}
        assert [e.outcome for e in h.run.adaptation.rewards if e.name == "written"] == ["lost"]
    assert killed.digest() == alone.digest()


def test_the_trend_is_in_the_records_and_is_told_to_who_writes_rewards(learning):
    """Asked by the clock at the sixth evaluation, of 192 steps each: a trend is made of six."""
    author = AskedAuthor()
    asked = []
    ask = author.ask
    author.ask = lambda path, body: (asked.append(body), ask(path, body))
    h = learning(author=author, eval_every_updates=1, adapt_every_steps=6 * STEPS)
    h.go()
    told = [r for r in h.run.stream.after(0, 10_000) if isinstance(r, EvaluationRecord)]
    lows = [record.fitness_slope_low_per_million for record in told[:6]]
    assert lows[:5] == [None] * 5
    sixth = told[5]
    assert sixth.fitness_slope_low_per_million <= sixth.fitness_slope_per_million
    assert sixth.fitness_slope_per_million <= sixth.fitness_slope_high_per_million
    assert asked[0]["feedback"]["env_steps"] == sixth.env_steps == 6 * STEPS
    assert asked[0]["feedback"]["fitness_slope_low"] == lows[5]
    # By the task's own reward, which is in force, its sum is the return.
    assert sixth.reward_id == "task"
    assert sixth.reward_return_mean == pytest.approx(sixth.return_mean)
    assert sixth.reward_fitness_correlation == pytest.approx(
        asked[0]["feedback"]["reward_fitness_correlation"]
    )
