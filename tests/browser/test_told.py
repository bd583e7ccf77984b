"""What the page makes of what it is told: a history is real, a run and its news are made up."""

import itertools
import json
import re

import pytest
from dashboard_samples import make_goal, make_metrics, make_state
from live_page import RECORD_TEXTS, outcome, serve_dashboard, until, wait_for
from told_page import (
    NOBODY,
    keep,
    log_row,
    make_change,
    make_evaluation,
    make_point,
    tell_log,
    tell_page,
)

pytestmark = pytest.mark.timeout(300)

DAY_S = 86_400
VIEW = "look-at-it-0123456789abcdefghijklmnop"
CONTROL = "steer-it-0123456789abcdefghijklmnopqr"


def values_of(page, chart):
    """Return what a chart tells last of its lines."""
    return page.locator(f'[data-chart="{chart}"] .key b').all_inner_texts()


def test_evaluations_of_the_task_that_is_trained_now_are_drawn(open_alone, tmp_path):
    keep(
        tmp_path, "one",
        make_metrics(1), make_evaluation(2, 1, return_mean=1.0, fitness_mean=5.0),
        make_metrics(3, update=2, branch=1, fitness_mean=2.0),
        make_evaluation(4, 2, branch=1, return_mean=7.0, fitness_mean=3.0),
    )  # fmt: skip
    with serve_dashboard(tmp_path, *NOBODY) as url:
        page = tell_page(open_alone(), url, "one").page
        wait_for(lambda: values_of(page, "fitness") == ["2.00", "3.00"], "no evaluation is drawn")
        assert values_of(page, "return") == ["20.0", "7.00"]


def test_a_run_begun_anew_under_the_same_name_begins_with_empty_charts(told):
    page = told.page
    wait_for(lambda: values_of(page, "loss") == ["3.00", "0.25"], "the old run is not drawn")
    told.change(run_key="two")
    page.locator('[data-chart="loss"] .no-data').wait_for()
    told.add_point(1, value_loss=8.0)
    wait_for(lambda: values_of(page, "loss") == ["8.00", "0.25"], "the new run is not drawn")


def test_a_late_answer_about_the_run_before_is_not_taken_for_this_ones(open_alone, alone):
    page, held = open_alone(), []
    for asked in ("metrics", "events"):
        page.route(f"**/api/v1/{asked}?*", lambda route: held.append(route), times=1)
    told = tell_page(page, alone, "one")
    wait_for(lambda: page.evaluate("1") and len(held) == 2, "nothing is asked")
    with page.expect_response(lambda answer: "/metrics?" in answer.url) as news:
        told.change(run_key="two")
    assert news.value.json()["run_key"] == "one"
    for route in held:
        with page.expect_response(lambda answer, url=route.request.url: answer.url == url):
            route.continue_()
    told.add_point(1, value_loss=8.0)
    wait_for(lambda: values_of(page, "loss") == ["8.00", "0.25"], "the new run is not drawn")


def test_a_chart_stays_zoomed_while_points_come(told):
    page = told.page
    chart = page.locator('[data-chart="loss"]')
    chart.locator(".no-data").wait_for(state="detached")
    chart.scroll_into_view_if_needed()
    box = chart.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    everything = page.get_by_role("button", name="Show all of the curves")
    shown = everything.get_attribute("title")
    # The middle half of 1000 to 3000 steps, to a pixel or two.
    low, high = (int(each.replace(",", "")) for each in re.findall(r"\d,\d{3}", shown))
    assert (low, high) == (pytest.approx(1500, abs=20), pytest.approx(2500, abs=20))
    told.add_point(4, value_loss=40.0)
    page.mouse.move(5, 5)
    wait_for(lambda: "0.25" in values_of(page, "loss"), "the chart tells nothing")
    wait_for(lambda: values_of(page, "loss")[0] == "40.0", "the new point does not come")
    assert everything.get_attribute("title") == shown
    everything.click()
    everything.wait_for(state="detached")


def test_charts_mark_what_was_changed(open_alone, tmp_path):
    glyphs = {"▲", "▼", "◎", "?", "n", "d"}
    changes = [
        *(make_change(n, "adaptation", event=event)
          for n, event in enumerate(["adopted", "rolled_back", "goal", "trigger", "round"], 2)),
        make_change(7, "command", command="set_num_envs"),
        make_change(8, "command", command="set_difficulty"),
        make_change(9, "command", command="pause"),
    ]  # fmt: skip
    keep(tmp_path, "one", make_point(1), *changes, make_point(10))
    with serve_dashboard(tmp_path, *NOBODY) as url:
        page = open_alone()
        page.add_init_script(RECORD_TEXTS)
        tell_page(page, url, "one")
        wait_for(lambda: glyphs <= set(page.evaluate("window.texts")), "changes are not marked")
        signs = {text for text in page.evaluate("window.texts") if re.fullmatch(r"\D", text)}
        assert signs == glyphs, "something else is marked"
        page.get_by_label("markers").uncheck()
        page.wait_for_timeout(1000)
        page.evaluate("window.texts.length = 0")
        page.get_by_label("Horizontal axis").select_option("time")
        until(page, "window.texts.length > 0")
        page.wait_for_timeout(1000)
        assert not glyphs & set(page.evaluate("window.texts"))


def test_a_chart_tells_where_the_pointer_is(told):
    page = told.page
    chart = page.locator('[data-chart="loss"]')
    wait_for(lambda: values_of(page, "loss")[0] == "3.00", "the history is not drawn")
    chart.scroll_into_view_if_needed()
    box = chart.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    # The second of three points.
    chart.locator(".place", has_text="2,000 steps").wait_for()
    assert values_of(page, "loss")[0] == "2.00"
    page.mouse.move(5, 5)
    chart.locator(".place").wait_for(state="detached")


@pytest.mark.parametrize(
    ("chart", "written"),
    [("loss", ["Losses", "value", "policy"]), ("fitness", ["Fitness m/s", "training"])],
)
def test_a_saved_picture_names_its_lines_and_unit(open_alone, alone, chart, written):
    page = open_alone()
    page.add_init_script(RECORD_TEXTS)
    told = tell_page(page, alone, "one")
    told.change(fitness_unit="m/s")
    figure = page.locator(f'[data-chart="{chart}"]')
    figure.hover()
    page.evaluate("window.texts.length = 0")
    with page.expect_download():
        figure.get_by_role("button", name="download picture").click()
    assert set(written) <= set(page.evaluate("window.texts"))


def test_the_line_of_very_many_evaluations_keeps_its_beginning(told):
    """2,001 are one more than a page keeps: every other one goes, never the first or the last."""
    page = told.page
    page.evaluate(
        """(run_key) => {
            for (let n = 1; n <= 2001; n++) window.live.tell({type: 'event', run_key, event: {
                number: n + 10, kind: 'evaluation', update: n, env_steps: 1000 * n, time_unix_s: n,
                title: '', detail: '', adaptation: 0, values: {branch: 0, fitness_mean: n}}});
        }""",
        told.status["run_key"],
    )
    wait_for(lambda: values_of(page, "fitness")[1] == "2,001", "the last one is not drawn")
    chart = page.locator('[data-chart="fitness"]')
    chart.hover()
    with page.expect_download() as download:
        chart.get_by_role("button", name="download values").click()
    rows = [row.split(",") for row in download.value.path().read_text().splitlines()[1:]]
    drawn = [int(steps) // 1000 for steps, _, evaluation in rows if evaluation]
    assert drawn == list(range(1, 2002, 2))


def test_the_timeline_tells_the_gain_of_what_was_not_enough(open_alone, alone):
    decision = {"promote": False, "winner": "stiff", "sentence": "It may be chance."}
    gains = {"gain_mean": 0.5, "gain_low": -0.25, "confidence": 0.95}
    values = {"settings": {"round_env_steps": [1000]}, "decision": decision | gains}
    row = {"n": 1, "update": 1, "env_steps": 1000, "adaptation": 1, "kind": "decision"}
    page = open_alone()
    page.route(
        "**/api/v1/adaptations?*", lambda route: route.fulfill(json=[row | {"values": values}])
    )
    tell_page(page, alone, "one")
    effect = page.locator(".timeline .card .effect")
    wait_for(lambda: effect.all_inner_texts() == ["+0.50"], "no gain is told")
    assert "not enough" in effect.get_attribute("title")


def test_the_timeline_tells_who_decided(open_alone, alone):
    page = open_alone()
    tell_log(page, [
        log_row(1, "goal", 0, description="run", by="author"),
        log_row(2, "decision", decision={"promote": True, "winner": "direct"}),
        log_row(3, "adopted", reward_id="p_1", why="direct gains", by="trial"),
        log_row(4, "knobs", difficulty=0.5, why="mastered", by="curriculum"),
        log_row(5, "restored", peak_env_steps=3000, why="it fell", by="guard"),
        log_row(6, "rolled_back", undone="p_2", why="as wished", by="person"),
        log_row(7, "failed", undone="p_3", why="no numbers", by="run"),
        log_row(8, "adopted", reward_id="p_4", why="by an earlier version"),
        log_row(9, "rejected", 2, why="a person says no", by="person"),
    ])  # fmt: skip
    tell_page(page, alone, "one")
    told = [
        ("answered", "by a person"),
        ("adopted", ""),
        ("rolled back", "by the run itself"),
        ("rolled back", "by a person"),
        ("put back", "by a guard"),
        ("environment", "by the curriculum"),
        ("adopted", "by its trial"),
        ("goal", "by its author"),
    ]
    cards = page.locator(".timeline .card")
    wait_for(lambda: cards.count() == len(told), "what was changed is not told")
    heads = [" ".join(each.locator(".card-head").inner_text().split()) for each in cards.all()]
    for head, (what, by) in zip(heads, told, strict=True):
        assert what in head
        assert re.findall(r"\bby .*?(?= [\d,.+]+k?$)", head) == ([by] if by else []), head


def test_it_is_told_whether_candidates_are_written_checked_or_tried(open_alone, alone):
    rows = [log_row(1, "question", path="/v1/rewards", feedback={"trigger": "stagnation"})]
    page = open_alone()
    tell_log(page, rows)
    page.route("**/api/v1/goal", lambda route: route.fulfill(json=make_goal()))
    told = tell_page(page, alone, "one")
    card, goal_card = page.locator(".timeline .card .what"), page.locator(".goal-card .now")
    wait_for(lambda: card.all_inner_texts() == ["candidates are being written"], "not written")
    names = [{"name": name, "source": "", "origin": "library"} for name in ("direct", "smooth")]
    rows.append(log_row(2, "answer", candidates=names))
    told.tell(type="event", run_key="one", event=NEWS)
    sentence = "candidate 1 of 2 is checked at the gate: direct"
    told.change(adapting=sentence)
    wait_for(lambda: card.inner_text() == "at the gate: direct, smooth", "not at the gate")
    assert goal_card.inner_text() == sentence
    page.keyboard.press("g")
    page.locator(".drawer dd", has_text=sentence).wait_for()
    rows += (log_row(n, "verdict", name=name, accepted=True, program_id=f"p_{n}")
             for n, name in enumerate(("direct", "smooth"), 3))  # fmt: skip
    sentence = "the trial begins: control, direct, smooth"
    told.change(state="trial", adapting=sentence)
    wait_for(lambda: card.inner_text() == "on trial: direct, smooth", "not on trial")
    assert goal_card.inner_text() == sentence
    told.change(state="finished", learner_error="it is away")
    wait_for(lambda: card.inner_text() == "direct, smooth", "a run that is over tries nothing")
    assert "not ended" in page.locator(".timeline .card-head").inner_text()


NEWS = {"number": 90, "kind": "adaptation", "update": 2, "env_steps": 2000, "time_unix_s": 1.7e9,
        "title": "", "detail": "", "adaptation": 1, "values": {"event": "candidates"}}  # fmt: skip


EDGES = """
    window.edges = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, ...rest) {
        window.edges.push([String(text), x - this.measureText(text).actualBoundingBoxLeft]);
        return draw.call(this, text, x, ...rest);
    };
"""
"""Has a page note where each text begins that it writes onto a canvas."""


def test_the_label_of_a_small_negative_number_keeps_its_sign(open_alone, tmp_path):
    keep(tmp_path, "one", *(make_point(n, value_loss=-0.00012 * n, policy_loss=-0.00045)
                            for n in range(1, 4)))  # fmt: skip
    with serve_dashboard(tmp_path, *NOBODY) as url:
        page = open_alone()
        page.add_init_script(EDGES)
        tell_page(page, url, "one")
        wait_for(
            lambda: values_of(page, "loss") == ["\u22123.6e\u22124", "\u22124.5e\u22124"],
            "no values",
        )
        small = re.compile("\u22120\\.00\\d\\d")
        wait_for(lambda: any(small.fullmatch(text) for text, _ in page.evaluate("window.edges")),
                 "no label of a small number")  # fmt: skip
        cut = [
            text for text, left in page.evaluate("window.edges") if small.match(text) and left < 0
        ]
        assert cut == []


@pytest.mark.parametrize(
    ("length", "label", "other"),
    [
        ([0.0, 12_000.0], r"\d(\.\d)?k", r"2,500|[4-9],\d00"),
        ([0.0, 1_200_000.0], r"1\.00?M", r"\d+k"),
        ([1_234_100.0, 1_234_300.0], r"1,234,200", r"1\.23M"),
        ([7_000.0, 9_000.0], r"8,000", r".*k"),
    ],
    ids=["thousands", "millions", "close together", "all digits"],
)
def test_labels_of_an_axis_are_of_one_unit_and_tell_its_places_apart(
    open_alone, tmp_path, length, label, other
):
    keep(tmp_path, "one", *(make_point(n, length_mean=each) for n, each in enumerate(length, 1)))
    with serve_dashboard(tmp_path, *NOBODY) as url:
        page = open_alone()
        page.add_init_script(RECORD_TEXTS)
        tell_page(page, url, "one")
        texts = []

        def written(pattern):
            texts[:] = page.evaluate("window.texts")
            return [text for text in texts if re.fullmatch(pattern, text)]

        wait_for(lambda: written(label), f"no {label}")
        assert written(other) == [], texts


@pytest.mark.parametrize(
    ("lasts_s", "label"), [(3 * DAY_S, r"\d\d? \w{3,4}, \d\d:\d\d"), (3600, r"\d\d:\d\d:\d\d")]
)
def test_the_time_axis_tells_the_day_where_there_are_several(open_alone, tmp_path, lasts_s, label):
    begun_s = 1.7e9
    keep(tmp_path, "one", make_metrics(1, time_unix_s=begun_s),
         make_metrics(2, time_unix_s=begun_s + lasts_s))  # fmt: skip
    with serve_dashboard(tmp_path, *NOBODY) as url:
        page = open_alone()
        page.add_init_script(RECORD_TEXTS)
        tell_page(page, url, "one")
        page.get_by_label("Horizontal axis").select_option("time")
        until(page, "window.texts.some((text) => text.includes(':'))")
        told = [text for text in page.evaluate("window.texts") if ":" in text]
        assert [text for text in told if not re.fullmatch(label, text)] == []


def test_no_speed_is_shown_while_nothing_is_stepped(told):
    speed = told.page.locator('[data-figure="steps/s"]')
    wait_for(lambda: speed.inner_text() == "2,000", "no speed is shown")
    told.change(state="paused")
    wait_for(lambda: speed.inner_text() == "\u2013", "a speed is shown in a pause")


def test_the_speed_that_is_reached_is_shown_where_one_is_set(told):
    reached = told.page.locator(".speed .reached")
    told.change(speed=1.0, real_time_factor=0.7)
    wait_for(lambda: reached.inner_text() == "0.70\u00d7 reached", "the factor is not shown")
    told.change(speed=None)
    reached.wait_for(state="detached")


def test_the_shares_of_the_rewards_components_are_drawn_and_follow_the_reward(told):
    key = told.page.locator('[data-chart="components"] .key li')
    wait_for(lambda: key.all_inner_texts() == ["control 0.25", "forward 0.75"], "no shares")
    told.add_point(4, component_shares={"effort": 0.5, "forward": 0.5})
    shares = ["effort 0.50", "forward 0.50"]
    wait_for(lambda: key.all_inner_texts() == shares, "another reward has other components")


def test_space_scrolls_where_there_is_something_to_scroll_and_pauses_elsewhere(told):
    page = told.page
    page.keyboard.press("g")
    page.locator(".drawer").wait_for()
    page.keyboard.press(" ")
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="detached")
    page.locator(".chart-list").focus()
    page.keyboard.press(" ")
    page.locator(".grid canvas").focus()
    assert told.commanded() == []
    page.keyboard.press(" ")
    wait_for(lambda: told.commanded() == [{"kind": "pause"}], "the run is not paused")


def test_keys_of_a_single_letter_can_be_turned_off(told):
    page = told.page
    page.keyboard.press("s")
    page.get_by_label("keys of a single letter or sign").uncheck()
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="detached")
    for key in ("r", "g", "?"):
        page.keyboard.press(key)
    page.keyboard.press(" ")
    wait_for(lambda: told.commanded() == [{"kind": "pause"}], "the run is not paused")
    assert page.locator(".drawer, dialog").count() == 0


def test_esc_closes_a_drawer_from_wherever_the_focus_is(told):
    page = told.page
    page.keyboard.press("g")
    page.locator(".drawer").wait_for()
    page.locator(".grid canvas").focus()
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="detached")
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"


def test_a_goal_that_is_typed_is_there_after_other_drawers(told):
    page = told.page
    page.keyboard.press("g")
    page.get_by_label("What should it learn?").fill("run backwards")
    page.get_by_label("Reached at a fitness of").fill("2.5")
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="detached")
    page.keyboard.press("f")
    page.keyboard.press("g")
    assert page.get_by_label("What should it learn?").input_value() == "run backwards"
    page.get_by_role("button", name="Set the goal").click()
    assert "goal is set" in outcome(page)
    wanted = {"kind": "set_goal", "description": "run backwards", "target": 2.5}
    assert told.commanded() == [wanted]
    assert page.get_by_label("What should it learn?").input_value() == ""
    assert page.get_by_label("Reached at a fitness of").input_value() == ""


def test_a_field_that_was_emptied_is_not_sent_as_a_zero(told):
    page = told.page
    page.keyboard.press("s")
    low = page.get_by_label("gravity, low")
    change = page.locator(".block", has=low).get_by_role("button", name="Change")
    low.fill("")
    assert change.get_attribute("aria-disabled") == "true"
    change.click(force=True)
    low.fill("0.5")
    assert change.get_attribute("aria-disabled") is None
    change.click()
    assert "In effect" in outcome(page)
    assert told.commanded() == [{"kind": "set_knobs", "knobs": {"gravity": [0.5, 1.0]}}]


KNOCKS = """
    window.knocks = [];
    window.WebSocket = class {
        static OPEN = 1;
        readyState = 0;
        constructor() {
            window.knocks.push(performance.now());
            setTimeout(() => {
                if (%s) this.onopen();
                this.onclose({code: 1006, reason: %s});
            });
        }
        send() {}
        close() {}
    };
"""


@pytest.mark.parametrize(
    ("opens", "reason", "said"),
    [
        ("false", "", "WebSockets"),
        ("true", "", "WebSockets"),
        ("true", "too many pages are open", "too many pages are open"),
    ],
    ids=["refused", "closed at once", "full"],
)
def test_who_is_not_let_in_is_told_why_and_knocks_ever_more_seldom(
    open_alone, alone, opens, reason, said
):
    page = open_alone()
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.add_init_script(KNOCKS % (opens, json.dumps(reason)))
    page.goto(alone)
    wait_for(lambda: page.evaluate("window.knocks.length") == 1, "it does not knock")
    page.clock.run_for(120_000)
    page.locator(".banner", has_text=said).wait_for()
    knocks = page.evaluate("window.knocks")
    gaps_s = [int((b - a) / 1000) for a, b in itertools.pairwise(knocks)]
    assert gaps_s[:3] == [0, 0, 1]
    assert sum(gap_s <= 2 for gap_s in gaps_s) <= 8
    assert gaps_s[-5:] == [10] * 5


def test_a_role_that_looks_is_left_for_another_token(open_alone, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(f"view {VIEW}\ncontrol {CONTROL}\n")
    tokens.chmod(0o600)
    keep(tmp_path, "one", make_metrics(1), make_state(2, "finished"))
    with serve_dashboard(tmp_path, *NOBODY, "--token-file", str(tokens)) as url:
        page = open_alone()
        page.goto(f"{url}/#token={VIEW}")
        page.locator(".speed", has_text="you can only look").wait_for()
        page.get_by_role("button", name="Log out").click()
        page.get_by_label("Token").fill(CONTROL)
        assert page.context.cookies() == []
        page.get_by_role("button", name="Open").click()
        page.locator(".chip.state", has_text="finished").wait_for()
        assert page.get_by_role("button", name="Log out").count() == 0
