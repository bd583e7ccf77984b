"""One environment in 3D."""

import time

from live_page import picture, stats

# WebGL's picture is gone after it is shown; in the frame of its drawing it can be read.
COLOURS = """() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => {
    const canvas = document.querySelector('.popup canvas');
    const flat = document.createElement('canvas');
    flat.width = canvas.width; flat.height = canvas.height;
    const context = flat.getContext('2d');
    context.drawImage(canvas, 0, 0);
    const data = context.getImageData(0, 0, flat.width, flat.height).data;
    const seen = new Set();
    let hash = 0;
    for (let i = 0; i < data.length; i += 4) {
        seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
        hash = (hash * 31 + data[i] + data[i + 1] * 7 + data[i + 2] * 13) | 0;
    }
    resolve({colours: seen.size, hash});
})))"""


def wait_for_robot(page):
    page.wait_for_selector(".popup .veil", state="detached")
    for _ in range(100):
        seen = page.evaluate(COLOURS)
        if seen["colours"] > 40:
            return seen
        page.wait_for_timeout(50)
    raise AssertionError(f"the pop-up shows nothing: {seen}")


def test_a_click_opens_it_moving_and_esc_gives_the_focus_back(open_page, record_property, heard):
    page = open_page()
    page.wait_for_timeout(2000)
    began_s = time.monotonic()
    page.locator(".grid canvas").click(position={"x": 100, "y": 100})
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    record_property("dialog_after_s", time.monotonic() - began_s)
    before = wait_for_robot(page)
    record_property("robot_after_s", time.monotonic() - began_s)
    page.wait_for_timeout(500)
    assert page.evaluate(COLOURS)["hash"] != before["hash"]
    assert "return so far" in dialog.inner_text()
    page.get_by_text("Reward of this step").wait_for()
    assert "reward_forward" in dialog.inner_text() or "forward" in dialog.inner_text()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    assert heard.errors == []


def test_by_keyboard_alone(open_page):
    page = open_page()
    page.keyboard.press("e")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("dialog").wait_for()
    name = page.get_by_role("dialog").get_attribute("aria-label")
    page.get_by_role("button", name="Next environment").click()
    assert page.get_by_role("dialog").get_attribute("aria-label") != name
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_dragging_turns_the_camera(open_page):
    page = open_page()
    page.locator(".grid canvas").click(position={"x": 200, "y": 200})
    wait_for_robot(page)
    # In a pause only the camera moves.
    page.get_by_role("dialog").get_by_label("follow").uncheck()
    box = page.locator(".popup canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = page.evaluate(COLOURS)["hash"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 40, steps=4)
    page.mouse.up()
    page.wait_for_timeout(200)
    assert page.evaluate(COLOURS)["hash"] != before


def test_twenty_openings_leave_no_graphics_context(open_page, heard):
    page = open_page()
    for i in range(20):
        page.locator(".grid canvas").click(position={"x": 60 + 20 * i, "y": 100})
        page.wait_for_selector(".popup .veil", state="detached")
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
    page.locator(".grid canvas").click(position={"x": 100, "y": 100})
    wait_for_robot(page)
    assert heard.errors == []
    assert stats(page)["jsErrors"] == 0
    assert picture(page)
