"""Rewards are written, checked while typing, adopted and taken back, while training goes on."""

import json
import urllib.request

import pytest
from live_page import RECORD_TEXTS, drawn, outcome, send, tell_status, until, wait_for

pytestmark = pytest.mark.timeout(300)

WRONG = (
    "def reward(state, action):\n    speed = state.x_velocity\n    import os\n    return speed\n"
)
RIGHT = (
    "def reward(state, action):\n    effort = np.sum(np.square(action), axis=1)\n"
    '    total = state.x_velocity - 0.05 * effort\n    return total, {"effort": effort}\n'
)
HOSTILE = (
    "def reward(state, action):\n"
    "    # <img src=x onerror=window.hacked=1><script>hacked=1</script>\n"
    "    return state.x_velocity\n"
)


def steps_of(page):
    return page.evaluate("fetch('api/v1/status').then(a => a.json()).then(s => s.env_steps)")


def open_editor(page):
    page.keyboard.press("r")
    page.get_by_role("tab", name="Editor").click()
    return page.get_by_label("Reward program")


def test_a_wrong_edit_shows_its_line_and_training_goes_on(open_page, heard):
    page = open_page()
    editor = open_editor(page)
    before = steps_of(page)
    editor.fill(WRONG)
    message = page.locator(".gate").get_by_text("Line 3")
    message.wait_for()
    assert page.locator(".editor .wrong .number").inner_text() == "3"
    assert "import" in page.locator(".editor .lens").inner_text()
    try_it = page.get_by_role("button", name="Try it beside the present one")
    assert try_it.get_attribute("aria-disabled") == "true"
    message.click()
    assert page.evaluate("document.activeElement.selectionStart") >= WRONG.index("import")
    wait_for(lambda: steps_of(page) > before, "training stopped")
    assert heard.errors == []


def test_what_a_trial_run_of_a_reward_shows_is_told_at_its_line(open_page):
    page = open_page()
    editor = open_editor(page)
    editor.fill("def reward(state, action):\n    return np.log(state.x_velocity)\n")
    page.locator(".gate").get_by_text("Line 2").wait_for()
    assert "np.log needs x > 0" in page.locator(".editor .lens").inner_text()
    editor.fill("def reward(state, action):\n    return 1e6 * state.x_velocity\n")
    page.locator(".gate").get_by_text("beyond 1000").wait_for()
    try_it = page.get_by_role("button", name="Try it beside the present one")
    assert try_it.get_attribute("aria-disabled") == "true"


def test_without_the_gate_the_languages_word_is_said_to_be_no_more(open_page):
    page = open_page()
    verdict = {"ok": True, "id": "p_1", "messages": [], "components": [], "judged_by": "language"}
    page.route("**/api/v1/rewards/check", lambda route: route.fulfill(json=verdict))
    open_editor(page).fill(RIGHT)
    page.get_by_text("The language accepts it. Language only.").wait_for()


def test_the_tasks_own_reward_can_be_gone_on_from(open_page):
    page = open_page()
    editor = open_editor(page)
    wait_for(lambda: "healthy_reward = 1.0" in editor.input_value(), "the task's reward is shown")
    own = editor.input_value()
    editor.fill(own.replace("healthy_reward = 1.0", "healthy_reward = 0.5"))
    page.get_by_text("The gate accepts it: forward, healthy, ctrl_cost").wait_for()


def test_a_right_one_is_adopted_lands_on_timeline_and_charts_and_is_taken_back(open_page, stack):
    page = open_page("about:blank", live=False)
    page.add_init_script(RECORD_TEXTS)
    page.goto(stack.url)
    drawn(page, 1)
    editor = open_editor(page)
    editor.fill(RIGHT)
    page.get_by_text("The gate accepts it: effort").wait_for()
    page.get_by_role("button", name="Difference to the reward in force").click()
    page.locator(".diff-line.added").first.wait_for()
    page.get_by_label("even if it prefers worse behaviour").check()
    page.get_by_role("button", name="Adopt now").click()
    assert "In force at update" in outcome(page)
    card = page.locator(".timeline .card.step.good").first
    card.wait_for()
    assert "adopted" in card.inner_text()
    assert page.locator(".timeline .card.step.bad").count() == 0
    until(page, "window.texts.includes('▲')")
    assert "▼" not in page.evaluate("window.texts")
    page.get_by_role("tab", name="All rewards").click()
    in_force = page.locator(".reward-list .in-force")
    in_force.get_by_text("by hand", exact=True).wait_for()
    assert "in force" in in_force.inner_text()
    own = page.locator(".reward-list li", has=page.get_by_text("the task's own", exact=True))
    own.locator("header button").click()
    assert "healthy_reward = 1.0" in own.locator(".code").first.inner_text()
    own.locator(".diff-line.removed", has_text="effort").first.wait_for()
    page.get_by_role("button", name="Take back the last adoption").click()
    assert "Taken back at update" in outcome(page)
    card = page.locator(".timeline .card.step.bad").first
    card.wait_for()
    assert "a person takes it back" in card.inner_text()
    until(page, "window.texts.includes('▼')")
    in_force.get_by_text("the task's own", exact=True).wait_for()


def test_a_refused_command_says_why(open_page):
    page = open_page()
    open_editor(page)
    page.get_by_role("tab", name="All rewards").click()
    page.get_by_role("button", name="Take back the last adoption").click()
    assert "there is nothing to take back" in outcome(page)


def test_text_of_a_reward_is_never_html(open_page, heard):
    page = open_page()
    editor = open_editor(page)
    editor.fill(HOSTILE)
    page.get_by_text("The gate accepts it").wait_for()
    page.get_by_role("button", name="Difference to the reward in force").click()
    page.locator(".diff-line.added").first.wait_for()
    assert page.locator(".drawer img, .drawer script").count() == 0
    assert page.evaluate("window.hacked") is None
    assert not any(url.endswith("/x") for url in heard.urls)


def test_a_goal_waits_for_a_yes_and_is_rejected(open_page, stack):
    page = open_page()
    page.keyboard.press("g")
    page.get_by_label("The run adapts").select_option("approve")
    assert "In effect at update" in outcome(page)
    try:
        page.get_by_label("What should it learn?").fill("run backwards")
        page.get_by_role("button", name="Set the goal").click()
        pending = page.locator(".drawer .pending", has_text="run backwards")
        pending.wait_for(timeout=60_000)
        pending.get_by_label("Why not").fill("it should hop")
        with page.expect_request("**/api/v1/run/commands") as sent:
            pending.get_by_role("button", name="Reject").click()
        assert sent.value.post_data_json["reason"] == "it should hop"
        pending.wait_for(state="detached", timeout=60_000)
    finally:
        send(stack, "set_adapt", mode="off")


def test_a_goal_that_is_only_measured_says_so_with_the_switch_beside_it(open_page):
    page = open_page()
    commands = []

    def apply(route):
        commands.append(route.request.post_data_json)
        told = "jump; it is only measured until the run adapts"
        detail = told if commands[-1]["kind"] == "set_goal" else ""
        route.fulfill(json={"update": 7, "env_steps": 7000, "detail": detail})

    page.route("**/api/v1/run/commands", apply)
    tell_status(page, goal="run backwards", adapt_mode="off", adapting="", pending=None)
    page.reload()
    drawn(page, 1)
    card = page.locator(".goal-card")
    assert "only measured" in card.inner_text()
    card.get_by_label("The run adapts").select_option("approve")
    card.get_by_text("In effect at update 7").wait_for()
    page.keyboard.press("g")
    drawer = page.get_by_role("dialog")
    drawer.get_by_label("What should it learn?").fill("jump")
    drawer.get_by_role("button", name="Set the goal").click()
    assert "only measured until the run adapts" in outcome(page)
    assert "only measured" in drawer.locator(".note").inner_text()
    drawer.get_by_label("The run adapts").select_option("auto")
    drawer.get_by_text("In effect at update 7").wait_for()
    assert [each.get("mode") for each in commands] == ["approve", None, "auto"]


def test_a_trial_says_how_far_it_is_and_its_candidates_come_first(open_page, heard):
    page = open_page()
    assert page.locator(".legend").inner_text().endswith("return of the episode so far")
    sentence = "trial, round 1 of 2: control, direct"
    tell_status(page, state="trial", adapting=sentence, goal="run backwards")
    page.reload()
    drawn(page, 1)
    assert sentence in page.locator(".trial-note").inner_text()
    assert page.locator('[data-figure="steps/s"]').inner_text() == "on trial"
    assert "the task's own reward" in page.locator(".legend").inner_text()
    assert "the task's own reward" in page.get_by_label("Sort").get_attribute("title")
    page.keyboard.press("r")
    assert page.get_by_role("tab", name="Candidates").get_attribute("aria-selected") == "true"
    assert heard.errors == []


def test_the_page_has_a_policy_without_exceptions(stack):
    with urllib.request.urlopen(stack.url, timeout=10) as answer:
        policy = answer.headers["Content-Security-Policy"]
        html = str(answer.read(), "utf-8")
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert not any(word in policy for word in ("unsafe", "data:", "blob:", "http"))
    assert not any(word in html for word in ("<style", "style=", "onload="))
    assert html.count("<script") == html.count('<script type="module" crossorigin src="./assets/')


@pytest.mark.parametrize(("kind", "shown"), [("program", True), ("none", False)])
def test_where_a_person_judges_no_number_is_shown(open_page, stack, kind, shown):
    page = open_page("about:blank", live=False)
    candidate = {"name": "direct", "source": "", "origin": "library", "hypothesis": ""}
    results = {"control": {"fitness": [1.0]}, "direct": {"fitness": [3.0]}}
    told = [
        ("goal", 0, {"description": "walk like a zombie", "kind": kind}),
        ("answer", 1, {"candidates": [candidate]}),
        ("round", 1, {"round": 1, "results": results, "stay": ["direct"]}),
    ]
    rows = [
        {"n": n, "update": 0, "env_steps": 0, "adaptation": number, "kind": name, "values": values}
        for n, (name, number, values) in enumerate(told, 1)
    ]
    page.route("**/api/v1/adaptations?after=0&*", lambda route: route.fulfill(json=rows))
    page.goto(stack.url)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Candidates").click()
    card = page.get_by_label("Candidate direct", exact=True)
    card.wait_for()
    assert ("fitness 3.00 (control 1.00)" in card.inner_text()) is shown
    assert (page.locator(".drawer figure.trial").count() > 0) is shown


def lines_of(page, label):
    """Vertical places of each contender's curve in a chart of a trial."""
    chart = page.get_by_role("img", name=label)
    chart.wait_for()
    groups = chart.locator("g[data-contender]")
    found = {}
    for i in range(groups.count()):
        points = groups.nth(i).locator("polyline").get_attribute("points").split()
        name = groups.nth(i).get_attribute("data-contender")
        found[name] = [float(each.split(",")[1]) for each in points]
    return found


def trial_point(n, contender, steps, fitness):
    return {
        "number": n, "adaptation": 1, "contender": contender, "trial_env_steps": steps,
        "return_mean": 10.0 * fitness, "fitness_mean": fitness,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("task", "Fitness of the contenders while they train"),
        ("none", "Return of the contenders while they train"),
    ],
)
def test_curves_of_a_trial_are_drawn_while_it_goes_on(open_page, stack, kind, label):
    page = open_page("about:blank", live=False)
    live = []

    def meet(route):
        route.connect_to_server().on_message(route.send)
        live.append(route)

    candidate = {"name": "direct", "source": "", "origin": "library", "hypothesis": ""}
    told = [("goal", 0, {"kind": kind}), ("answer", 1, {"candidates": [candidate]})]
    rows = [
        {"n": n, "update": 0, "env_steps": 0, "adaptation": number, "kind": name, "values": values}
        for n, (name, number, values) in enumerate(told, 1)
    ]
    known = [trial_point(1, "control", 100, 1.0), trial_point(2, "direct", 100, 1.0)]
    page.route_web_socket("**/api/v1/live", meet)
    page.route("**/api/v1/adaptations?after=0&*", lambda route: route.fulfill(json=rows))
    page.route("**/api/v1/adaptations/1/curves", lambda route: route.fulfill(json=known))
    page.goto(stack.url)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Candidates").click()
    wait_for(lambda: len(lines_of(page, label)["direct"]) == 1, "the points that are known")
    run_key = page.evaluate("fetch('api/v1/status').then(a => a.json()).then(s => s.run_key)")
    news = [trial_point(3, "direct", 200, 3.0), trial_point(4, "control", 200, 2.0)]
    live[-1].send(json.dumps({"type": "trial", "run_key": run_key, "points": news}))
    wait_for(lambda: len(lines_of(page, label)["control"]) == 2, "the points that are new")
    control, direct = (lines_of(page, label)[name] for name in ("control", "direct"))
    # From 1 to 3 over the height between 10 and 82: the control ends half way up.
    assert (control, direct) == ([82.0, 46.0], [82.0, 10.0])
