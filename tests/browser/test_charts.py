"""Learning curves: they fill, are smoothed, by steps or time, and can be taken away."""

import csv
import io
from itertools import pairwise

import pytest
from live_page import wait_for

pytestmark = pytest.mark.timeout(300)

CHARTS = ("return", "fitness", "reward", "length", "speed", "loss", "entropy")


def test_every_chart_fills(open_page):
    page = open_page()
    for name in CHARTS:
        chart = page.locator(f'[data-chart="{name}"]')
        chart.wait_for()
        # Return, fitness and length are known when the first episodes have ended.
        chart.locator(".no-data").wait_for(state="detached", timeout=90_000)
    assert "%" in page.locator(".time-split ul").inner_text()
    assert len(page.locator(".time-split p").inner_text()) > 20


def test_values_can_be_downloaded(open_page):
    page = open_page()
    chart = page.locator('[data-chart="loss"]')
    chart.locator(".no-data").wait_for(state="detached")
    chart.hover()

    def values():
        with page.expect_download() as download:
            chart.get_by_role("button", name="download values").click()
        return list(csv.reader(io.StringIO(download.value.path().read_text())))

    wait_for(lambda: len(values()) > 4, "no points come", 200.0)
    rows = values()
    assert rows[0] == ["env_steps", "value", "policy"]
    steps = [int(row[0]) for row in rows[1:]]
    assert steps == sorted(set(steps))
    with page.expect_download() as download:
        chart.get_by_role("button", name="download picture").click()
    assert download.value.path().read_bytes().startswith(b"\x89PNG")


def test_by_time_and_smoothed(open_page):
    page = open_page()
    chart = page.locator('[data-chart="loss"]')
    chart.locator(".no-data").wait_for(state="detached")
    page.get_by_label("Horizontal axis").select_option("time")
    chart.hover()
    with page.expect_download() as download:
        chart.get_by_role("button", name="download values").click()
    first = download.value.path().read_text().splitlines()[0]
    assert first.startswith('"time_unix_s"')

    def values():
        with page.expect_download() as download:
            chart.get_by_role("button", name="download values").click()
        return list(csv.reader(io.StringIO(download.value.path().read_text())))[1:]

    wait_for(lambda: len(values()) >= 8, "too few points come", 200.0)
    slider = page.get_by_label("smooth")
    slider.fill("0")
    raw = values()
    slider.fill("0.95")
    smoothed = values()

    def roughness(rows):
        column = [float(row[2]) for row in rows if row[2]]
        return sum(abs(a - b) for a, b in pairwise(column))

    assert roughness(smoothed[: len(raw)]) < roughness(raw)


def test_a_pointer_on_a_chart_tells_its_values(open_page):
    page = open_page()
    chart = page.locator('[data-chart="speed"]')
    chart.locator(".no-data").wait_for(state="detached")
    over = chart.locator(".u-over").bounding_box()
    page.mouse.move(over["x"] + 2, over["y"] + 10)
    first = chart.locator(".key").inner_text()
    page.mouse.move(over["x"] + over["width"] * 0.8, over["y"] + 10)
    page.wait_for_timeout(100)
    assert chart.locator(".key").inner_text() != first
