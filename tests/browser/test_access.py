"""With tokens: a login first; the role view looks and cannot act."""

import pytest
from live_page import child_pids, drawn, serve_dashboard
from reach import axe_findings, not_reached_by_tab

pytestmark = pytest.mark.timeout(300)

VIEW = "look-at-it-0123456789abcdefghijklmnop"
CONTROL = "steer-it-0123456789abcdefghijklmnopqr"


@pytest.fixture(scope="module")
def guarded(stack, tmp_path_factory):
    """Another dashboard of the same learner and fleet, which asks for tokens."""
    place = tmp_path_factory.mktemp("guarded")
    tokens = place / "tokens"
    tokens.write_text(f"view {VIEW}\ncontrol {CONTROL}\n")
    tokens.chmod(0o600)
    command = next(
        line for line in child_pids(stack.process.pid).values() if "websim_dashboard" in line
    ).split()
    told = {flag: command[command.index(flag) + 1] for flag in command if flag.startswith("--")}
    options = ("--learner", "--orchestrator", "--telemetry")
    same = [word for flag in options for word in (flag, told[flag])]
    with serve_dashboard(place, *same, "--token-file", str(tokens)) as url:
        yield url


def log_in(page, token):
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Open").click()


def test_who_has_no_token_sees_a_form_and_nothing_else(open_page, guarded):
    page = open_page(guarded, live=False)
    page.get_by_label("Token").wait_for()
    assert page.locator("canvas").count() == 0
    assert axe_findings(page) == []
    assert not_reached_by_tab(page) == []
    log_in(page, "not-a-token-0123456789abcdefghijklmnop")
    page.locator(".login .bad", has_text="token").wait_for()


def test_the_role_view_looks_and_cannot_act(open_page, guarded):
    page = open_page(guarded, live=False)
    log_in(page, VIEW)
    drawn(page, 1)
    pause = page.get_by_role("button", name="Pause")
    assert pause.get_attribute("aria-disabled") == "true"
    assert "role view" in pause.get_attribute("title")
    pause.click(force=True)
    page.keyboard.press(" ")
    page.keyboard.press("r")
    adopt = page.get_by_role("button", name="Adopt now")
    assert adopt.get_attribute("aria-disabled") == "true"
    page.wait_for_timeout(1000)
    assert "paused" not in page.locator(".chip.state").inner_text()
    # Not only the page: the service refuses, too.
    answer = page.evaluate(
        """fetch('api/v1/run/commands', {method: 'POST', body: '{"kind": "pause"}',
            headers: {'Content-Type': 'application/json'}}).then(answer => answer.status)"""
    )
    assert answer == 403


def test_a_token_behind_the_hash_lets_in_and_leaves_the_address(open_page, guarded, heard):
    page = open_page(f"{guarded}/#token={VIEW}", live=False)
    drawn(page, 1)
    assert page.url == f"{guarded}/"
    assert page.evaluate("history.length") <= 2
    assert not any(VIEW in url.split("#")[0] for url in heard.urls)
    page.locator(".speed", has_text="you can only look").wait_for()
    page.keyboard.press("g")
    page.locator(".drawer", has_text="you can only look").wait_for()
    # A link into a page that is open already.
    page.goto(f"{guarded}/#token={CONTROL}")
    page.locator(".speed .only-looks").wait_for(state="detached")
    assert page.url == f"{guarded}/"


def test_a_token_elsewhere_in_the_address_is_not_taken(open_page, guarded):
    page = open_page(f"{guarded}/?token={VIEW}", live=False)
    page.locator(".login .bad", has_text="behind #").wait_for()
    assert page.url == f"{guarded}/"
    page.goto(f"{guarded}/#token=not-a-token-0123456789abcdefghijklmnop")
    page.locator(".login .bad", has_text="not good").wait_for()
    assert page.url == f"{guarded}/"


def test_the_role_control_acts_and_stays_logged_in(open_page, guarded):
    page = open_page(guarded, live=False)
    log_in(page, CONTROL)
    drawn(page, 1)
    page.reload()
    drawn(page, 1)
    page.keyboard.press(" ")
    page.locator(".chip.state", has_text="paused").wait_for()
    page.keyboard.press(" ")
    page.locator(".chip.state", has_text="training").wait_for()
