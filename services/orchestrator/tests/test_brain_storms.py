"""In storms no answer changes, no step is skipped without need, and nothing gets stuck."""

import pytest
from simulated_fleet import Storm

from websim.wire import lifecycle


@pytest.mark.parametrize("seed", range(25))
def test_no_storm_changes_an_answer_or_skips_a_step(seed):
    storm = Storm(seed)
    for fault_chance in (0.002, 0.01, 0.05):
        storm.blow(5_000, fault_chance)
        storm.calm_down()
    storm.check()
    assert storm.skipped == []


@pytest.mark.parametrize("seed", range(10))
def test_steps_that_end_their_workers_are_skipped_after_three_and_nothing_else_is(seed):
    poison = {(0, 7), (0, 23), (0, 40)}
    storm = Storm(seed, poison)
    while min(storm.ts) < 45:
        storm.blow(100, 0.0)
        assert storm.now_s < 1_000.0
    storm.check()
    assert storm.skipped == sorted(poison)
    lost = storm.brain.fleet.counters["workers_lost"]
    assert lost == len(poison) * lifecycle.MAX_DEATHS_AT_STEP


@pytest.mark.parametrize("seed", range(10))
def test_in_a_storm_they_are_skipped_too_and_nothing_else_is(seed):
    poison = {(0, 7), (3, 23)}
    storm = Storm(seed, poison)
    while min(storm.ts) < 30:
        storm.blow(100, 0.01)
        assert storm.now_s < 1_000.0
    storm.calm_down()
    storm.check()
    assert sorted(storm.skipped) == sorted(poison)


@pytest.mark.parametrize("seed", range(20))
def test_no_restart_of_the_orchestrator_changes_an_answer(seed):
    storm = Storm(seed)
    for _ in range(10):
        storm.blow(storm.draw.randrange(500), 0.0)
        storm.restart_orchestrator()
    storm.calm_down()
    storm.check()
