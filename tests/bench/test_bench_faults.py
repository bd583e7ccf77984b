"""From blocks, a run's log and two accounts to the figures of `--only faults` and `whole`."""

from contextlib import closing
from itertools import islice

import pytest
from faults import UNCAPPED, Questions, accounts_of, order, questions_of, share_slower
from whole_adaptations import Decided, decided_of

# The bench has put the helpers of reward-gen's tests into the path.
from fake_messages_api import FakeMessagesApi, hang, message  # isort: skip

from websim_reward_gen.ledger import Ledger


def row(adaptation, kind, **values):
    return {"adaptation": adaptation, "kind": kind, "values": values}


def exchange(adaptation, *kinds):
    return row(adaptation, "exchange", failures=[{"kind": kind} for kind in kinds])


def answer(adaptation, *origins):
    return row(adaptation, "answer", candidates=[{"origin": origin} for origin in origins])


def test_blocks_take_turns_and_neither_of_a_pair_is_always_first():
    assert list(islice(order(), 9)) == [
        *("faults", "sound", "sound", "faults"),
        *("faults", "sound", "sound", "faults", "quiet"),
    ]


def test_the_loss_is_that_of_pairs():
    told = share_slower([1.0, 2.0, 1.0, 1.0], [0.9, 2.0, 1.1, 1.3])

    # -0.1, 0, 0.1 and 0.3; a quarter lies a quarter of the way beyond the first.
    assert told["median"] == 0.05
    assert told["quartiles"] == [-0.075, 0.25]
    assert told["range"] == told["median_95"] == [-0.1, 0.3]


def test_of_100_pairs_the_medians_interval_leaves_out_40_on_either_side():
    told = share_slower([1.0] * 100, [1.0 + each / 100 for each in range(100)])

    assert told["median_95"] == [0.4, 0.59]


def test_questions_are_told_apart_by_whom_they_were_put_to():
    log = [
        *(exchange(1, "refusal"), answer(1, "library")),
        *(exchange(2), answer(2, "claude", "claude")),
        *(exchange(3, "rate"), answer(3)),
        *(exchange(4, "timeout"), answer(4, "library")),
    ]

    told = questions_of(log, [False, True, True, True])

    assert told == Questions(3, 2, {"claude": 1, "library": 1}, {"rate": 1, "timeout": 1})
    with pytest.raises(ValueError, match="longer"):
        questions_of(log, [True] * 5)


def test_an_adaptation_is_whole_when_a_trial_has_decided_it():
    log = [
        *(row(1, "question"), exchange(1, "refusal"), answer(1, "library"), row(1, "decision")),
        *(row(2, "question"), exchange(2), answer(2, "claude"), row(2, "round")),
        *(row(3, "question"), exchange(3, "rate", "rate"), answer(3, "claude"), row(3, "decision")),
        *(row(4, "question"), exchange(4), row(4, "unanswered")),
    ]

    told = decided_of(log)

    assert told == Decided(4, 2, {"library": 1, "claude": 1}, {"refusal": 1, "rate": 2})


@pytest.mark.parametrize(("set_aside", "agree"), [(4900, True), (4899, False)])
def test_the_ledger_agrees_when_it_holds_all_that_was_billed(tmp_path, set_aside, agree):
    with closing(Ledger(tmp_path / "ledger", UNCAPPED)) as ledger:
        ledger.book(ledger.reserve("run", 10, 9000), 4000, 900, 5)
        ledger.reserve("run", 10, set_aside)
    with closing(FakeMessagesApi()) as claude:
        claude.billed, claude.requests = [message("told"), hang()], [{}, {}]

        told = accounts_of(claude, tmp_path / "ledger")

    assert told["billed"] == {"attempts": 2, "input": 4000, "output": 900, "untold": 4900}
    assert told["booked"] == {"attempts": 2, "input": 4000, "output": 900, "set_aside": set_aside}
    assert told["agree"] is agree
