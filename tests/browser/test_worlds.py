"""Other environments and another task: the run goes on with them, and so does the page.

By its name this comes last: what is trained on afterwards is not what the other tests want.
"""

import pytest
from live_page import MANY_ENVS, drawn, picture, stats, until, wait_for

FEW_ENVS = 64

pytestmark = pytest.mark.timeout(300)


def test_other_numbers_of_environments_and_another_task_without_reload(open_page, heard):
    page = open_page()
    page.evaluate("window.loadedOnce = true")
    page.keyboard.press("s")
    for count in (MANY_ENVS, 256, FEW_ENVS):
        page.get_by_label("Number").fill(str(count))
        block = page.locator(".block", has=page.get_by_role("heading", name="Environments"))
        block.get_by_role("button", name="Change").click()
        block.get_by_text(f"✓ {count:,} environments at update").wait_for(timeout=60_000)
        until(page, f"window.__websim.stats().drawnEnvs === {count}")
    block = page.locator(".block", has=page.get_by_role("heading", name="Task"))
    for task in ("HalfCheetah-v5", "HumanoidStandup-v5"):
        before = picture(page)
        block.get_by_label("Task", exact=True).select_option(task)
        block.get_by_role("button", name="Change").click()
        page.locator(".brand .task", has_text=task).wait_for(timeout=60_000)
        wait_for(lambda: picture(page) != before, "another robot")  # noqa: B023
        drawn(page, FEW_ENVS)
    share_envs(page, block)
    assert page.evaluate("window.loadedOnce") is True
    assert heard.errors == []
    assert stats(page)["jsErrors"] == 0


def share_envs(page, block):
    """Give some environments a task that the policy can act in, and take them back."""
    block.get_by_label("Task", exact=True).select_option("Humanoid-v5")
    block.get_by_label("Environments with this task").fill("16")
    block.get_by_role("button", name="Change").click()
    answer = "✓ 48 of HumanoidStandup-v5, 16 of Humanoid-v5 at update"
    block.get_by_text(answer).wait_for(timeout=60_000)
    # Both tasks are seen, one below the other.
    drawn(page, FEW_ENVS)
    block.get_by_text("16 environments have Humanoid-v5").wait_for()
    block.get_by_role("button", name="Take Humanoid-v5 back").click()
    block.get_by_text(f"✓ {FEW_ENVS} of HumanoidStandup-v5 at update").wait_for(timeout=60_000)
    drawn(page, FEW_ENVS)
