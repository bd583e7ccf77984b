"""The checker itself: it sees whatever can be wrong with a ledger."""

import pytest
from ledger import Ledger, drive, problems


def make_ledger(rows):
    return Ledger({shard: list(answers) for shard, answers in rows.items()})


RIGHT = {0: [(1, b"a"), (2, b"b"), (3, b"c")], 1: [(1, b"x"), (2, b"y")]}


def test_an_exact_ledger_has_no_problems():
    assert problems(make_ledger(RIGHT), make_ledger(RIGHT)) == []


@pytest.mark.parametrize(
    ("shard", "answers", "problem"),
    [
        (0, [(1, b"a"), (3, b"c")], "shard 0: t 3 where 2 is due"),
        (0, [(1, b"a"), (2, b"b"), (2, b"b")], "shard 0: t 2 where 3 is due"),
        (0, [(2, b"b"), (1, b"a"), (3, b"c")], "shard 0: t 2 where 1 is due"),
        (0, [(1, b"a"), (2, b"?"), (3, b"c")], "shard 0: the answer to t 2 has other bits"),
        (1, [(1, b"x")], "shard 1: 1 answers, not 2"),
        (1, [(1, b"x"), (2, b"y"), (3, b"z")], "shard 1: 3 answers, not 2"),
    ],
)
def test_gaps_doubles_disorder_and_other_bits_are_seen(shard, answers, problem):
    assert problem in problems(make_ledger(RIGHT | {shard: answers}), make_ledger(RIGHT))


def test_a_missing_shard_is_seen():
    assert problems(make_ledger({0: RIGHT[0]}), make_ledger(RIGHT)) == ["shards [0], not [0, 1]"]


def test_books_of_equal_runs_are_equal_and_of_other_seeds_are_not(peace):
    first, second, other = (
        drive(peace.client_address, 60, num_envs=64, seed=seed) for seed in (3, 3, 4)
    )
    assert problems(first, second) == []
    assert first.episodes > 0
    assert len(problems(other, first)) == len(first.rows)
    assert first.env_steps == 64 * 59
