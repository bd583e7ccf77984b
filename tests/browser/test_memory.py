"""What a page keeps while it watches a run: curves and events, and nothing of the pictures."""

import os
import statistics
import time

import pytest
from live_page import MANY_ENVS, drawn, stats

LONG = int(os.environ.get("WEBSIM_CHAOS_SCALE", "1")) > 1

WATCHED_S = 300.0 if LONG else 25.0
WARM_UP_S = WATCHED_S / 5
"""Until what is made once is there."""

SAMPLE_S = WATCHED_S / 50

MAX_GROWTH = 0.5 if LONG else 5.0
"""MB a minute. Pictures that were kept would be 20 and more; within seconds a few that are on their
way make a slope of 1."""

LONG_LOG = 60_000
"""Rows; a copy of the rows before for each of them would be 7 GB."""

pytestmark = [pytest.mark.timeout(WATCHED_S + 275), pytest.mark.usefixtures("many_envs")]


def test_the_heap_does_not_grow_while_a_run_is_watched(open_page, record_property):
    page = open_page()
    drawn(page, MANY_ENVS)
    devtools = page.context.new_cdp_session(page)

    def heap_mb() -> float:
        """What is in use after a collection, arrays' memory among it."""
        devtools.send("HeapProfiler.collectGarbage")
        usage = devtools.send("Runtime.getHeapUsage")
        return (usage["usedSize"] + usage["backingStorageSize"]) / 1e6

    began_s, first_seq = time.monotonic(), stats(page)["seq"]
    minutes, heap = [], []
    while (now_s := time.monotonic() - began_s) < WATCHED_S:
        used_mb = heap_mb()
        if now_s > WARM_UP_S:
            minutes.append(now_s / 60)
            heap.append(used_mb)
        page.wait_for_timeout(SAMPLE_S * 1000)
    pictures = stats(page)["seq"] - first_seq
    growth = statistics.linear_regression(minutes, heap).slope
    record_property("heap_mb", [heap[0], heap[-1]])
    record_property("heap_growth_mb_per_min", growth)
    assert pictures > WATCHED_S, "the picture stood still"
    assert growth < MAX_GROWTH, (growth, heap)


def test_a_long_log_of_adaptations_takes_no_more_than_its_rows(open_page, stack):
    page = open_page("about:blank", live=False)
    row = {"update": 0, "env_steps": 0, "adaptation": 0}
    rows = [row | {"n": n, "kind": "trigger", "values": {"trigger": None}} for n in range(LONG_LOG)]
    rows.append(row | {"n": LONG_LOG, "kind": "goal", "values": {"description": "the last row"}})
    page.route("**/api/v1/adaptations?after=0&*", lambda route: route.fulfill(json=rows))
    page.goto(stack.url)
    page.locator(".timeline .card.step", has_text="the last row").wait_for()
    assert stats(page)["jsErrors"] == 0
