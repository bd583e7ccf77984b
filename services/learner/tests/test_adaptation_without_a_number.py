"""Goals without a number: a person judges, and nothing else does. On the toy."""

from judging import AskedAuthor, tries
from staging import CENTRE, RIGHT, STEPS, logged, sends

from websim_learner import run as run_module
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.adaptation.signals import TriggerSettings, TriggerState
from websim_learner.adaptation.state import Candidate, Proposal
from websim_learner.adaptation.triggers import find_trigger
from websim_learner.control import Approve, Ask

EDGE = "def reward(state, action):\n    return 1.0 + np.abs(state.x)\n"


def approves(h):
    h.send(Approve(kind="approve", adaptation=h.run.adaptation.waiting.adaptation, name="edge"))


def sets_a_goal_without_a_number(h):
    h.run._adapter.set_goal("like a zombie", Goal(kind="none", description="like a zombie"), None)


def test_no_number_refuses_what_a_person_is_to_judge_or_takes_their_yes_back(learning, monkeypatch):
    """EDGE prefers what the task's fitness is against, and loses that."""
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400,))
    h = learning(total_steps=90 * STEPS, eval_every_updates=2)
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


def test_without_a_number_all_candidates_stay_for_a_person_to_choose_from(learning):
    h = learning(total_steps=60 * STEPS)
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


def test_whoever_writes_for_a_goal_without_a_number_is_told_of_no_fitness(learning):
    author = AskedAuthor()
    h = learning(author=author)
    h.at = {
        6: [sends(Ask(kind="ask", reason="stuck"))],
        7: [sets_a_goal_without_a_number],
        # Nobody waits for this any more: the goal's own question follows.
        8: [lambda h: author.answers(CENTRE)],
    }
    h.go()
    by_the_task, by_a_person = (body["feedback"] for _, body in author.asked[:2])
    assert [path for path, _ in author.asked[:2]] == ["/v1/rewards"] * 2
    assert "fitness" in by_the_task
    assert "fitness" in by_the_task["curves"]
    assert by_a_person["env_steps"] == 8 * STEPS
    assert not [name for name in {*by_a_person, *by_a_person["curves"]} if "fitness" in name]


def test_proposed_ranges_wait_for_the_one_who_judges(learning):
    h = learning(total_steps=20 * STEPS)
    proposal = Proposal(adaptation=9, candidates=(), ranges={"force": (0.5, 1.0)})
    h.at = {
        2: [sets_a_goal_without_a_number],
        6: [lambda h: h.run._adapter._take_candidates(proposal)],
    }
    h.go()
    assert h.run.adaptation.ranges == {}
    assert h.run.adaptation.waiting.ranges == {"force": (0.5, 1.0)}
