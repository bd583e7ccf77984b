"""Turns are fair, noisy blocks are repeated but not for ever, and the quietest attempt counts."""

import pytest
from interleave import Block, Plan, interleave, kept, rotated
from load import Reading, Usage, between
from subject import Count, NotMeasured


class Fake:
    def __init__(self, key, breaks_at=None):
        self.key = self.label = key
        self.num_envs = 4
        self.calls = []
        self._breaks_at = breaks_at

    def block(self, seconds):
        self.calls.append(seconds)
        if len(self.calls) == self._breaks_at:
            raise NotMeasured("it broke")
        return Count(100, seconds, 120)


def make_plan(**overrides):
    settings = {
        "rounds": 3,
        "block_s": 1.0,
        "short_block_s": 0.25,
        "warm_up_s": 0.5,
        "max_attempts": 3,
    }
    return Plan(**{**settings, **overrides})


def make_block(**overrides):
    settings = {
        "subject": "a",
        "round": 0,
        "attempt": 0,
        "env_steps": 100,
        "seconds": 1.0,
        "all_env_steps": 100,
        "cpu_s": 2.0,
        "foreign_share": 0.0,
    }
    return Block(**{**settings, **overrides})


def measuring(shares):
    """Measure with the foreign shares of a list in turn, then quietly."""
    left = list(shares)

    def measure(subject, seconds):
        share = left.pop(0) if left else 0.0
        return subject.block(seconds), Usage(seconds, 2 * seconds, share)

    return measure


def test_order_is_rotated():
    subjects = [Fake("a"), Fake("b"), Fake("c")]
    assert [s.key for s in rotated(subjects, 0)] == ["a", "b", "c"]
    assert [s.key for s in rotated(subjects, 1)] == ["b", "c", "a"]
    assert [s.key for s in rotated(subjects, 3)] == ["a", "b", "c"]


def test_every_subject_is_warmed_up_and_measured_once_a_round():
    subjects = [Fake("a"), Fake("b")]
    blocks, failed = interleave(subjects, make_plan(), measuring([]))
    assert failed == {}
    assert [(b.round, b.subject) for b in blocks] == [
        (0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b"),
    ]  # fmt: skip
    assert subjects[0].calls == [0.5, 1.0, 1.0, 1.0]
    assert blocks[0].all_env_steps == 120
    assert blocks[0].cpu_s == 2.0


def test_short_blocks_are_short():
    subjects = [Fake("a"), Fake("b")]
    interleave(subjects, make_plan(rounds=1), measuring([]), short=lambda s: s.key == "b")
    assert subjects[0].calls == [0.5, 1.0]
    assert subjects[1].calls == [0.5, 0.25]


def test_a_noisy_block_is_repeated_until_it_is_quiet():
    blocks, _ = interleave([Fake("a")], make_plan(rounds=1), measuring([0.5, 0.05]))
    assert [(b.attempt, b.quiet) for b in blocks] == [(0, False), (1, True)]


def test_repeats_are_bounded_and_end_when_time_is_up():
    blocks, _ = interleave([Fake("a")], make_plan(rounds=1), measuring([0.5] * 9))
    assert len(blocks) == 3
    blocks, _ = interleave(
        [Fake("a")], make_plan(rounds=1), measuring([0.5] * 9), may_repeat=lambda: False
    )
    assert len(blocks) == 1


@pytest.mark.parametrize("breaks_at", [1, 3])
def test_a_subject_that_breaks_leaves_the_others_alone(breaks_at):
    subjects = [Fake("a", breaks_at), Fake("b")]
    blocks, failed = interleave(subjects, make_plan(), measuring([]))
    assert failed == {"a": "it broke"}
    assert {b.subject for b in blocks} == {"b"}
    assert len(subjects[0].calls) == breaks_at
    assert len(blocks) == 3


def test_the_quietest_attempt_is_kept():
    noisy = make_block(foreign_share=0.6)
    better = make_block(foreign_share=0.2, attempt=1)
    worse = make_block(foreign_share=0.4, attempt=2)
    other = make_block(round=1)
    assert kept([noisy, better, worse, other]) == [better, other]


def test_foreign_share_is_what_is_not_ours():
    usage = between(Reading(10.0, 5.0, 100.0), Reading(12.0, 7.0, 103.0), cores=2)
    # 3 s of CPU time in 2 s on 2 cores, 2 of them ours.
    assert usage == Usage(wall_s=2.0, own_cpu_s=2.0, foreign_share=0.25)


def test_a_process_that_has_ended_makes_no_negative_time():
    usage = between(Reading(10.0, 5.0, 100.0), Reading(12.0, 4.0, 100.0), cores=2)
    assert usage.own_cpu_s == 0.0
    assert usage.foreign_share == 0.0
