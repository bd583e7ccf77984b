"""One sentence says what training waits for; the numbers in it are those it was given."""

import pytest
from dashboard_samples import make_worker

from websim_dashboard.bottleneck import describe_bottleneck
from websim_dashboard.messages import TimeSplit, Worker


def describe(busy=None, workers=2, **shares):
    fleet = [Worker.model_validate(make_worker(n)) for n in range(workers)]
    return describe_bottleneck(TimeSplit(**shares), fleet, busy)


@pytest.mark.parametrize(
    ("shares", "busy", "said"),
    [
        ({"physics": 0.7, "update": 0.3}, 0.95, ("70%", "more than 2 sim workers")),
        ({"physics": 0.7, "update": 0.3}, None, ("70%", "more than 2 sim workers")),
        ({"physics": 0.7, "update": 0.3}, 0.4, ("70%", "only 40%", "cores are short")),
        ({"physics": 0.2, "update": 0.8}, 0.9, ("Learning takes 80%", "would not help")),
        ({"inference": 0.6, "update": 0.4}, 0.9, ("Choosing actions takes 60%",)),
        ({"evaluation": 0.9, "update": 0.1}, 0.9, ("Evaluation takes 90%", "EVAL_EVERY_STEPS")),
        ({"physics": 0.4, "update": 0.35, "inference": 0.25}, 0.9, ("learning 35%", "policy 25%")),
    ],
)
def test_the_sentence_names_what_takes_the_time(shares, busy, said):
    sentence = describe(busy, **shares)
    assert all(each in sentence for each in said), sentence
    assert sentence.endswith(".")


def test_nothing_is_said_before_anything_is_known():
    assert describe() == ""


def test_one_worker_is_one():
    assert "more than 1 sim worker would" in describe(physics=0.9, workers=1)
    assert "1 sim worker steps only 38% of it" in describe(busy=0.38, physics=0.9, workers=1)
