"""Ranges of knobs: those of a difficulty, and those that are refused."""

import itertools

import pytest

from websim.client import FleetError
from websim.client.knobs import as_pairs, as_ranges, read_knobs
from websim.service.errors import UserError
from websim.tasks.knobs import ranges_at, refuse_ranges
from websim.wire.messages import KnobInfo


def make_knob(**overrides) -> KnobInfo:
    facts = {
        "name": "mass",
        "nominal": 1.0,
        "low": 0.2,
        "high": 4.0,
        "hard_low": 0.5,
        "hard_high": 2.0,
        "unit": "x",
    }
    return KnobInfo(**{**facts, **overrides})


PUSH = make_knob(name="push", nominal=0.0, low=0.0, high=90.0, hard_low=0.0, hard_high=40.0)


@pytest.mark.parametrize(
    ("difficulty", "mass", "push"),
    [
        (0.0, (1.0, 1.0), (0.0, 0.0)),
        (0.5, (0.75, 1.5), (0.0, 20.0)),
        (1.0, (0.5, 2.0), (0.0, 40.0)),
    ],
)
def test_a_difficulty_is_a_range_between_nominal_and_hard(difficulty, mass, push):
    assert ranges_at([make_knob(), PUSH], difficulty) == {"mass": mass, "push": push}


@pytest.mark.parametrize("difficulty", [-0.1, 1.1, float("nan")])
def test_a_difficulty_is_from_0_to_1(difficulty):
    with pytest.raises(ValueError, match="not from 0 to 1"):
        ranges_at([make_knob()], difficulty)


def test_ranges_of_any_difficulty_are_allowed_and_grow():
    # Numbers that round badly, with the hard range as wide as is allowed.
    knob = make_knob(nominal=0.3, low=0.1, high=0.7, hard_low=0.1, hard_high=0.7)
    ranges = [ranges_at([knob], i / 997)["mass"] for i in range(998)]
    assert all(refuse_ranges([knob], {"mass": each}) is None for each in ranges)
    assert all(a[0] >= b[0] and a[1] <= b[1] for a, b in itertools.pairwise(ranges))


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ({"mess": (1.0, 1.0)}, "no knob 'mess'"),
        ({"mass": (0.1, 1.0)}, "[0.1, 1] is no range of the knob mass"),
        ({"mass": (1.0, 4.1)}, "is no range"),
        ({"mass": (2.0, 1.0)}, "is no range"),
        ({"mass": (float("nan"), 1.0)}, "is no range"),
        ({"mass": (1.0, float("inf"))}, "is no range"),
    ],
)
def test_what_is_no_range_is_refused(ranges, words):
    problem, remedy = refuse_ranges([make_knob()], ranges) or ("", "")
    assert words in problem
    assert remedy


def test_people_write_numbers_or_pairs():
    assert as_ranges([make_knob(), PUSH], {"mass": 2, "push": [0, 9]}) == {
        "mass": (2.0, 2.0),
        "push": (0.0, 9.0),
    }
    for wrong in ("heavy", (1.0, 2.0, 3.0), None):
        with pytest.raises(FleetError, match="is no range of the knob mass"):
            as_ranges([make_knob()], {"mass": wrong})
    with pytest.raises(FleetError, match=r"no knob 'mas'\. Did you mean 'mass'\?$"):
        as_ranges([make_knob()], {"mas": 1.0})


def test_knobs_are_read_as_they_are_typed():
    assert read_knobs(["gravity=0.7,1.3", "mass=1.2"]) == {
        "gravity": (0.7, 1.3),
        "mass": (1.2, 1.2),
    }
    assert read_knobs([]) == {}


@pytest.mark.parametrize(
    "pair",
    ["mass", "mass=", "=1", "mass=heavy", "mass=1,2,3", "mass=1,", "mass=nan",
     "mass=nan,1", "mass=1,inf"],
)  # fmt: skip
def test_what_is_typed_otherwise_is_refused_in_a_line(pair):
    with pytest.raises(UserError) as refusal:
        read_knobs(["gravity=1", pair])
    assert str(refusal.value) == (
        f"{pair} is no range of a knob. Write NAME=LOW,HIGH or NAME=VALUE."
    )


def test_ends_that_are_typed_the_wrong_way_round_are_told_so():
    with pytest.raises(UserError, match=r"^mass=2,1 has its low end above its high one\. Write"):
        read_knobs(["mass=2,1"])


def test_a_knob_is_named_once():
    with pytest.raises(UserError, match="the knob mass is named twice"):
        read_knobs(["mass=1", "gravity=1", "mass=1"])


def test_ranges_survive_being_typed():
    third = 1 / 3
    typed = as_pairs({"gravity": (third, 2.0), "mass": 1.2, "push": [0, 1e-300]})
    assert typed == ["gravity=0.3333333333333333,2.0", "mass=1.2", "push=0,1e-300"]
    assert read_knobs(typed) == {"gravity": (third, 2.0), "mass": (1.2, 1.2), "push": (0.0, 1e-300)}
