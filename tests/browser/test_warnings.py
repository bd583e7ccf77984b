"""What the learner warns of reaches a person: on the timeline, and while it is new at the edge."""

import pytest
from live_page import serve_dashboard, wait_for
from told_page import NOBODY, keep, make_change, make_point, tell_page

pytestmark = pytest.mark.timeout(300)

LOST = "fleet lost; going on from update 2"


def not_finite(transitions):
    """The words that differ from update to update in a number."""
    return f"reward p_1 was not a finite number in {transitions} transitions; 0 was learned instead"


def warn(told, number, title):
    event = {"number": number, "kind": "warning", "title": title, "detail": "", "adaptation": 0}
    place = {"update": number, "env_steps": 1000 * number, "time_unix_s": 1.7e9, "values": {}}
    told.tell(type="event", run_key="one", event=event | place)


def test_warnings_of_before_are_on_the_timeline_and_those_of_one_kind_are_one(open_alone, tmp_path):
    told = [not_finite(3), not_finite(40), not_finite(7), LOST]
    changes = (make_change(n, "warning", message=text) for n, text in enumerate(told, 2))
    keep(tmp_path, "one", make_point(1), *changes, make_point(10))
    with serve_dashboard(tmp_path, *NOBODY) as url:
        page = tell_page(open_alone(), url, "one").page
        cards = page.locator(".timeline .card.warn")
        wait_for(lambda: cards.count() == 2, "warnings are not told")
        lost, broken = cards.all()
        assert "warning" in lost.locator(".card-head").inner_text()
        assert lost.locator(".why").inner_text() == LOST
        assert broken.locator(".why").inner_text() == not_finite(7)
        assert broken.locator(".what").inner_text() == "3 times since 2,000 steps"
        # They are no news.
        assert page.locator(".notice").count() == 0


def test_a_new_warning_is_told_at_the_edge_once_while_its_notice_stands(told):
    page, notices = told.page, told.page.locator(".notice.warning")
    for number in range(20, 26):
        warn(told, number, not_finite(number))
    warn(told, 30, LOST)
    notices.filter(has_text=LOST).wait_for()
    assert notices.count() == 2
    assert page.locator(".timeline .card.warn").count() == 2
    first = notices.filter(has_text="not a finite number")
    first.get_by_role("button", name="Dismiss").click()
    first.wait_for(state="detached")
    warn(told, 31, not_finite(8))
    first.wait_for()
