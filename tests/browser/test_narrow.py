"""On a narrow screen what is opened and answered lies within it; the run is made up."""

import pytest
from live_page import settle
from told_page import tell_page

pytestmark = pytest.mark.timeout(300)

REFUSAL = "the run is in the middle of a trial: what is trained stands still until its last round"


@pytest.mark.parametrize("button", ["Pause", "A quarter of real time"])
@pytest.mark.parametrize("refused", [False, True], ids=["done", "refused"])
def test_on_a_phone_an_answer_is_within_the_screen(open_alone, alone, button, refused):
    page = open_alone(width=390, height=844)
    tell_page(page, alone, "one").change(learner_error=None)
    if refused:
        answer = {"status": 409, "json": {"detail": REFUSAL}}
        page.route("**/api/v1/run/commands", lambda route: route.fulfill(**answer))
    page.locator(f".speed button[title^='{button}']").click()
    page.locator(".toast.failed" if refused else ".toast.done").wait_for()
    box = page.locator(".toast").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize("width", [600, 768, 860])
def test_on_a_tablet_a_drawer_fills_the_screen(open_alone, alone, width):
    page = open_alone(width=width, height=1024)
    tell_page(page, alone, "one")
    for key, name in {"g": "Goal", "r": "Rewards", "s": "Set-up", "f": "Fleet"}.items():
        page.keyboard.press(key)
        drawer = page.get_by_role("dialog", name=name)
        drawer.wait_for()
        settle(page)
        box = drawer.bounding_box()
        assert box["x"] == box["y"] == 0, name
        # As wide as the page is: it may have a scrollbar.
        assert box["width"] == page.evaluate("document.documentElement.clientWidth"), name
        page.keyboard.press("Escape")
        drawer.wait_for(state="detached")
