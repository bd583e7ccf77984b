"""Everybody can use it: axe, the keyboard, small screens, light and dark, few bytes."""

import gzip
import re

import pytest
from live_page import settle, until
from reach import ROOT, axe_findings, not_reached_by_tab, scrolls_sideways

pytestmark = pytest.mark.timeout(300)

PAGE = ROOT / "services/dashboard/websim_dashboard/page"
MAX_FIRST_LOAD_BYTES = 250_000


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious(shared_page, scheme):
    page = shared_page
    page.emulate_media(color_scheme=scheme)
    until(page, f"document.documentElement.dataset.theme === '{scheme}'")
    assert axe_findings(page) == []
    for key in ("g", "r", "s", "f"):
        page.keyboard.press(key)
        page.get_by_role("dialog").wait_for()
        settle(page)
        assert axe_findings(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")
    page.locator(".grid canvas").click(position={"x": 100, "y": 100})
    page.wait_for_selector(".popup .fields")
    assert axe_findings(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_everything_is_reached_by_tab(shared_page):
    assert not_reached_by_tab(shared_page) == []


def test_the_key_list_opens_and_closes(shared_page):
    page = shared_page
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    keys.wait_for()
    assert "Space" in keys.inner_text()
    page.keyboard.press("Escape")
    keys.wait_for(state="detached")


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1440, 900), (1024, 768), (390, 844)])
def test_nothing_is_wider_than_the_screen(shared_page, width, height):
    page = shared_page
    page.set_viewport_size({"width": width, "height": height})
    settle(page)
    sizes = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    )
    assert sizes[0] <= width
    if width >= 1024:
        assert sizes[1] <= height, "the first screen needs no scrolling"
    for key in ("g", "r", "s", "f"):
        page.keyboard.press(key)
        is_not_wider(page, ".drawer", width)
    page.locator(".grid canvas").click(position={"x": 100, "y": 100})
    page.wait_for_selector(".popup .fields")
    is_not_wider(page, ".popup", width)


def is_not_wider(page, opened, width):
    """Look at what was opened, and close it."""
    page.locator(opened).wait_for()
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert scrolls_sideways(page, opened) == []
    page.keyboard.press("Escape")
    page.locator(opened).wait_for(state="detached")


def test_dark_and_light_by_key_and_kept(open_page):
    page = open_page(color_scheme="dark")
    page.keyboard.press("d")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.reload()
    page.wait_for_selector(".topbar")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_the_first_load_is_light():
    html = (PAGE / "index.html").read_text()
    parts = [PAGE / name for name in re.findall(r'(?:src|href)="\./([^"]+)"', html)]
    assert any(each.suffix == ".js" for each in parts)
    size = sum(len(gzip.compress(each.read_bytes())) for each in [PAGE / "index.html", *parts])
    assert size < MAX_FIRST_LOAD_BYTES
    # 3D comes when it is asked for.
    assert any(each.name.startswith("viewer") for each in (PAGE / "assets").iterdir())
    assert not any(each.name.startswith("viewer") for each in parts)
