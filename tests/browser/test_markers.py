"""What charts tell of changes, and of places: signs, their words, labels of the axis."""

import contextlib

import pytest
from live_page import RECORD_TEXTS, serve_dashboard, until, wait_for
from told_page import NOBODY, keep, make_change, make_evaluation, make_point, tell_page

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def open_run(open_alone, tmp_path):
    """Open a page on a run that had these records."""
    with contextlib.ExitStack() as services:

        def make(*records, script=RECORD_TEXTS, goal=None):
            keep(tmp_path, "one", *sorted(records, key=lambda each: each["n"]))
            url = services.enter_context(serve_dashboard(tmp_path, *NOBODY))
            page = open_alone()
            page.add_init_script(script)
            if goal is not None:
                page.route("**/api/v1/goal", lambda route: route.fulfill(json=goal))
            tell_page(page, url, "one")
            page.locator('[data-chart="loss"] .no-data').wait_for(state="detached")
            return page

        yield make


def test_on_a_phone_downloads_stand_beside_the_title_and_cover_no_point(open_alone, alone):
    page = tell_page(open_alone(width=390, height=844), alone, "one").page
    chart = page.locator('[data-chart="loss"]')
    chart.scroll_into_view_if_needed()
    title, tools, plot = (chart.locator(each).bounding_box() for each in ("h3", ".tools", ".plot"))
    assert tools["height"] < 40
    assert abs(tools["y"] + tools["height"] / 2 - title["y"] - title["height"] / 2) < 10
    assert tools["y"] + tools["height"] <= plot["y"] + 1
    assert tools["x"] + tools["width"] <= 390


def values_of(page, chart):
    return page.locator(f'[data-chart="{chart}"] .key b').all_inner_texts()


def download(page, chart):
    figure = page.locator(f'[data-chart="{chart}"]')
    figure.hover()
    with page.expect_download() as saved:
        figure.get_by_role("button", name="download values").click()
    return [row.split(",") for row in saved.value.path().read_text().splitlines()[1:]]


JUMPS = {"kind": "program", "description": "jump", "unit": "m", "n": 1}


def test_a_goal_that_is_only_asked_for_changes_no_curve(open_run):
    """Training tells the task's fitness: it ends where the goal began, not where that was asked."""
    goal = {"goal": JUMPS, "mode": "approve", "reached": False, "pending": [], "adapting": ""}
    page = open_run(
        *(make_point(n, fitness_mean=float(n)) for n in (1, 3, 5, 7)),
        make_change(2, "adaptation", event="goal_asked"),
        make_change(4, "adaptation", event="goal_asked"),
        make_change(6, "adaptation", event="goal"),
        make_evaluation(8, 7, return_mean=1.0, fitness_mean=0.5),
        goal=goal | {"banner": ""},
    )
    wait_for(lambda: values_of(page, "fitness") == ["5.00", "0.50"], "the curve ends elsewhere")
    rows = download(page, "fitness")
    assert [training for _, training, _ in rows] == ["1", "3", "5", ""]
    assert set(page.evaluate("window.texts")) & {"◎", "?"} == {"◎"}
    charts = page.locator("[data-chart]").count()
    page.evaluate("window.texts.length = 0")
    page.get_by_label("Horizontal axis").select_option("time")
    until(page, f"window.texts.filter((each) => each === '◎').length >= {charts}")


PLACED = """
    window.placed = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
        const half = this.measureText(text).width / 2;
        if (this.textAlign === 'center')
            window.placed.push({
                text: String(text), from: x - half, to: x + half, width: this.canvas.width,
                chart: [...document.querySelectorAll('.chart canvas')].indexOf(this.canvas)});
        return draw.call(this, text, x, ...rest);
    };
"""
"""Has a page note where it writes what it centres, as it does signs."""


def test_signs_are_printed_beside_one_another(open_run):
    """The task was changed at the end, and its goal with it; physics twice, one update apart."""
    page = open_run(
        *(make_point(n) for n in range(1, 200) if n not in (50, 51, 90, 91)),
        make_change(50, "command", command="set_knobs"),
        make_change(51, "command", command="set_knobs"),
        make_change(90, "command", command="set_task") | {"env_steps": 199_000},
        make_change(91, "adaptation", event="goal") | {"env_steps": 199_000},
        script=PLACED,
    )
    until(page, "window.placed.some((each) => each.text === '◎')")
    signs = page.evaluate("window.placed.filter(({text}) => ['k', 'task', '◎'].includes(text))")
    texts = [each["text"] for each in signs]
    assert texts == ["k", "task", "◎"] * (len(texts) // 3), "the same is printed once"
    assert all(a["to"] < b["from"] for a, b in zip(signs[1::3], signs[2::3], strict=True))
    assert all(each["to"] <= each["width"] for each in signs), "at the edge it is cut"


def test_a_marker_that_is_pointed_at_says_what_it_is(open_run):
    page = open_run(
        *(make_point(n) for n in range(1, 22) if n != 11),
        make_change(11, "command", command="set_knobs"),
    )
    until(page, "window.texts.includes('k')")
    chart = page.locator('[data-chart="loss"]')
    chart.scroll_into_view_if_needed()
    over = chart.locator(".u-over").bounding_box()
    page.mouse.move(over["x"] + over["width"] / 2, over["y"] + 30)
    chart.locator(".marked", has_text="k other physics (knobs)").wait_for()
    page.mouse.move(over["x"] + over["width"] / 4, over["y"] + 30)
    chart.locator(".marked").wait_for(state="detached")
    key = page.locator("label", has_text="markers").get_attribute("title")
    assert all(sign in key for sign in "▲▼◎?nrdk")


def test_what_comes_with_the_pointer_covers_neither_points_nor_values(open_run):
    page = open_run(*(make_point(n, fitness_mean=1.0 * n) for n in range(1, 22)))
    for name in ("fitness", "loss"):
        chart = page.locator(f'[data-chart="{name}"]')
        chart.scroll_into_view_if_needed()
        over = chart.locator(".u-over").bounding_box()
        for share in (0.02, 0.5, 0.98):
            page.mouse.move(over["x"] + share * over["width"], over["y"] + 10)
            chart.locator(".place", has_text="steps").wait_for()
            place, tools = (chart.locator(each).bounding_box() for each in (".place", ".tools"))
            # To a pixel.
            assert min(place["y"], tools["y"]) >= over["y"] + over["height"] - 1
            assert place["x"] >= chart.bounding_box()["x"]
            assert place["x"] + place["width"] <= tools["x"] + 1


@pytest.mark.parametrize("last", [190, 12], ids=str)
@pytest.mark.parametrize("by", ["steps", "time"])
def test_a_horizontal_axis_has_two_labels_at_least(open_run, last, by):
    page = open_run(*(make_point(n) for n in range(8, last + 1)), script=PLACED)
    other = {"steps": "time", "time": "steps"}[by]
    for each in (other, by):
        page.evaluate("window.placed.length = 0")
        page.get_by_label("Horizontal axis").select_option(each)
    charts = page.locator("[data-chart]").count()

    def fewest():
        """Of the labels of a chart; those of its vertical axis are not centred."""
        labels = {(each["chart"], each["text"]) for each in page.evaluate("window.placed")}
        return min(sum(chart == at for chart, _ in labels) for at in range(charts))

    wait_for(lambda: fewest() >= 2, "a chart has fewer than two labels")
