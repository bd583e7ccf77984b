"""The wheel: pause, speed, environments, task; each says when it has taken effect."""

import time

import pytest
from live_page import drawn, picture, stats, until, wait_for

pytestmark = pytest.mark.timeout(300)


def test_pause_by_key_and_by_button(open_page, record_property):
    page = open_page()
    began_s = time.monotonic()
    page.keyboard.press(" ")
    page.locator(".chip.state", has_text="paused").wait_for()
    record_property("paused_after_s", time.monotonic() - began_s)
    # Frames that were on their way arrive; then the picture stands still.
    page.wait_for_timeout(1000)
    page.mouse.move(5, 5)
    still = picture(page)
    page.wait_for_timeout(1500)
    assert picture(page) == still
    began_s = time.monotonic()
    page.get_by_role("button", name="Resume").click()
    page.locator(".chip.state", has_text="training").wait_for()
    record_property("resumed_after_s", time.monotonic() - began_s)
    wait_for(lambda: picture(page) != still, "the robots do not go on")


def test_real_time_is_slower_than_as_fast_as_it_goes(open_page):
    page = open_page()
    rate = """async () => {
        const read = () => fetch('api/v1/status').then(a => a.json());
        const before = await read();
        await new Promise(resolve => setTimeout(resolve, 3000));
        return (await read()).env_steps - before.env_steps;
    }"""
    page.get_by_role("button", name="¼").click()
    page.get_by_text("A quarter of real time since update").wait_for(timeout=60_000)
    slow = page.evaluate(rate)
    # 1024 environments of 0.008 s a step: 32,000 steps a second.
    assert slow < 3 * 32_000 * 1.5
    page.get_by_role("button", name="max", exact=True).click()
    page.get_by_text("As fast as the fleet can since update").wait_for(timeout=60_000)
    fastest = page.get_by_role("button", name="max", exact=True)
    assert fastest.get_attribute("aria-pressed") == "true"


def test_other_numbers_of_environments_and_another_task_without_reload(open_page, heard):
    page = open_page()
    page.evaluate("window.loadedOnce = true")
    page.keyboard.press("s")
    for count in (64, 1024, 256):
        page.get_by_label("Number").fill(str(count))
        block = page.locator(".block", has=page.get_by_role("heading", name="Environments"))
        block.get_by_role("button", name="Change").click()
        block.get_by_text(f"✓ {count:,} environments at update").wait_for(timeout=60_000)
        until(page, f"window.__websim.stats().drawnEnvs === {count}")
    block = page.locator(".block", has=page.get_by_role("heading", name="Task"))
    for task in ("HalfCheetah-v5", "Hopper-v5"):
        before = picture(page)
        block.get_by_label("Task").select_option(task)
        block.get_by_role("button", name="Change").click()
        page.locator(".brand .task", has_text=task).wait_for(timeout=60_000)
        wait_for(lambda: picture(page) != before, "another robot")  # noqa: B023
        drawn(page, 256)
    page.get_by_label("Number").fill("1024")
    envs = page.locator(".block", has=page.get_by_role("heading", name="Environments"))
    envs.get_by_role("button", name="Change").click()
    until(page, "window.__websim.stats().drawnEnvs === 1024", timeout=60_000)
    assert page.evaluate("window.loadedOnce") is True
    assert heard.errors == []
    assert stats(page)["jsErrors"] == 0
