"""What the strip at the bottom makes of a run's log: what was changed, by whom, what came of it."""

import pytest
from dashboard_samples import make_goal
from live_page import serve_dashboard, wait_for
from told_page import NOBODY, keep, log_row, make_point, tell_log, tell_page

pytestmark = pytest.mark.timeout(300)

WON = {"promote": True, "winner": "direct", "sentence": "direct gains 0.052"}
WON |= {"gain_mean": 0.052, "gain_low": 0.02}
AS_IT_IS = {"n": 0, "description": "", "kind": "task", "unit": ""}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The address of a dashboard that has a history of three updates, and nobody to ask."""
    place = tmp_path_factory.mktemp("timeline")
    keep(place, "one", *(make_point(n) for n in range(1, 4)))
    with serve_dashboard(place, *NOBODY) as url:
        yield url


@pytest.fixture
def open_log(open_alone, alone):
    """Open a page that is told these rows of the log, and these rewards of the run."""

    def make(rows, rewards=(), **status):
        page = open_alone()
        tell_log(page, rows)
        told = {"in_force": "task", "rewards": list(rewards)}
        page.route("**/api/v1/rewards", lambda route: route.fulfill(json=told))
        page.route("**/api/v1/goal", lambda route: route.fulfill(json=make_goal(goal=AS_IT_IS)))
        tell_page(page, alone, "one").change(**status)
        return page

    return make


def trial(first, adaptation, names, **decision):
    """Rows of an adaptation whose candidates pass the gate as p_<name> and are tried."""
    told = [{"name": name, "source": "", "origin": "library"} for name in names]
    verdicts = (
        log_row(n, "verdict", adaptation, name=name, accepted=True, program_id=f"p_{name}")
        for n, name in enumerate(names, first + 1)
    )
    last = log_row(first + len(names) + 1, "decision", adaptation, **decision)
    return [log_row(first, "answer", adaptation, candidates=told), *verdicts, last]


def goal(n, **values):
    return log_row(n, "goal", 0) | {"values": values}


def cards(page, *heads):
    """Return the cards, newest first, once they are as many as these words of their heads."""
    found = page.locator(".timeline .card")
    wait_for(lambda: found.count() == len(heads), f"{found.count()} cards, not {heads}")
    for card, words in zip(found.all(), heads, strict=True):
        assert all(word in card.locator(".card-head").inner_text() for word in words), words
    return found.all()


def reward(reward_id, name, origin="person"):
    rest = {"outcome": "adopted", "source": "", "hypothesis": "", "reason": "", "adaptation": 0}
    numbers = {"update": 0, "goal": 0, "fitness_gain": None, "fitness_gain_low": None}
    return {"id": reward_id, "name": name, "origin": origin} | rest | numbers


@pytest.mark.parametrize("number", [0, 1], ids=["now", "by an earlier version"])
@pytest.mark.parametrize(
    ("reward_id", "name"),
    [("p_other", "a reward written by hand"), ("p_direct", "direct (#1)")],
    ids=["another reward", "the same reward"],
)
def test_what_a_person_adopts_beside_the_loop_is_a_step_of_its_own(
    open_log, number, reward_id, name
):
    page = open_log(
        [
            *trial(1, 1, ["direct"], decision=WON),
            log_row(4, "waiting", sentence="direct gains 0.052"),
            log_row(5, "adopted", reward_id="p_direct", why="a person says yes", by="person"),
            log_row(6, "rolled_back", undone="p_direct", why="a person takes it back", by="person"),
            log_row(7, "adopted", number, reward_id=reward_id, why="as wished", by="person"),
        ],
        [reward("p_other", "by hand")],
    )
    adopted, taken_back, first = cards(
        page, ["adopted", "by a person"], ["rolled back"], ["#1", "rolled back", "+0.052"]
    )
    assert adopted.locator(".why").inner_text() == f"{name} is adopted"
    assert taken_back.locator(".why").inner_text() == "direct (#1) is taken back"
    assert "adopted" not in first.locator(".card-head").inner_text()


def test_what_is_changed_in_a_pause_is_told_newest_first(open_log):
    page = open_log([
        log_row(1, "adopted", 0, reward_id="task", why="a person adopts it", by="person"),
        log_row(2, "rolled_back", 0, undone="task", why="as wished", by="person")
        | {"env_steps": 1000},
    ])  # fmt: skip
    cards(page, ["rolled back"], ["adopted"])


def test_a_gain_has_the_unit_in_which_it_was_measured(open_log):
    backwards = {"description": "run backwards", "kind": "program", "unit": "m"}
    page = open_log(
        [
            *trial(1, 1, ["direct"], decision=WON),
            *trial(5, 2, ["bold"], decision=WON, unit="paces"),
            goal(9, **backwards),
            *trial(10, 3, ["smooth"], decision=WON),
        ],
        fitness_unit="m/s",
    )
    told = page.locator(".timeline .effect")
    wait_for(lambda: told.all_inner_texts() == ["+0.052 m", "+0.052 paces", "+0.052"], "no units")


def test_the_card_of_an_adoption_says_which_candidate_won_and_why(open_log):
    names = ["direct", "bounded", "smooth"]
    page = open_log([
        *trial(1, 1, names, decision=WON),
        log_row(6, "waiting", sentence="direct gains 0.052"),
        log_row(7, "adopted", reward_id="p_direct", why="a person says yes", by="person"),
    ])  # fmt: skip
    [card] = cards(page, ["#1", "adopted"])
    assert card.locator(".what").inner_text() == "direct of direct, bounded, smooth"
    assert card.locator(".decision").inner_text() == "direct gains 0.052 · a person says yes"


def test_another_task_is_a_step_that_names_it(open_log):
    measure = "the own fitness of Ant-v5"
    ant = {"description": "", "kind": "task", "task": "Ant-v5", "fitness_description": measure}
    page = open_log([
        goal(1, description="run backwards", kind="program", by="person"),
        goal(2, by="person", **ant),
    ])  # fmt: skip
    changed, _ = cards(page, ["task", "by a person"], ["goal"])
    assert changed.locator(".why").inner_text() == "Ant-v5"
    assert changed.locator(".what").inner_text() == measure
    assert page.locator(".goal-text").inner_text() == "the task as it is"


@pytest.mark.parametrize("by", ["person", "curriculum"])
def test_who_took_a_step_is_told_in_full(open_log, by):
    page = open_log([log_row(1, "knobs", 0, difficulty=0.5, why="", by=by)])
    [card] = cards(page, ["environment"])
    decider = card.locator(".decider")
    assert decider.evaluate("each => each.scrollWidth <= each.clientWidth")
    assert decider.inner_text() == {"person": "by a person", "curriculum": "by the curriculum"}[by]
