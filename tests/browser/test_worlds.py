"""Other environments and another task: the run goes on with them, and so does the page.

By its name this comes last: what is trained on afterwards is not what the other tests want.
"""

import pytest
from live_page import (
    MANY_ENVS,
    drawn,
    get,
    picture,
    robot,
    stats,
    until,
    wait_for,
    wait_for_robot,
)

FEW_ENVS = 64

pytestmark = pytest.mark.timeout(300)


def test_other_numbers_of_environments_and_another_task_without_reload(open_page, heard, stack):
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
    for task in ("Pusher-v5", "HumanoidStandup-v5"):
        before = picture(page)
        block.get_by_label("Task", exact=True).select_option(task)
        block.get_by_role("button", name="Change").click()
        page.locator(".brand .task", has_text=task).wait_for(timeout=60_000)
        wait_for(lambda: picture(page) != before, "another robot")  # noqa: B023
        drawn(page, FEW_ENVS)
        if task == "Pusher-v5":
            see_the_goal(page, stack)
    share_envs(page, block, heard)
    assert page.evaluate("window.loadedOnce") is True
    assert heard.errors == []
    assert stats(page)["jsErrors"] == 0


def see_the_goal(page, stack):
    """It lies on Pusher's table, which is the ground and below 0."""
    wait_for(lambda: trained_on(stack, "Pusher-v5"), "no session with Pusher")
    [session] = trained_on(stack, "Pusher-v5")
    page.locator(f'.grid option[value="{session}"]').wait_for(state="attached")

    def opened() -> bool:
        page.locator(".grid canvas").press("Enter")
        return page.locator(".popup").count() == 1

    # Its first figures may be still to come.
    wait_for(opened, "nothing opens")
    wait_for_robot(page)
    # The arm may be in front of it for a while.
    wait_for(lambda: red_pixels(page) > 20, "the goal is not seen")
    page.keyboard.press("Escape")


def red_pixels(page):
    colours = robot(page).getcolors(1 << 24)
    return sum(count for count, (r, g, b) in colours if r > 2 * max(g, b) and r > 80)


def trained_on(stack, task):
    sessions = get(stack, "status")["sessions"]
    return [s["session"] for s in sessions if s["task"] == task and "training" in s["label"]]


def share_envs(page, block, heard):
    """Give some environments a task that the policy can act in, and take them back."""
    block.get_by_label("Task", exact=True).select_option("Humanoid-v5")
    block.get_by_label("Environments with this task").fill("16")
    block.get_by_role("button", name="Change").click()
    answer = "✓ 48 of HumanoidStandup-v5, 16 of Humanoid-v5 at update"
    block.get_by_text(answer).wait_for(timeout=60_000)
    # Both tasks are seen, one below the other.
    drawn(page, FEW_ENVS)
    block.get_by_text("16 environments have Humanoid-v5").wait_for()
    choose(page, "task Humanoid-v5", 16)
    scenes = scenes_asked_for(heard)
    choose(page, "auto", FEW_ENVS)
    assert scenes_asked_for(heard) == scenes + 1, "what was not shown was kept"
    go_from_one_task_to_the_other(page)
    choose(page, "task Humanoid-v5", 16)
    block.get_by_role("button", name="Take Humanoid-v5 back").click()
    block.get_by_text(f"✓ {FEW_ENVS} of HumanoidStandup-v5 at update").wait_for(timeout=60_000)
    drawn(page, FEW_ENVS)
    assert page.get_by_label("Show", exact=True).input_value() == "auto"


def go_from_one_task_to_the_other(page):
    """In 3D, from the last environment of Humanoid-v5, the first of which is the 49th of all."""
    page.locator(".grid canvas").focus()
    for key in ("ArrowDown", "ArrowRight"):
        for _ in range(FEW_ENVS // 2):
            page.keyboard.press(key)
    page.keyboard.press("Enter")
    task = page.locator(".popup header .muted")
    wait_for_robot(page)
    assert task.inner_text() == "Humanoid-v5"
    for _ in range(16):
        page.get_by_role("button", name="Previous environment").click()
    assert task.inner_text() == "HumanoidStandup-v5"
    wait_for_robot(page)
    page.keyboard.press("Escape")


def choose(page, group, envs):
    page.get_by_label("Show", exact=True).select_option(group)
    until(page, f"window.__websim.stats().drawnEnvs === {envs}")


def scenes_asked_for(heard):
    return sum(url.endswith("/scene") for url in heard.urls)
