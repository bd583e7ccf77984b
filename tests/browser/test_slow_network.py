"""A slow network: figures come in parts, none is old, and every environment has its turn."""

import statistics
import struct

import pytest
from live_page import MANY_ENVS, drawn, send, soonest, start_stack, stats, stop_stack, wait_for
from slow_way import SLOW_BYTES_PER_S, SlowWay

from websim_dashboard.binary import FIGURES

pytestmark = pytest.mark.timeout(300)

MAX_AGE_MS = 500
"""Of what is seen, since the service made it."""


@pytest.fixture(scope="module")
def ants(stack, tmp_path_factory):
    """Robots of many points, in a stack of their own; the shared one rests meanwhile."""
    send(stack, "pause")
    place = tmp_path_factory.mktemp("ants") / "run"
    options = ("--num-envs", str(MANY_ENVS), "--total-steps", "500000000", "--adapt", "off")
    running = start_stack(place, "--task", "Ant-v5", *options)
    yield running
    stop_stack(running)
    send(stack, "resume")


def test_over_a_megabit_no_figure_is_old_and_all_environments_move(ants, open_page):
    frames = []

    def note(data):
        if isinstance(data, bytes) and data[2] == FIGURES:
            frames.append((len(data), *struct.unpack_from("<II", data, 32)))

    with SlowWay(ants.url) as url:
        page = open_page("about:blank", live=False)
        page.on("websocket", lambda socket: socket.on("framereceived", note))
        page.goto(url)
        drawn(page, MANY_ENVS)
        page.wait_for_timeout(3000)

        def age_ms() -> float:
            ages = []
            for _ in range(40):
                ages.append(stats(page)["frameAgeMs"])
                page.wait_for_timeout(100)
            return statistics.median(ages)

        assert soonest(MAX_AGE_MS, age_ms) < MAX_AGE_MS, "figures are old"
        frames.clear()

        def all_came_twice() -> bool:
            page.wait_for_timeout(100)
            times = [0] * MANY_ENVS
            for _, first, count in frames:
                for env in range(first, first + count):
                    times[env] += 1
            return min(times) >= 2

        wait_for(all_came_twice, "some environments have no turn")
    assert max(size for size, _, _ in frames) < SLOW_BYTES_PER_S * MAX_AGE_MS / 1000
