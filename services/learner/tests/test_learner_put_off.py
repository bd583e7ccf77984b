"""Who waits for another reward waits for no evaluation: it is made up for, in every life."""

import pytest
from adapting_toy import CENTRE
from staging import STEPS, Killed, die, kinds, unless_done

from websim_learner.adaptation import adapter
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import AdoptReward, Approve, Rollback, SetKnobs, SetReward
from websim_learner.journal import REPLAYED
from websim_learner.records import EvaluationRecord

EVERY = 4
"""Updates between two evaluations."""

ADOPT = AdoptReward(kind="adopt_reward", reward=CENTRE, force=True)


ADOPT_ANOTHER = AdoptReward(kind="adopt_reward", reward=f"{CENTRE}    # again\n", force=True)


def evaluated(h):
    """Return the updates after which a run was evaluated whole, but for its end."""
    records = [each for each in h.run.stream.after(0, 10_000) if isinstance(each, EvaluationRecord)]
    return [each.update for each in records[:-1] if each.episodes > 10]


def in_evaluation(at, *commands):
    """Send commands in the midst of the evaluation of so many updates, unless a life has before."""

    def prepare(h):
        examiner = h.run._adapter.examiner
        examine = examiner.examine

        def watched(branch, *args, put_off=lambda: False, **options):
            steps = []

            def asked():
                steps.append(1)
                if len(steps) == 3 and h.branch.updates == at:
                    for command in commands:
                        unless_done(command)(h)
                    h.run._trainer.orders.obey()
                return put_off()

            return examine(branch, *args, put_off=asked, **options)

        examiner.examine = watched
        return h

    return prepare


@pytest.fixture
def make(adapting):
    def build(directory=None, **overrides):
        own = {"total_steps": 18 * STEPS, "eval_episodes": 12, "eval_every_updates": EVERY}
        return adapting(directory, **{**own, **overrides})

    return build


def test_an_evaluation_that_nobody_waits_behind_is_held_to_its_end(make):
    h = in_evaluation(8, SetKnobs(kind="set_knobs", knobs={"force": 0.5}))(make())
    h.go()
    assert evaluated(h) == [4, 8, 12, 16]
    assert "put_off" not in kinds(h)


def test_an_adoption_takes_effect_at_once_and_the_evaluation_is_made_up_for(make):
    h = in_evaluation(8, ADOPT)(make())
    h.go()
    (adopted,) = (e.update for e in h.run_dir.journal() if e.kind == "adopt")
    assert (adopted, h.answers[0].update) == (8, 8)
    assert evaluated(h) == [4, 9, 12, 16]
    assert replay_decisions(h.run_dir.path) == 0


@pytest.mark.parametrize(
    "command", [Rollback(kind="rollback"), SetReward(kind="set_reward", source=CENTRE),
                Approve(kind="approve", adaptation=3)],
)  # fmt: skip
def test_what_can_only_be_refused_puts_nothing_off(make, command):
    """Nothing was adopted, the run adapts, and nothing waits for a yes."""
    h = in_evaluation(8, command)(make())
    h.go()
    assert evaluated(h) == [4, 8, 12, 16]


@pytest.mark.parametrize(
    ("command", "afterwards"), [(ADOPT_ANOTHER, [(10, 10)]), (Rollback(kind="rollback"), [])]
)
def test_a_look_that_is_put_off_is_made_up_for_by_a_look_as_long_as_there_is_probation(
    make, monkeypatch, command, afterwards
):
    # At every other update after an adoption, by ten of twelve episodes.
    monkeypatch.setattr(adapter, "looks_due", lambda steps, *, doubtful: steps // (2 * STEPS))
    h = in_evaluation(9, command)(make())
    h.at = {5: [unless_done(ADOPT)]}
    h.go()
    records = [e for e in h.run.stream.after(0, 10_000) if isinstance(e, EvaluationRecord)]
    seen = [(each.update, each.episodes) for each in records]
    assert [each for each in seen if each[0] in (7, 8)] == [(7, 10), (8, 12)]
    assert [each for each in seen if each[0] in (9, 10)] == afterwards
    assert kinds(h).count("adopt") == 1 + (command is ADOPT_ANOTHER)
    assert kinds(h).count("put_off") == 1
    assert replay_decisions(h.run_dir.path) == 0


def test_what_the_incumbent_is_worth_is_found_out_first_where_nobody_knows(make):
    h = in_evaluation(4, ADOPT)(make())
    h.go()
    assert evaluated(h)[0] == 4
    assert "put_off" not in kinds(h)


def test_a_run_without_adaptation_takes_a_reward_at_once_too(make):
    h = in_evaluation(4, SetReward(kind="set_reward", source=CENTRE))(make(adapt="off"))
    h.go()
    assert evaluated(h) == [5, 8, 12, 16]


def test_an_evaluation_is_put_off_once_not_for_ever(make):
    """Whoever sends commands all the time does not leave a run without evaluations."""
    h = make(adapt="off")
    in_evaluation(4, SetReward(kind="set_reward", source=CENTRE))(h)
    in_evaluation(5, SetReward(kind="set_reward", source=None))(h)
    h.go()
    assert evaluated(h) == [5, 8, 12, 16]
    assert h.branch.reward.id == "task"


@pytest.mark.parametrize(("killed_at", "saved_every"), [(9, 3), (10, 9), (14, 20)])
def test_a_run_that_is_killed_afterwards_ends_alike(make, tmp_path, killed_at, saved_every):
    """Killed before it is made up for and after, from a checkpoint before, between and after."""
    alone = in_evaluation(8, ADOPT)(make())
    alone.at = {11: [unless_done(Rollback(kind="rollback"))]}
    alone.go()

    def life(*more):
        h = make(tmp_path / "killed", checkpoint_every_updates=saved_every)
        h.at = {11: [unless_done(Rollback(kind="rollback"))], killed_at: list(more)}
        return in_evaluation(8, ADOPT)(h)

    with pytest.raises(Killed):
        life(die).go()
    again = life()
    again.go()
    assert kinds(again).count("put_off") == 1
    assert again.digest() == alone.digest()
    assert evaluated(again)[-2:] == evaluated(alone)[-2:] == [12, 16]


def test_a_life_that_replays_a_journal_puts_off_what_was_put_off():
    assert "put_off" in REPLAYED
