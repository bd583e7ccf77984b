"""Clips of a trial's contenders are played side by side, for a person to judge by eye."""

import base64
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
from live_page import picture, serve_dashboard, settle, wait_for
from playwright.sync_api import Page
from reach import axe_findings, not_reached_by_tab, scrolls_sideways

pytestmark = pytest.mark.timeout(120)

CONTENDERS = ["control", "stiff", "loose"]
FRAMES = 61
FIGURE = {
    "plane": "xz", "k": 2, "bones": [[0, 1]], "bone_radii_m": [0.05], "scale_m": 0.001,
    "view_m": [-1.0, 0.0, 1.0, 1.5], "ground_z_m": 0.0,
}  # fmt: skip
SENTENCE = "No number says who is better: a person chooses."


def clip(lean_m: float, speed: float, frames: int = FRAMES, episode_s: float = 50.0) -> dict:
    """A stick that leans to and fro once a second, and runs at so many m/s."""
    time_s = 0.05 * np.arange(frames)
    points = np.zeros((frames, 2, 2), "<i2")
    points[:, 1, 0] = 1000 * lean_m * np.sin(2 * np.pi * time_s)
    points[:, 1, 1] = 1000
    root_x = (speed * time_s).astype("<f4")
    told = {"episode": "median of 20", "episode_s": episode_s, "frame_s": 0.05}
    arrays = {"root_x": root_x, "points": points}
    return told | {k: base64.b64encode(v.tobytes()).decode() for k, v in arrays.items()}


CLIPS = {
    "task": "Stick-v0",
    "figure": FIGURE,
    "clips": {
        "control": clip(0.1, 1.0),
        "stiff": clip(0.0, 2.0),
        "loose": clip(0.7, 0.5, frames=21, episode_s=1.0),
    },
}


def log_rows() -> list[dict]:
    """A trial for a goal without a number, of which a person is to choose."""
    names = CONTENDERS[1:]
    candidates = [{"name": n, "source": "", "origin": "library", "hypothesis": ""} for n in names]
    results = {name: {"fitness": [1.0]} for name in CONTENDERS}
    told = [
        ("goal", 0, {"description": "walk like a zombie", "kind": "none"}),
        ("answer", 1, {"candidates": candidates}),
        ("round", 1, {"round": 1, "results": results, "stay": names}),
        ("decision", 1, {"decision": {"sentence": SENTENCE, "winner": None, "promote": False}}),
        ("waiting", 1, {"sentence": SENTENCE}),
    ]
    return [
        {"n": n, "update": 0, "env_steps": 0, "adaptation": number, "kind": kind, "values": values}
        for n, (kind, number, values) in enumerate(told, 1)
    ]


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory) -> Iterator[str]:
    """The address of a dashboard without anybody behind it."""
    nobody = ("--learner", "http://127.0.0.1:9", "--orchestrator", "http://127.0.0.1:9")
    place = tmp_path_factory.mktemp("clips")
    with serve_dashboard(place, *nobody, "--telemetry", "tcp://127.0.0.1:9") as url:
        yield url


@pytest.fixture
def open_clips(open_alone: Callable[..., Page], dashboard: str) -> Callable[..., Page]:
    """Open the candidates on a page whose learner has such a trial and such clips."""
    waiting = {"adaptation": 1, "what": "reward", "sentence": SENTENCE, "names": CONTENDERS[1:]}

    def make(url: str, clips: dict, **options: object) -> Page:
        page = open_alone(**options)
        page.route("**/api/v1/adaptations?after=*", _answer(log_rows()))
        page.route("**/api/v1/adaptations/1/clips", _answer(clips))
        page.route("**/api/v1/goal", _answer(_goal(waiting)))
        page.goto(url)
        page.keyboard.press("r")
        page.get_by_role("tab", name="Candidates").click()
        page.get_by_label("Candidate stiff", exact=True).wait_for()
        return page

    return partial(make, dashboard)


def _answer(body):
    return lambda route: route.fulfill(json=body)


def _goal(waiting: dict) -> dict:
    return {
        "goal": {"kind": "none"}, "mode": "approve", "reached": False, "pending": [waiting],
        "adapting": "", "banner": "", "difficulty": 0.0, "knobs": {},
    }  # fmt: skip


def canvas(name: str) -> str:
    return f'.reels canvas[aria-label^="{name}:"]'


def shown(page: Page) -> list[str]:
    return [picture(page, canvas(name)) for name in CONTENDERS]


def widths(page: Page) -> list[float]:
    """How wide each figure is above the ground, as a share of its picture, whatever its colour."""
    return page.evaluate(
        """(selectors) => selectors.map((selector) => {
            const canvas = document.querySelector(selector), {width, height} = canvas;
            const {data} = canvas.getContext('2d').getImageData(0, 0, width, 0.8 * height);
            const pixels = new Uint32Array(data.buffer), across = [];
            pixels.forEach((pixel, at) => pixel !== pixels[0] && across.push(at % width));
            return (Math.max(...across) - Math.min(...across)) / width;
        })""",
        [canvas(name) for name in CONTENDERS],
    )


def test_clips_of_all_contenders_move(open_clips):
    page = open_clips(CLIPS)
    page.locator(".reels canvas").nth(2).wait_for()
    before = shown(page)
    wait_for(lambda: all(a != b for a, b in zip(before, shown(page), strict=True)), "they move")


def test_who_moves_otherwise_is_seen_to_do_so(open_clips):
    page = open_clips(CLIPS)
    time = page.get_by_label("Time within the clips, s")
    time.fill("0")
    control, stiff, loose = widths(page)
    assert max(control, stiff, loose) - min(control, stiff, loose) < 0.02, "all begin upright"
    time.fill("0.25")
    leaning = widths(page)
    assert abs(leaning[1] - stiff) < 0.02
    assert stiff + 0.02 < leaning[0] < leaning[2] - 0.1


def test_they_are_stopped_and_moved_by_the_keyboard_and_say_where_they_are(open_clips):
    page = open_clips(CLIPS)
    button = page.get_by_role("button", name="Pause the clips")
    button.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play the clips").wait_for()
    before = shown(page)
    page.wait_for_timeout(300)
    assert shown(page) == before
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    said = page.locator(".reels .numbers")
    assert said.all_inner_texts() == [
        "3.0 s · 3.0 m",
        "3.0 s · 6.0 m",
        "ended after 1.00 s · 0.5 m",
    ]
    page.keyboard.press("Home")
    assert said.all_inner_texts() == ["0.0 s · 0.0 m"] * 3


def test_who_asks_for_less_motion_sees_them_stand_until_they_are_started(open_clips):
    page = open_clips(CLIPS, reduced_motion="reduce")
    button = page.get_by_role("button", name="Play the clips")
    button.wait_for()
    before = shown(page)
    page.wait_for_timeout(300)
    assert shown(page) == before
    button.press("Enter")
    wait_for(lambda: shown(page) != before, "they move")


def test_the_one_that_is_chosen_by_its_clip_is_approved(open_clips):
    page = open_clips(CLIPS)
    commands = []

    def obey(route):
        commands.append(route.request.post_data_json)
        route.fulfill(json={"kind": "approve", "update": 7, "env_steps": 7000, "detail": ""})

    page.route("**/api/v1/run/commands", obey)
    page.get_by_role("button", name="Choose loose").click()
    answer = page.get_by_role("dialog").get_by_label("Waits for your answer")
    assert answer.get_by_label("Candidate").input_value() == "loose"
    assert page.get_by_role("button", name="Choose control").count() == 0
    answer.get_by_role("button", name="Approve").click()
    answer.get_by_text("✓ Approved at update 7").wait_for()
    assert commands == [{"kind": "approve", "adaptation": 1, "name": "loose"}]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_everybody_can_use_the_candidates(open_clips, scheme):
    page = open_clips(CLIPS, color_scheme=scheme)
    page.locator(".reels canvas").nth(2).wait_for()
    settle(page)
    assert axe_findings(page) == []
    assert not_reached_by_tab(page, ".drawer") == []


def test_on_a_phone_nothing_of_them_has_to_be_moved_sideways(open_clips):
    page = open_clips(CLIPS, width=390, height=844)
    page.locator(".reels canvas").nth(2).wait_for()
    settle(page)
    assert scrolls_sideways(page, ".drawer") == []


@pytest.mark.parametrize(
    "clips",
    [
        {"task": "", "figure": None, "clips": {}},
        CLIPS | {"clips": {"control": clip(0.0, 1.0) | {"points": "AAAA"}}},
    ],
)
def test_where_there_are_no_clips_or_broken_ones_nothing_is_shown(open_clips, clips):
    page = open_clips(clips)
    page.wait_for_timeout(300)
    assert page.locator(".clips").count() == 0
