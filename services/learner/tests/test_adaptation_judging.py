"""Who judges an adaptation, by what, and what ends one: goals without a number, words of a person
in between, groups and rewards that fail. On the toy."""

import pytest
from staging import CENTRE, RIGHT, STEPS, Killed, die, kinds, logged, sends
from toy_fleet import ToyClient

from websim.client import FleetRefused
from websim.programs.sandbox import SandboxError
from websim_learner import rewards
from websim_learner import run as run_module
from websim_learner.adaptation import answers
from websim_learner.adaptation.answers import Provenance, RewardAnswer, Verdict
from websim_learner.adaptation.author import Answered
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.adaptation.signals import TriggerSettings, TriggerState
from websim_learner.adaptation.state import Candidate, Proposal
from websim_learner.adaptation.triggers import find_trigger
from websim_learner.control import (
    AdoptReward,
    Approve,
    Ask,
    FitnessProgram,
    SetAdapt,
    SetGoal,
    SetReward,
    TryReward,
)
from websim_learner.records import EvaluationRecord

EDGE = "def reward(state, action):\n    return 1.0 + np.abs(state.x)\n"


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory=None, **overrides):
        # So large steps that the little there is to learn is learned within a round.
        own = {"adapt": "auto", "total_steps": 24 * STEPS, "eval_every_updates": 4}
        own |= {"eval_episodes": 12, "ppo": {"learning_rate": 1e-2}, "client": {"shard_envs": 12}}
        return harness(directory, **{**own, **overrides})

    return build


def said(h):
    return [each.message for each in h.run.stream.after(0, 10_000) if hasattr(each, "event")]


def tries(source, name):
    return sends(TryReward(kind="try_reward", source=source, name=name))


class AskedAuthor:
    """Stands for the client of a reward-gen that answers when a test lets it."""

    def __init__(self):
        self.asked, self.busy, self.banner = [], False, ""
        self.feedback = []
        self._outcome = None

    def ask(self, path, body):
        assert not self.busy
        self.asked.append((path, body["description"]))
        self.feedback.append(body.get("feedback"))
        self.busy = True

    def answers(self, source):
        """Answer with a candidate."""
        candidate = answers.Candidate(
            name="written",
            program=source,
            verdict=Verdict(accepted=True),
            provenance=Provenance(provider="claude"),
        )
        body = RewardAnswer(
            request_sha256="",
            provider="claude",
            diagnosis="it stagnates",
            action="new_reward",
            candidates=(candidate,),
        )
        self._outcome = Answered("/v1/rewards", body)

    def poll(self):
        outcome, self._outcome = self._outcome, None
        self.busy = self.busy and outcome is None
        return outcome

    def give_up(self):
        pass

    def close(self):
        pass


TO_THE_RIGHT = SetGoal(
    kind="set_goal",
    description="go right",
    fitness=FitnessProgram(
        program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
    ),
)
OFF = SetAdapt(kind="set_adapt", mode="off")


def in_the_trial(h, call, do):
    """Do something when a trial has come to a call of what it does between two updates."""
    original, calls = h.run._trainer.orders.during_trial, []

    def watched():
        calls.append(1)
        if len(calls) == call:
            do(h)
        original()

    h.run._trainer.orders.during_trial = watched


def approves(h):
    h.send(Approve(kind="approve", adaptation=h.run.adaptation.waiting.adaptation, name="edge"))


def sets_a_goal_without_a_number(h):
    h.run._adapter.set_goal("like a zombie", Goal(kind="none", description="like a zombie"), None)


def test_no_number_refuses_what_a_person_is_to_judge_or_takes_their_yes_back(make, monkeypatch):
    """EDGE prefers what the task's fitness is against, and loses that."""
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400,))
    h = make(total_steps=90 * STEPS, eval_every_updates=2)
    h.at = {2: [sets_a_goal_without_a_number], 6: [tries(EDGE, "edge")], 8: [approves]}
    assert h.go() == "finished"
    (verdict,) = logged(h, "verdict")
    assert verdict["accepted"]
    (decision,) = logged(h, "decision")
    assert decision["decision"]["sentence"] == "No number says who is better: a person chooses."
    assert [row["why"] for row in logged(h, "adopted")] == ["a person says yes"]
    assert h.run.adaptation.baseline is None
    assert logged(h, "rolled_back") == []
    assert {row["trigger"]["what"] for row in logged(h, "trigger")} <= {"length", "value_loss"}
    assert h.branch.reward.id == verdict["program_id"]
    assert replay_decisions(h.run_dir.path) == 0


def test_without_a_number_all_candidates_stay_for_a_person_to_choose_from(make):
    h = make(total_steps=60 * STEPS)
    sources = {"edge": EDGE, "centre": CENTRE, "right": RIGHT}
    candidates = tuple(Candidate(name=n, source=s, origin="library") for n, s in sources.items())
    proposal = Proposal(adaptation=9, candidates=candidates)
    h.at = {
        2: [sets_a_goal_without_a_number],
        6: [lambda h: h.run._adapter._take_candidates(proposal)],
    }
    h.go()
    assert set(h.run.adaptation.waiting.names) == set(sources)


def test_without_a_number_fitness_is_no_reason_for_anything():
    def points(value_loss=0.0):
        """Falling fitness beside a growing return, all with success."""
        return [
            EvalPoint(
                update=i,
                env_steps=i * 100_000,
                fitness=(4.0 - i, 4.1 - i),
                reward_return=(100.0 * i, 101.0 * i),
                task_return=(0.0, 0.0),
                length=(10, 10),
                success=(1.0, 1.0),
                reward_id="p",
                value_loss=value_loss if i == 6 else 1.0,
            )
            for i in range(7)
        ]

    def find(points, *, by_fitness):
        settings = TriggerSettings(by_fitness=by_fitness)
        return find_trigger(points, None, -99.0, None, TriggerState(), settings, 600_000)

    assert find(points(), by_fitness=True).what == "reward_up_fitness_down"
    assert find(points(), by_fitness=False) is None
    assert find(points(value_loss=99.0), by_fitness=False).what == "value_loss"


def test_whoever_writes_for_a_goal_without_a_number_is_told_of_no_fitness(make):
    author = AskedAuthor()
    h = make(author=author)
    h.at = {
        6: [sends(Ask(kind="ask", reason="stuck"))],
        7: [sets_a_goal_without_a_number],
        # Nobody waits for this any more: the goal's own question follows.
        8: [lambda h: author.answers(CENTRE)],
    }
    h.go()
    by_the_task, by_a_person = author.feedback[:2]
    assert [path for path, _ in author.asked[:2]] == ["/v1/rewards"] * 2
    assert "fitness" in by_the_task
    assert "fitness" in by_the_task["curves"]
    assert by_a_person["env_steps"] == 8 * STEPS
    assert not [name for name in {*by_a_person, *by_a_person["curves"]} if "fitness" in name]


def test_proposed_ranges_wait_for_the_one_who_judges(make):
    h = make(total_steps=20 * STEPS)
    proposal = Proposal(adaptation=9, candidates=(), ranges={"force": (0.5, 1.0)})
    h.at = {
        2: [sets_a_goal_without_a_number],
        6: [lambda h: h.run._adapter._take_candidates(proposal)],
    }
    h.go()
    assert h.run.adaptation.ranges == {}
    assert h.run.adaptation.waiting.ranges == {"force": (0.5, 1.0)}


def wins_unless_turned_off(make, directory, kill=None):
    """A run whose candidate wins a trial, in the middle of which adaptation is turned off."""
    h = make(directory, total_steps=40 * STEPS)
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


def test_a_winner_is_not_adopted_once_adaptation_is_off(make, monkeypatch, tmp_path):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    alone = wins_unless_turned_off(make, tmp_path / "alone")
    alone.go()
    (decision,) = logged(alone, "decision")
    assert decision["decision"]["promote"]
    assert logged(alone, "adopted") == []
    kept = logged(alone, "kept")[-1]
    assert kept["reward_id"] == alone.branch.reward.id == "task"
    assert "turned off" in kept["why"]
    # A later life begins after the trial, whose steps count.
    with pytest.raises(Killed):
        wins_unless_turned_off(make, tmp_path / "killed", kill=7).go()
    killed = wins_unless_turned_off(make, tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()
    assert killed.result()["env_steps"] == alone.result()["env_steps"]
    assert logged(killed, "kept") == logged(alone, "kept")


def test_turning_adaptation_off_takes_back_what_was_asked(make):
    author = AskedAuthor()
    h = make(author=author)
    h.at = {
        2: [sends(Ask(kind="ask", reason="stuck"))],
        4: [sends(OFF)],
        6: [lambda h: author.answers(CENTRE)],
    }
    h.go()
    assert [path for path, _ in author.asked] == ["/v1/rewards"]
    assert logged(h, "answer") == logged(h, "round") == []
    assert h.run.adaptation_view.goal().adapting == ""


def test_it_is_told_whether_candidates_are_written_checked_or_tried(make):
    author, seen = AskedAuthor(), []

    def look(h):
        told = h.run.adaptation_view.goal().adapting
        assert h.run.status.read().adapting == told
        seen.append(told)

    h = make(author=author)
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


def test_a_trial_that_was_to_come_is_not_held_once_adaptation_is_off(make):
    h = make()
    h.at = {6: [tries(CENTRE, "centre"), sends(OFF)]}
    h.go()
    assert len(logged(h, "answer")) == 1
    assert logged(h, "verdict") == logged(h, "round") == []


def test_an_answer_to_a_question_for_another_goal_is_not_tried_for_the_present_one(make):
    author = AskedAuthor()
    h = make(author=author)
    h.at = {
        2: [sends(Ask(kind="ask", reason="stuck"))],
        4: [sends(TO_THE_RIGHT)],
        6: [lambda h: author.answers(CENTRE)],
    }
    h.go()
    assert logged(h, "answer") == []
    # The new goal's own question follows.
    asked = [description for _, description in author.asked]
    assert (len(asked), asked[1]) == (2, "go right")


def changes_its_mind(make, directory, kill=None):
    """A run in which another goal is set while the winner for the one before waits for a yes."""
    author = AskedAuthor()
    h = make(
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


def test_another_goal_ends_what_waits_for_a_yes_in_every_life(make, monkeypatch, tmp_path):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (2_000, 2_000))
    alone = changes_its_mind(make, tmp_path / "alone")
    asked_about = []
    alone.at[11] = [lambda h: asked_about.append(h.run.adaptation.waiting.names)]
    alone.go()
    with pytest.raises(Killed):
        changes_its_mind(make, tmp_path / "killed", kill=14).go()
    killed = changes_its_mind(make, tmp_path / "killed")
    killed.go()
    assert asked_about == [("written",)]
    for h in (alone, killed):
        assert h.run.adaptation.waiting is None
        assert h.run._adapter.policies.proposed == {}
        assert [e.outcome for e in h.run.adaptation.rewards if e.name == "written"] == ["lost"]
    assert killed.digest() == alone.digest()


LAZY = "def reward(state, action):\n    return 1.0 - 0.01 * np.sum(np.square(action), axis=1)\n"


def fails_on_demand(monkeypatch, *sources):
    """Return a list: while there is anything in it, LAZY, or such programs, miss deadlines."""
    evaluate, failing = rewards.evaluate_guarded, []

    def miss(program, *args):
        if failing and program.source in (sources or (LAZY,)):
            raise SandboxError("deadline", "it took too long")
        return evaluate(program, *args)

    monkeypatch.setattr(rewards, "evaluate_guarded", miss)
    return failing


def test_a_control_group_that_fails_ends_the_adaptation_not_the_run(make, monkeypatch):
    h = make(total_steps=40 * STEPS, reward_source=LAZY)
    h.at = {6: [tries(CENTRE, "centre")]}
    failing = fails_on_demand(monkeypatch)
    in_the_trial(h, 2, lambda h: failing.append(1))
    assert h.go() == "finished"
    (kept,) = logged(h, "kept")
    assert kept["why"].startswith("nothing is changed: the control group failed: ")
    assert kept["why"] in said(h)
    assert h.run.adaptation.proposal is None
    # No further round is held, and the steps of the first one count.
    (held,) = logged(h, "round")
    assert held["results"]["control"] is None
    assert h.result()["env_steps"] > h.branch.updates * STEPS
    # The run itself goes on by the task's own reward.
    assert h.branch.reward.id == "task"


def test_groups_that_cannot_be_had_end_the_adaptation_not_the_run(make):
    h = make()

    def refuse(*_args, **_options):
        raise FleetRefused("too_many_envs", "there is no room for 16 environments")

    h.at = {6: [tries(CENTRE, "centre"), lambda h: setattr(h, "make_client", refuse)]}
    h.at[7] = [lambda h: setattr(h, "make_client", ToyClient)]
    assert h.go() == "finished"
    (kept,) = logged(h, "kept")
    assert kept["why"] == "nothing is changed: there is no room for 16 environments"
    assert h.branch.updates == 24


def test_the_first_point_after_a_trial_is_in_the_units_of_those_that_follow(make):
    # Whoever wins, nothing is adopted without a yes.
    h = make(adapt="approve", total_steps=40 * STEPS, reward_source=LAZY)
    points = []
    conclude = h.run._adapter._conclude

    def concluded(*args):
        conclude(*args)
        points.extend(h.run.adaptation.points)

    h.run._adapter._conclude = concluded
    h.at = {6: [tries(CENTRE, "centre")]}
    h.go()
    assert logged(h, "adopted") == []
    (point,) = points
    assert point.reward_id == h.branch.reward.id
    # LAZY pays 1 a step at most.
    assert all(r <= n for r, n in zip(point.reward_return, point.length, strict=True))
    assert point.reward_return != point.task_return
    assert point.value_loss > 0.0


def adopts_what_fails(make, monkeypatch, directory, kill=None):
    """A run that adopts LAZY, which fails at its eighth update."""
    h = make(directory, checkpoint_every_updates=6)
    failing = fails_on_demand(monkeypatch)
    adopts = AdoptReward(kind="adopt_reward", reward=LAZY, force=True)
    h.at = {
        4: [lambda h: "adopt" in kinds(h) or h.send(adopts)],
        7: [lambda h: "set_reward" in kinds(h) or failing.append(1)],
        8: [lambda h: failing.clear()],
    }
    if kill is not None:
        h.at[kill] = [*h.at.get(kill, []), die]
    return h


@pytest.mark.parametrize("kill", [10, 13], ids=["before the checkpoint", "after it"])
def test_a_reward_that_fails_is_out_of_force_in_the_books_too(make, monkeypatch, tmp_path, kill):
    alone = adopts_what_fails(make, monkeypatch, tmp_path / "alone")
    alone.go()
    with pytest.raises(Killed):
        adopts_what_fails(make, monkeypatch, tmp_path / "killed", kill).go()
    killed = adopts_what_fails(make, monkeypatch, tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()
    for h in (alone, killed):
        assert h.branch.reward.id == h.run.adaptation_view.rewards().in_force == "task"
        failed = next(e for e in h.run.adaptation.rewards if e.source == LAZY)
        assert (failed.outcome, failed.reason) == ("failed", "it took too long")
        assert h.run.adaptation.baseline is None
        assert logged(h, "failed")[-1]["undone"] == failed.id
    assert killed.run.adaptation.rewards == alone.run.adaptation.rewards
    assert killed.run.adaptation.triggers == alone.run.adaptation.triggers


def adopts_twice(make, monkeypatch, directory, failing=(LAZY,), kill=None, **overrides):
    """A run that adopts CENTRE, which reads x, then LAZY, which reads nothing and fails."""
    h = make(directory, checkpoint_every_updates=6, **overrides)
    missing = fails_on_demand(monkeypatch, *failing)
    once = [AdoptReward(kind="adopt_reward", reward=s, force=True) for s in (CENTRE, LAZY)]
    h.at = {
        3: [lambda h: kinds(h).count("adopt") > 0 or h.send(once[0])],
        4: [lambda h: kinds(h).count("adopt") > 1 or h.send(once[1])],
        7: [lambda h: "set_reward" in kinds(h) or missing.append(1)],
        9: [lambda h: missing.clear()],
    }
    if kill is not None:
        h.at[kill] = [*h.at.get(kill, []), die]
    return h


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlapping"])
@pytest.mark.parametrize("kill", [10, 13], ids=["before the checkpoint", "after it"])
def test_a_reward_that_fails_gives_way_to_the_one_before_it(
    make, monkeypatch, tmp_path, kill, overlap
):
    options = {"ppo": {"learning_rate": 1e-2, "overlap": overlap}}
    alone = adopts_twice(make, monkeypatch, tmp_path / "alone", **options)
    alone.go()
    with pytest.raises(Killed):
        adopts_twice(make, monkeypatch, tmp_path / "killed", kill=kill, **options).go()
    killed = adopts_twice(make, monkeypatch, tmp_path / "killed", **options)
    killed.go()
    assert killed.digest() == alone.digest()
    for h in (alone, killed):
        centre = next(e for e in h.run.adaptation.rewards if e.source == CENTRE)
        lazy = next(e for e in h.run.adaptation.rewards if e.source == LAZY)
        assert (centre.outcome, lazy.outcome) == ("in_force", "failed")
        assert h.branch.reward.id == h.run.adaptation_view.rewards().in_force == centre.id
        (entry,) = [e for e in h.run_dir.journal() if e.kind == "set_reward"]
        assert (entry.update, entry.values["source"]) == (7, CENTRE)
        # The rollout that LAZY fails at is judged by CENTRE already.
        judged_by = [row["reward_id"] for row in h.metrics()]
        assert judged_by[6:8] == [lazy.id, centre.id]
        assert set(judged_by[7:]) == {centre.id}
        assert logged(h, "failed")[-1]["reward_id"] == centre.id


def test_where_the_one_before_fails_too_the_tasks_own_reward_takes_over(
    make, monkeypatch, tmp_path
):
    h = adopts_twice(make, monkeypatch, tmp_path / "run", failing=(LAZY, CENTRE))
    h.go()
    (entry,) = [e for e in h.run_dir.journal() if e.kind == "set_reward"]
    assert (entry.update, entry.values["source"]) == (7, None)
    assert h.branch.reward.id == h.run.adaptation_view.rewards().in_force == "task"


SET = SetReward(kind="set_reward", source=CENTRE)


def test_a_run_that_adapts_refuses_a_reward_that_goes_round_its_gate(make):
    h = make(total_steps=6 * STEPS)
    h.at = {2: [sends(SET)]}
    h.go()
    (refusal,) = h.answers
    assert "Use `websim rewards adopt FILE`" in str(refusal)
    assert "set_reward" not in kinds(h)
    assert h.branch.reward.id == "task"


def sets_while_off(make, directory, kill=None):
    """A run that adopts LAZY, is told not to adapt any more, and is given CENTRE."""
    h = make(directory, total_steps=12 * STEPS, checkpoint_every_updates=3)
    adopts = AdoptReward(kind="adopt_reward", reward=LAZY, force=True)
    h.at = {
        2: [lambda h: "adopt" in kinds(h) or h.send(adopts)],
        4: [lambda h: "adapt_mode" in kinds(h) or h.send(OFF)],
        5: [lambda h: "set_reward" in kinds(h) or h.send(SET)],
    }
    if kill is not None:
        h.at[kill] = [die]
    return h


@pytest.mark.parametrize("kill", [6, 8], ids=["before the checkpoint", "after it"])
def test_the_books_of_a_run_that_does_not_adapt_know_what_a_person_sets(make, tmp_path, kill):
    alone = sets_while_off(make, tmp_path / "alone")
    on_probation = []
    alone.at[5].insert(0, lambda h: on_probation.append(h.run.adaptation.baseline is not None))
    alone.go()
    assert on_probation == [True]
    with pytest.raises(Killed):
        sets_while_off(make, tmp_path / "killed", kill).go()
    killed = sets_while_off(make, tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()
    for h in (alone, killed):
        in_force = h.run.adaptation_view.rewards().in_force
        assert in_force == h.branch.reward.id
        entry = h.run.adaptation.entry(in_force)
        assert (entry.source, entry.outcome, entry.update) == (CENTRE, "in_force", 5)
        assert [e.outcome for e in h.run.adaptation.rewards if e.source == LAZY] == ["adopted"]
        # The loss of fitness under LAZY is not held against it.
        assert h.run.adaptation.baseline is None
    assert killed.run.adaptation.rewards == alone.run.adaptation.rewards


def test_the_trend_is_in_the_records_and_is_told_to_who_writes_rewards(make):
    """Asked by the clock at the sixth evaluation, of 192 steps each: a trend is made of six."""
    author = AskedAuthor()
    asked = []
    ask = author.ask
    author.ask = lambda path, body: (asked.append(body), ask(path, body))
    h = make(author=author, eval_every_updates=1, adapt_every_steps=6 * STEPS)
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
