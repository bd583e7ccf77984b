"""The wheel: pause, speed, difficulty, physics; each says when it has taken effect."""

import pytest
from live_page import (
    COMMAND_S,
    NUM_ENVS,
    get,
    picture,
    reaction_ms,
    send,
    soonest,
    stand_still,
    stats,
    until,
    wait_for,
)

pytestmark = pytest.mark.timeout(300)

MAX_PAUSE_MS = 250.0

STEPS_PER_S = NUM_ENVS / 0.008
"""In real time; the Hopper acts every 0.008 s."""


def test_pause_by_key_and_by_button(open_page):
    page = open_page()
    told = page.locator(".chip.state")
    page.keyboard.press(" ")
    told.get_by_text("paused").wait_for()
    page.mouse.move(5, 5)

    def stands_still() -> bool:
        still = picture(page)
        page.wait_for_timeout(1000)
        return picture(page) == still

    # Tiles of episodes that have just ended are lit up a moment longer.
    wait_for(stands_still, "the robots do not stand still")
    for label, choice in (("Filter", "best"), ("Filter", "all"), ("Sort", "best"), ("Sort", "id")):
        still = picture(page)
        page.get_by_label(label, exact=True).select_option(choice)
        wait_for(lambda still=still: picture(page) != still, f"{label} {choice} does nothing")
    still = picture(page)
    page.get_by_role("button", name="Resume").click()
    told.get_by_text("training").wait_for()
    wait_for(lambda: picture(page) != still, "the robots do not go on")


def test_in_a_pause_nothing_is_stepped(open_page, stack):
    page = open_page()
    page.keyboard.press(" ")
    page.locator(".chip.state").get_by_text("paused").wait_for()
    stand_still(page)

    def steps() -> list[int]:
        return [worker["env_steps"] for worker in get(stack, "workers")]

    def nothing_comes() -> bool:
        last = stats(page)["seq"]
        page.wait_for_timeout(1000)
        return stats(page)["seq"] == last

    # What is left of the last picture still comes.
    wait_for(nothing_comes, "pictures go on coming")
    seq, before = stats(page)["seq"], steps()
    page.wait_for_timeout(3000)
    assert (stats(page)["seq"], steps()) == (seq, before)
    page.keyboard.press(" ")
    until(page, f"window.__websim.stats().seq > {seq}")
    wait_for(lambda: steps() > before, "it does not go on")


def test_a_pause_takes_effect_at_once(open_page, record_property):
    page = open_page()
    told = ".chip.state"

    def pause() -> float:
        took_ms = reaction_ms(page, lambda: page.keyboard.press(" "), told, "paused")
        page.keyboard.press(" ")
        page.locator(told).get_by_text("training").wait_for()
        return took_ms

    took_ms = soonest(MAX_PAUSE_MS, pause)
    record_property("paused_after_ms", took_ms)
    assert took_ms < MAX_PAUSE_MS


@pytest.mark.parametrize(
    ("button", "said", "speed"),
    [("¼\u00d7", "A quarter of real time", 0.25), ("1\u00d7", "Real time", 1.0)],
)
def test_real_time_is_slower_than_as_fast_as_it_goes(open_page, stack, button, said, speed):
    page = open_page()
    rate = """async () => {
        const read = () => fetch('api/v1/status').then(a => a.json());
        const before = await read();
        await new Promise(resolve => setTimeout(resolve, 3000));
        return (await read()).env_steps - before.env_steps;
    }"""
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_text(f"✓ {said} since update").wait_for(timeout=60_000)
    assert get(stack, "status")["speed"] == speed
    slow = page.evaluate(rate)
    assert slow < 3 * STEPS_PER_S * speed * 1.5
    page.get_by_role("button", name="max", exact=True).click()
    page.get_by_text("As fast as the fleet can since update").wait_for(timeout=60_000)
    fastest = page.get_by_role("button", name="max", exact=True)
    assert fastest.get_attribute("aria-pressed") == "true"
    wait_for(lambda: get(stack, "status")["speed"] is None, "it does not go on faster")


def block_of(page, heading):
    return page.locator(".block", has=page.get_by_role("heading", name=heading, exact=True))


def test_difficulty_and_a_range_of_physics_are_set_and_say_when(open_page, stack):
    page = open_page()
    page.keyboard.press("s")
    difficulty = block_of(page, "Difficulty")
    try:
        difficulty.get_by_label("Difficulty", exact=True).fill("0.5")
        difficulty.get_by_role("button", name="Change").click()
        difficulty.get_by_text("✓ Difficulty 0.50 at update").wait_for(timeout=COMMAND_S * 1000)
        wait_for(lambda: get(stack, "goal")["difficulty"] == 0.5, "another difficulty")
        physics = block_of(page, "Randomisation")
        name = physics.locator("tbody input").first.get_attribute("aria-label").split(",")[0]
        low, high = get(stack, "goal")["knobs"][name]
        middle = (low + high) / 2
        shown = physics.get_by_label(f"{name}, high")
        close = pytest.approx(high, rel=1e-3)
        # The fields follow the difficulty in their own time.
        wait_for(lambda: float(shown.input_value()) == close, "the fields show another range")
        physics.get_by_label(f"{name}, low").fill(str(middle))
        physics.get_by_role("button", name="Change").click()
        physics.get_by_text("✓ In effect at update").wait_for(timeout=COMMAND_S * 1000)
        wait_for(lambda: get(stack, "goal")["knobs"][name] == [middle, close], "another range")
    finally:
        send(stack, "set_difficulty", difficulty=0.0)
