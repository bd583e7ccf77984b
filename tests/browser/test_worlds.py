"""Other environments and another task: the run goes on with them, and so does the page.

By its name this comes last: what is trained on afterwards is not what the other tests want.
"""

import pytest
from live_page import MANY_ENVS, drawn, picture, stats, until, wait_for

pytestmark = pytest.mark.timeout(300)


def test_other_numbers_of_environments_and_another_task_without_reload(open_page, heard):
    page = open_page()
    page.evaluate("window.loadedOnce = true")
    page.keyboard.press("s")
    for count in (MANY_ENVS, 64, 256):
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
    assert page.evaluate("window.loadedOnce") is True
    assert heard.errors == []
    assert stats(page)["jsErrors"] == 0
