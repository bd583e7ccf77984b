"""Learning curves: they fill, are smoothed, by steps or time, and can be taken away."""

import csv
import io
import json
import re

import pytest
from live_page import get, wait_for

pytestmark = pytest.mark.timeout(300)

CHARTS = ("return", "fitness", "reward", "length", "speed", "loss", "entropy")


MIN_POINTS = 8


@pytest.fixture
def page_with_points(open_page, stack):
    """A page that opens when there are points to show; it has all of them then."""

    def num_points():
        series = get(stack, "metrics?names=value_loss")
        return max((len(each["update"]) for each in series["branches"]), default=0)

    wait_for(lambda: num_points() >= MIN_POINTS, "too few points come", 200.0)
    page = open_page()
    page.locator('[data-chart="loss"] .no-data').wait_for(state="detached")
    return page


def download(chart):
    with chart.page.expect_download() as download:
        chart.get_by_role("button", name="download values").click()
    return list(csv.reader(io.StringIO(download.value.path().read_text())))


def test_every_chart_fills(shared_page):
    page = shared_page
    for name in CHARTS:
        chart = page.locator(f'[data-chart="{name}"]')
        chart.wait_for()
        # Return, fitness and length are known when the first episodes have ended.
        chart.locator(".no-data").wait_for(state="detached")
    assert "%" in page.locator(".time-split ul").inner_text()
    assert len(page.locator(".time-split p").inner_text()) > 20


def test_values_can_be_downloaded(page_with_points):
    page = page_with_points
    chart = page.locator('[data-chart="loss"]')
    chart.hover()
    rows = download(chart)
    assert rows[0] == ["env_steps", "value", "policy"]
    steps = [int(row[0]) for row in rows[1:]]
    assert len(steps) >= MIN_POINTS
    assert steps == sorted(set(steps))
    with page.expect_download() as picture:
        chart.get_by_role("button", name="download picture").click()
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")


def test_curves_are_there_after_a_reload_in_the_middle_of_training(page_with_points):
    page = page_with_points
    chart = page.locator('[data-chart="loss"]')

    def values():
        # As they were measured: how much is smoothed grows with their number.
        page.get_by_label("smooth").fill("0")
        chart.hover()
        return download(chart)

    before = values()
    page.reload()
    chart.locator(".no-data").wait_for(state="detached")
    after = values()
    assert after[:2] == before[:2]
    # Of very many some are left out; what is there is what was there.
    known = {row[0]: row for row in before}
    again = [row for row in after if row[0] in known]
    assert again == [known[row[0]] for row in again]
    assert len(again) > len(before) / 3

    def has_more():
        # A browser does not take many files at once from one page.
        page.wait_for_timeout(1000)
        return int(download(chart)[-1][0]) > int(after[-1][0])

    wait_for(has_more, "no new points come")


def test_by_time_and_what_is_downloaded_is_not_smoothed(page_with_points):
    page = page_with_points
    chart = page.locator('[data-chart="loss"]')
    page.get_by_label("Horizontal axis").select_option("time")
    chart.hover()
    assert download(chart)[0][0] == "time_unix_s"
    slider = page.get_by_label("smooth")
    slider.fill("0")
    raw = download(chart)[1:]
    assert len(raw) >= MIN_POINTS
    slider.fill("0.95")
    assert download(chart)[1:][: len(raw)] == raw


def test_the_slider_smooths_what_is_drawn(page_with_points):
    page = page_with_points
    last = page.locator('[data-chart="loss"] .key b').first
    slider = page.get_by_label("smooth")
    page.get_by_role("button", name="Pause").click()
    page.locator(".chip.state", has_text="paused").wait_for()
    try:
        slider.fill("0")
        page.wait_for_timeout(1000)
        raw = last.inner_text()
        slider.fill("0.95")
        wait_for(lambda: last.inner_text() != raw, "the last value is not smoothed")
    finally:
        page.get_by_role("button", name="Resume").click()
        page.locator(".chip.state", has_text="training").wait_for()


def test_a_pointer_on_a_chart_tells_its_values(shared_page):
    page = shared_page
    chart = page.locator('[data-chart="speed"]')
    chart.locator(".no-data").wait_for(state="detached")
    over = chart.locator(".u-over").bounding_box()
    page.mouse.move(over["x"] + 2, over["y"] + 10)
    first = chart.locator(".key").inner_text()
    page.mouse.move(over["x"] + over["width"] * 0.8, over["y"] + 10)
    wait_for(lambda: chart.locator(".key").inner_text() != first, "no other values")


@pytest.fixture
def page_with_one_point(open_page, stack):
    """A page that is told of the first update and the first evaluation, and of nothing after."""
    wait_for(
        lambda: any(each["kind"] == "evaluation" for each in get(stack, "events?after=0")),
        "no evaluation comes",
        200.0,
    )
    page = open_page("about:blank", live=False)

    def cut(route):
        told = route.fetch().json()
        if isinstance(told, list):
            told = [each for each in told if each["kind"] == "evaluation"][:1]
        else:
            told["branches"] = [first_row(each) for each in told["branches"][:1]]
        route.fulfill(json=told)

    page.route("**/api/v1/events?*", cut)
    page.route("**/api/v1/metrics?*", cut)

    def keep_news_back(socket):
        service = socket.connect_to_server()

        def pass_on(said):
            if isinstance(said, bytes) or json.loads(said)["type"] not in ("metrics", "event"):
                socket.send(said)

        service.on_message(pass_on)

    page.route_web_socket("**/api/v1/live", keep_news_back)
    page.goto(stack.url)
    return page


def first_row(series):
    """Cut a branch's columns after the first row in which everything is known."""
    known = zip(*series["values"].values(), strict=True)
    at = next(i for i, row in enumerate(known) if None not in row)

    def one(columns):
        return {k: v[at : at + 1] if isinstance(v, list) else v for k, v in columns.items()}

    return {**one(series), "values": one(series["values"])}


def test_one_point_is_seen_and_told_in_every_chart(page_with_one_point):
    page = page_with_one_point
    for chart in page.locator("[data-chart]").all():
        name = chart.get_attribute("data-chart")
        for line in chart.locator(".key li").all():
            told, colour = line.locator("b"), line.get_attribute("class")
            if name == "reward-return" and "evaluation" in line.inner_text():
                # A run that does not adapt judges no evaluation by the reward learned from.
                assert told.inner_text() == "\u2013"
                continue
            wait_for(lambda told=told: re.search(r"\d", told.inner_text()), f"{name}: no value")
            wait_for(
                lambda chart=chart, colour=colour: chart.evaluate(PIXELS_OF, colour) > MIN_PIXELS,
                f"{name}: nothing of {colour} is seen",
            )


MIN_PIXELS = 6

PIXELS_OF = """(chart, colour) => {
    const wanted = document.createElement('canvas').getContext('2d');
    wanted.fillStyle = getComputedStyle(chart).getPropertyValue('--' + colour);
    wanted.fillRect(0, 0, 1, 1);
    const rgb = wanted.getImageData(0, 0, 1, 1).data;
    const canvas = chart.querySelector('canvas');
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const close = (i) => [0, 1, 2].every(c => Math.abs(data[i + c] - rgb[c]) < 20);
    let found = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200 && close(i)) found += 1;
    return found;
}"""
