"""The books: on disk before anything is sent, whole after a crash, and never too low."""

import json

import pytest

from websim.service.errors import UserError
from websim_reward_gen.ledger import OverBudget
from websim_reward_gen.prices import NANO_USD


def spend(ledger, usd, run="r1"):
    reservation = ledger.reserve(run, int(usd * NANO_USD), 100)
    ledger.book(reservation, 60, 40, int(usd * NANO_USD))


def test_what_was_spent_survives_a_restart(open_ledger):
    first = open_ledger()
    spend(first, 1.5)
    first.close()

    again = open_ledger()

    assert again.of_run("r1").usd == 1.5
    assert again.of_run("r1").tokens == 100
    assert again.since_start().usd == 0.0


def test_an_attempt_whose_end_never_came_counts_with_its_worst_case(open_ledger):
    first = open_ledger()
    first.reserve("r1", 2 * NANO_USD, 100)
    first.close()

    assert open_ledger().of_run("r1").usd == 2.0


def test_an_attempt_that_was_not_billed_costs_nothing(open_ledger):
    ledger = open_ledger()

    ledger.book(ledger.reserve("r1", 2 * NANO_USD, 100), 0, 0, 0)

    assert (ledger.of_run("r1").usd, ledger.of_run("r1").attempts) == (0.0, 1)


@pytest.mark.parametrize("torn", [b'{"reserve": 9', b"\x00", b"{}"])
def test_half_a_line_is_what_a_crash_leaves(open_ledger, tmp_path, torn):
    first = open_ledger()
    spend(first, 1.0)
    first.close()
    with (tmp_path / "ledger.jsonl").open("ab") as file:
        file.write(torn)

    again = open_ledger()
    spend(again, 0.5)
    again.close()

    assert open_ledger().of_run("r1").usd == 1.5


RESERVED = '{"reserve": 1, "run": "r", "day": "2026-11-22", "nano_usd": %s, "tokens": 1}'


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        '{"book": 5}',
        "[]",
        '{"book": 7, "nano_usd": 1}',
        RESERVED % "1e400",
        RESERVED % "-5",
        RESERVED % ("9" * 400),
        "[" * 100_000,
    ],
    ids=["text", "half", "list", "unknown", "infinity", "negative", "endless", "deep"],
)
def test_a_damaged_line_is_named_and_not_skipped(open_ledger, tmp_path, line):
    (tmp_path / "ledger.jsonl").write_text(line + "\n")

    with pytest.raises(UserError, match="line 1 is damaged"):
        open_ledger()


def test_two_services_cannot_keep_the_same_books(open_ledger):
    open_ledger()

    with pytest.raises(UserError, match="in use by another"):
        open_ledger()


def test_books_that_cannot_be_written_are_said_to_be_so(tmp_path, open_ledger):
    (tmp_path / "file").write_text("")

    with pytest.raises(UserError, match="--ledger"):
        open_ledger("file/ledger.jsonl")


def test_the_day_has_a_cap_over_all_runs_and_a_new_day_begins_anew(open_ledger):
    days = ["2026-11-22"]
    ledger = open_ledger(today=lambda: days[-1], day_usd=1.0, run_usd=0.8)
    spend(ledger, 0.6, "r1")

    with pytest.raises(OverBudget, match="day 2026-11-22"):
        ledger.reserve("r2", NANO_USD // 2, 1)
    assert ledger.left_today_usd() == pytest.approx(0.4)
    days.append("2026-11-23")
    ledger.reserve("r2", NANO_USD // 2, 1)


def test_what_is_under_way_counts_against_the_cap(open_ledger):
    ledger = open_ledger(run_usd=1.0)
    ledger.reserve("r1", int(0.7 * NANO_USD), 1)

    with pytest.raises(OverBudget, match="cap of 1"):
        ledger.reserve("r1", int(0.4 * NANO_USD), 1)


@pytest.mark.parametrize("num_bytes", [0, 20])
def test_what_does_not_fit_on_the_disk_leaves_no_part(open_ledger, room_for, num_bytes):
    ledger = open_ledger()
    spend(ledger, 1.0)

    with room_for(num_bytes), pytest.raises(OSError, match="No space left"):
        ledger.reserve("r1", NANO_USD, 100)
    assert (ledger.of_run("r1").usd, ledger.of_run("r1").attempts) == (1.0, 1)
    spend(ledger, 0.5)
    ledger.close()

    assert open_ledger().of_run("r1").usd == 1.5


@pytest.mark.parametrize("restart", [False, True], ids=["going on", "restarted"])
def test_a_part_that_cannot_be_taken_back_does_not_spoil_the_next_line(
    open_ledger, room_for, restart
):
    ledger = open_ledger()
    spend(ledger, 1.0)

    with room_for(20, broken=True), pytest.raises(OSError, match="No space left"):
        ledger.reserve("r1", NANO_USD, 100)
    if restart:
        ledger.close()
        ledger = open_ledger()
    spend(ledger, 0.5)
    ledger.close()

    again = open_ledger()
    assert (again.of_run("r1").usd, again.of_run("r1").attempts) == (1.5, 2)


def test_nothing_is_sent_while_a_part_of_a_line_cannot_be_taken_back(open_ledger, room_for):
    ledger = open_ledger()
    with room_for(20, broken=True):
        with pytest.raises(OSError, match="No space left"):
            ledger.reserve("r1", NANO_USD, 100)
        with pytest.raises(OSError, match="Input/output error"):
            ledger.reserve("r1", NANO_USD, 100)
    ledger.close()

    assert open_ledger().of_run("r1").attempts == 0


def test_books_with_half_a_line_are_read_from_a_disk_that_cannot_be_changed(
    open_ledger, room_for, tmp_path
):
    first = open_ledger()
    spend(first, 1.0)
    first.close()
    with (tmp_path / "ledger.jsonl").open("ab") as file:
        file.write(b'{"reserve": 9')

    with room_for(0, broken=True):
        assert open_ledger().of_run("r1").usd == 1.0


def test_a_cost_that_cannot_be_written_down_counts_with_its_worst_case(open_ledger, room_for):
    ledger = open_ledger()
    reservation = ledger.reserve("r1", 2 * NANO_USD, 100)

    with room_for(20):
        ledger.book(reservation, 60, 40, NANO_USD)
    spend(ledger, 0.5)
    ledger.close()

    assert ledger.of_run("r1").usd == open_ledger().of_run("r1").usd == 2.5


def test_every_line_is_json_and_no_line_holds_more_than_it_must(open_ledger, tmp_path):
    spend(open_ledger(), 1.0)

    reserved, booked = map(json.loads, (tmp_path / "ledger.jsonl").read_text().splitlines())

    assert set(reserved) == {"reserve", "run", "day", "nano_usd", "tokens"}
    assert set(booked) == {"book", "input_tokens", "output_tokens", "nano_usd"}
