"""How often a policy is looked at after an adoption, and until when."""

from dataclasses import replace
from itertools import pairwise

import pytest
from msgspec.structs import replace as replaced
from staging import CENTRE, STEPS, Killed, die, unless_done

from websim_learner.adaptation import adapter, probation
from websim_learner.adaptation.guards import in_doubt
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.probation import (
    MAX_BLOCKS,
    adopted_at,
    falls_more,
    is_over,
    looks_due,
    with_update,
)
from websim_learner.adaptation.signals import TriggerSettings, TriggerState
from websim_learner.control import AdoptReward
from websim_learner.records import EvaluationRecord

BASELINE = EvalPoint(
    update=5,
    env_steps=40_000,
    fitness=(1.0,),
    reward_return=(1.0,),
    task_return=(1.0,),
    length=(10,),
    reward_id="task",
)


def test_looks_are_frequent_at_first_and_then_ever_rarer():
    assert [looks_due(steps) for steps in (-1, 0, 7_999, 8_000, 80_000)] == [0, 0, 0, 1, 10]
    due = [
        steps
        for steps in range(1_000, 301_000, 1_000)
        if looks_due(steps) > looks_due(steps - 1_000)
    ]
    gaps = [b - a for a, b in pairwise(due)]
    assert gaps[:9] == [8_000] * 9
    # A tenth of the time since the adoption.
    assert all(gap <= 0.11 * start + 1_000 for start, gap in zip(due[10:], gaps[10:], strict=False))
    assert gaps[-1] == max(gaps)
    assert len(due) == looks_due(300_000) == 23


def test_no_look_is_put_off_where_the_last_one_has_shown_what_may_be_a_loss():
    assert looks_due(200_000) == 19
    assert looks_due(200_000, doubtful=True) == 25
    assert looks_due(207_999, doubtful=True) == 25
    assert looks_due(208_000, doubtful=True) == 26


@pytest.mark.parametrize(
    ("fitness", "doubtful"),
    [
        # The mean before is 1; a tenth is what counts, whatever the spread.
        ((1.0, 0.7), True),
        ((1.0, 0.82), False),
        ((0.5, 1.5), False),
        ((-3.0, 3.0), True),
    ],
)
def test_a_look_that_shows_a_tenth_less_leaves_doubt(fitness, doubtful):
    settings, before = TriggerSettings(loss_share=0.1), point((1.0, 1.0))
    assert in_doubt([point(fitness)], before, settings) == doubtful
    # Only the last look counts, and none where a person judges.
    assert not in_doubt([point(fitness), point((1.0, 1.0))], before, settings)
    assert not in_doubt([point(fitness)], before, replaced(settings, by_fitness=False))


def test_nothing_that_was_not_looked_at_since_the_adoption_leaves_doubt():
    assert not in_doubt([], point((1.0, 1.0)), TriggerSettings())


@pytest.mark.parametrize(("steps_per_update", "looks"), [(500, 23), (4_000, 23), (100_000, 3)])
def test_looks_that_fall_due_in_one_update_are_one(steps_per_update, looks):
    ends = range(steps_per_update, 300_001, steps_per_update)
    assert sum(looks_due(end) > looks_due(end - steps_per_update) for end in ends) == looks


def test_probation_begins_at_the_adoption_and_ends_in_time():
    settings = TriggerSettings(probation_env_steps=100)
    by_hand, adopted = TriggerState(), TriggerState(adopted_env_steps=50_000)
    assert (adopted_at(BASELINE, by_hand), adopted_at(BASELINE, adopted)) == (40_000, 50_000)
    assert not is_over(BASELINE, by_hand, settings, 40_100)
    assert is_over(BASELINE, by_hand, settings, 40_101)
    assert not is_over(BASELINE, adopted, settings, 50_100)
    assert not is_over(None, adopted, settings, 10**9)


def point(fitness):
    return replaced(BASELINE, fitness=fitness)


def blocks_of(updates):
    """Return blocks of updates, each (terminations, env steps)."""
    blocks = []
    for terminations, env_steps in updates:
        blocks = with_update(blocks, terminations, env_steps)
    return blocks


def test_training_data_are_counted_in_blocks_of_eight_thousand_steps():
    small = [(1, 3_000), (2, 3_000), (0, 3_000), (4, 3_000)]
    assert blocks_of(small) == [(3, 9_000), (4, 3_000)]
    assert blocks_of([(1, 8_000), (2, 20_000)]) == [(1, 8_000), (2, 20_000)]
    many = blocks_of([(n, 8_000) for n in range(MAX_BLOCKS + 2)])
    assert (len(many), many[0], many[-1]) == (64, (2, 8_000), (65, 8_000))


USUAL = [(5, 8_000), (40, 8_000), (4, 8_000)]
"""Their median is 5 in 8,000 steps, whatever one of them was."""


@pytest.mark.parametrize(
    ("updates", "more"),
    [
        ([*USUAL, (10, 8_000)], True),
        ([*USUAL, (9, 8_000)], False),
        # Per env step: twice as many of them tell of nothing.
        ([*USUAL, (10, 16_000)], False),
        ([*USUAL, (20, 16_000)], True),
        # Not before the block is whole, and once.
        ([*USUAL, (10, 7_999)], False),
        ([*USUAL, (10, 8_000), (10, 1_000)], False),
        # Two blocks tell what is usual no better than chance does.
        ([*USUAL[:2], (80, 8_000)], False),
        # Where hardly an episode terminates a few do not count.
        ([(0, 8_000)] * 3 + [(7, 8_000)], False),
        ([(0, 8_000)] * 3 + [(8, 8_000)], True),
    ],
)
def test_terminations_that_double_call_for_a_look(updates, more):
    assert falls_more(blocks_of(updates)) == more


def evaluated_at(h):
    told = h.run.stream.after(0, 999)
    return [each.update for each in told if isinstance(each, EvaluationRecord)]


def test_a_policy_that_falls_in_training_is_looked_at_at_once_in_every_life(
    harness, monkeypatch, tmp_path
):
    monkeypatch.setattr(adapter, "looks_due", lambda steps, *, doubtful: 0)
    monkeypatch.setattr(probation, "LOOK_EVERY_STEPS", 2 * STEPS)

    def life(directory, kill=None):
        h = harness(
            directory, adapt="auto", total_steps=20 * STEPS, checkpoint_every_updates=13,
            eval_every_updates=100, eval_every_updates_adapting=100, client={"shard_envs": 12},
        )  # fmt: skip
        note = h.run._adapter.note_advance

        def with_falls(advance):
            note(replace(advance, terminations=6 if h.branch.updates in (14, 15) else 1))

        h.run._adapter.note_advance = with_falls
        adopt = AdoptReward(kind="adopt_reward", reward=CENTRE, force=True)
        h.at = {3: [unless_done(adopt)]}
        h.at |= {} if kill is None else {kill: [die]}
        return h

    alone = life(tmp_path / "alone")
    alone.go()
    # Two updates make a block: 14 and 15 see twelve episodes terminate, those before two each.
    assert evaluated_at(alone) == [15, 20]
    with pytest.raises(Killed):
        life(tmp_path / "killed", kill=14).go()
    again = life(tmp_path / "killed")
    again.go()
    assert evaluated_at(again) == [15, 20]
    assert again.run.adaptation.points == alone.run.adaptation.points
    assert again.digest() == alone.digest()


def test_a_look_that_shows_what_may_be_a_loss_gives_way_to_all_episodes(harness, monkeypatch):
    monkeypatch.setattr(adapter, "looks_due", lambda steps, *, doubtful: steps // (2 * STEPS))
    monkeypatch.setattr(adapter, "PROBATION_EPISODES", 2)
    asked = []

    def in_doubt(points, baseline, settings):
        asked.extend(points[-1:])
        return bool(points) and points[-1].update == 5 and len(points[-1].fitness) == 2

    monkeypatch.setattr(adapter, "in_doubt", in_doubt)
    h = harness(
        adapt="auto", total_steps=10 * STEPS, eval_every_updates=100,
        eval_every_updates_adapting=100, client={"shard_envs": 12},
    )  # fmt: skip
    h.at = {3: [unless_done(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))]}
    h.go()
    told = [each for each in h.run.stream.after(0, 999) if isinstance(each, EvaluationRecord)]
    assert [(each.update, each.episodes) for each in told] == [(5, 5), (7, 2), (9, 2), (10, 5)]
    look = next(point for point in asked if point.update == 5)
    kept = h.run.adaptation.points[0]
    assert (kept.update, len(kept.fitness), kept.whole) == (5, 5, False)
    # Its first episodes are those of the look, but for last bits: the same policy and starts.
    assert kept.fitness[:2] == pytest.approx(look.fitness, rel=1e-6)
