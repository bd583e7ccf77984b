"""How soon the page reacts, and how many pictures a second it draws.

Run it by hand, on a machine that does nothing else: `python tests/bench/bench_reactions.py [TASK]`.
A `websim up` of 1,024 environments trains while a browser on the same machine watches it; figures
are medians and ranges. `tests/browser` holds the best of a few times to the same limits.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from conftest import CHROMIUM, FLAGS
from live_page import (
    DIALOG,
    MANY_ENVS,
    ROBOT,
    drawn,
    picture,
    reaction_ms,
    start_stack,
    stop_stack,
    wait_for,
)

TIMES = 10
WATCHED_S = 20.0
SETTLE_S = 5.0
"""After the page has been opened."""

MOVES_AFTER_S = 3.0
PAUSED_AFTER_MS = 250.0
OPENED_AFTER_MS = 500.0
PICTURES_PER_S = 24.0
"""The targets; the last is of a whole run, in whose evaluations nothing moves."""


def main() -> None:
    """Print a line for each figure."""
    task = sys.argv[1] if len(sys.argv) > 1 else "HalfCheetah-v5"
    options = ("--task", task, "--num-envs", str(MANY_ENVS), "--total-steps", "500000000")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        stack = start_stack(Path(place) / "run", *options, "--adapt", "off")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            opened = [moves_after_s(browser, stack.url) for _ in range(TIMES)]
            page = open_page(browser, stack.url)
            drawn(page, MANY_ENVS)
            time.sleep(SETTLE_S)
            seconds = [pictures_of_a_second(page) for _ in range(int(WATCHED_S))]
            paused = [paused_after_ms(page) for _ in range(TIMES)]
            page.context.close()
            dialogs, robots = (
                [opened_after_ms(browser, stack.url, what) for _ in range(TIMES)]
                for what in (DIALOG, ROBOT)
            )
        finally:
            browser.close()
            stop_stack(stack)
    print(f"{task}, {MANY_ENVS:,} environments, a browser on the same machine")
    print(f"moves after {told(opened)} s of opening; target {MOVES_AFTER_S:g}")
    print(f"paused after {told(paused)} ms; target {PAUSED_AFTER_MS:g}")
    print(f"pop-up open after {told(dialogs)} ms; target {OPENED_AFTER_MS:g}")
    print(f"its robot seen after {told(robots)} ms; target {OPENED_AFTER_MS:g}")
    shown = [count for count, _ in seconds]
    print(
        f"{statistics.mean(shown):.1f} pictures a second drawn ({min(shown)} to {max(shown)}), of "
        f"{statistics.mean(made for _, made in seconds):.1f} made; target {PICTURES_PER_S:g}"
    )


def told(times: list[float]) -> str:
    """Tell the median and the range."""
    return f"{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def open_page(browser: Browser, url: str) -> Page:
    """Open the page as somebody does who has never seen it."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    return page


def moves_after_s(browser: Browser, url: str) -> float:
    """Open the page; return after how long all environments were drawn, and drawn anew."""
    began_s = time.monotonic()
    page = open_page(browser, url)
    drawn(page, MANY_ENVS)
    before = picture(page)
    wait_for(lambda: picture(page) != before, "the picture does not move")
    took_s = time.monotonic() - began_s
    page.context.close()
    return took_s


def paused_after_ms(page: Page) -> float:
    """Pause by key and go on; return after how long the page said that the run is paused."""
    told = page.locator(".chip.state")
    took_ms = reaction_ms(page, lambda: page.keyboard.press(" "), ".chip.state", "paused")
    page.keyboard.press(" ")
    told.get_by_text("training").wait_for()
    return took_ms


def opened_after_ms(browser: Browser, url: str, what: str) -> float:
    """Click a robot on a page that has never shown one in 3D; return after how long it did so."""
    page = open_page(browser, url)
    drawn(page, MANY_ENVS)
    place = {"x": 100.0, "y": 100.0}
    took_ms = reaction_ms(page, lambda: page.locator(".grid canvas").click(position=place), what)
    page.context.close()
    return took_ms


def pictures_of_a_second(page: Page) -> tuple[int, int]:
    """Return how many pictures were drawn in a second, and how many the service made."""
    drawn_, made = page.evaluate(
        """async () => {
            const before = window.__websim.stats();
            await new Promise(resolve => setTimeout(resolve, 1000));
            const now = window.__websim.stats();
            return [now.pictures - before.pictures, now.seq - before.seq];
        }"""
    )
    return int(drawn_), int(made)


if __name__ == "__main__":
    main()
