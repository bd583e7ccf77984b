"""The real stack with a real Chromium before it: one `websim up` for the tests that only use it."""

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
# Records and tasks as the dashboard's own tests have them.
sys.path.append(str(Path(__file__).parents[2] / "services/dashboard/tests"))

from live_page import (
    EVALUATED_OFTEN,
    MANY_ENVS,
    NUM_ENVS,
    Stack,
    drawn,
    send,
    serve_dashboard,
    start_stack,
    stop_stack,
    train_on,
)
from told_page import NOBODY, Told, keep, make_point, tell_page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
# Without --disable-gpu an accelerated canvas goes through software GL, ten times slower.
FLAGS = ["--no-sandbox", "--disable-gpu"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what looks at the shared stack come at the very end, so that nothing trains beside it."""
    live = [item for item in items if "stack" in getattr(item, "fixturenames", ())]
    for item in live:
        item.add_marker("live")
    items.sort(key=live.__contains__)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Hopper: episodes are short, so that all there is to see comes soon.

    Its updates are short, too, because commands wait for their end, and it begins no adaptation by
    itself: in a trial it would refuse what tests ask of it.
    """
    place = tmp_path_factory.mktemp("browser") / "run"
    options = ("--num-envs", str(NUM_ENVS), "--total-steps", "500000000", "--adapt", "approve")
    short = ("--set", "ppo.rollout_length=32", "--set", "ppo.epochs=2")
    running = start_stack(
        place, "--task", "Hopper-v5", *options, *short, environment=EVALUATED_OFTEN
    )
    # There is a reward-gen, for the test that wants one.
    send(running, "set_adapt", mode="off")
    yield running
    stop_stack(running)


@pytest.fixture(scope="module")
def many_envs(stack: Stack) -> Iterator[None]:
    """Let the shared stack train as many environments as a page is to show."""
    train_on(stack, MANY_ENVS)
    yield
    train_on(stack, NUM_ENVS)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here (on Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Heard:
    """What a page complained of, and whom it asked."""

    errors: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)


OpenPage = Callable[..., Page]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@contextlib.contextmanager
def opener(chromium: Browser, own_url: str, heard: Heard) -> Iterator[OpenPage]:
    """Open pages, each in a browser context of its own; `live=False` waits for no picture.

    Whatever a test does with them, they ask nobody but services of this machine.
    """
    contexts = []

    def make(
        url: str = "", *, width: int = 1440, height: int = 900, live: bool = True, **options: object
    ) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: heard.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: heard.errors.append(str(error)))
        page.on("request", lambda request: heard.urls.append(request.url))
        page.on("websocket", lambda socket: heard.urls.append(socket.url))
        page.goto(url or own_url)
        if live:
            drawn(page, 1)
        return page

    try:
        yield make
    finally:
        for context in contexts:
            context.close()
    assert {urlsplit(url).hostname for url in heard.urls} <= {"127.0.0.1"}, heard.urls


@pytest.fixture
def open_page(chromium: Browser, stack: Stack, heard: Heard) -> Iterator[OpenPage]:
    with opener(chromium, stack.url, heard) as make:
        yield make


@pytest.fixture
def open_alone(chromium: Browser, heard: Heard) -> Iterator[OpenPage]:
    """Open an empty page, for a test that starts what it looks at."""
    with opener(chromium, "about:blank", heard) as make:
        yield lambda **options: make(live=False, **options)


@pytest.fixture(scope="module")
def shared_page(chromium: Browser, stack: Stack) -> Iterator[Page]:
    """A page for the tests of a module that leave it as they found it."""
    with opener(chromium, stack.url, Heard()) as make:
        yield make()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[str]:
    """The address of a dashboard that has a history of three updates, and nobody to ask."""
    keep(tmp_path, "one", *(make_point(n) for n in range(1, 4)))
    with serve_dashboard(tmp_path, *NOBODY) as url:
        yield url


@pytest.fixture
def told(open_alone: OpenPage, alone: str) -> Told:
    """A page that is told of a run in training."""
    return tell_page(open_alone(), alone, "one")
