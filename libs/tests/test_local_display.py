import io

import pytest
from rich.console import Console

from websim.local.display import BarDisplay, PlainDisplay, short

STATUS = {
    "state": "running",
    "env_steps": 1_228_800,
    "total_steps": 3_000_000,
    "steps_per_s": 38_912.4,
    "return_mean": 2310.53,
}


def make_console(**overrides):
    return Console(file=io.StringIO(), **{"width": 80, **overrides})


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (950, "950"),
        (12_345, "12.3k"),
        (999_999, "1000k"),
        (3_000_000, "3.00M"),
        (123_456_789, "123M"),
        (1.25e9, "1.25G"),
    ],
)
def test_numbers_are_short(count, text):
    assert short(count) == text


def test_a_line_says_it_all_and_not_too_often():
    console = make_console()
    with PlainDisplay(console) as display:
        display.update({"state": "starting"})
        display.update(STATUS)
        display.update(STATUS)
        display.update({**STATUS, "state": "paused", "total_steps": None, "return_mean": None})

    assert console.file.getvalue().splitlines() == [
        "00:00  starting",
        "00:00  running  1.23M of 3.00M steps  38,912/s  return 2,310.5",
        "00:00  paused  1.23M steps  38,912/s",
    ]


def test_a_trial_is_seen_to_go_on():
    console = make_console()
    doing = "trial, round 1 of 2, 4,096 of at most 606,208 steps: control, direct"
    with PlainDisplay(console) as display:
        display.update({**STATUS, "state": "adapting", "adapting": doing})
    expected = "00:00  adapting  trial, round 1 of 2, 4,096 of at most 606,208 steps\n"
    assert console.file.getvalue() == expected


def test_the_bar_fits_a_terminal_and_leaves_nothing_behind():
    console = make_console(force_terminal=True, color_system=None)
    with BarDisplay(console) as display:
        display.update(STATUS)
        display._progress.refresh()
        display.note("[a note] with brackets")
    text = console.file.getvalue()

    assert "running" in text
    assert "1.23M of 3.00M steps 38,912/s return 2,310.5" in text
    assert "[a note] with brackets" in text
    assert text.endswith("\x1b[1A\x1b[2K") or text.rstrip("\r").endswith("\x1b[2K")
