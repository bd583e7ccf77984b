"""The short form, for every change: build, up, one scale, down."""

from collections.abc import Iterator

import pytest
from stack import Stack

SETTINGS = {
    "WEBSIM_SIM_WORKERS": "1",
    "WEBSIM_LEARNER_NUM_ENVS": "64",
    "WEBSIM_LEARNER_TOTAL_STEPS": "100000000",
    "WEBSIM_DASHBOARD_PORT": "0",  # a free one
}


@pytest.fixture
def stack() -> Iterator[Stack]:
    stack = Stack("short", SETTINGS)
    stack.build()
    try:
        yield stack
    finally:
        stack.close()


@pytest.mark.timeout(2000)
def test_it_builds_trains_scales_and_is_gone(stack):
    stack.up(workers=1)
    stack.await_training()
    stack.up(workers=2)
    stack.await_workers(2)
    stack.await_training()
    stack.down()
    label = f"label=com.docker.compose.project={stack.name}"
    assert stack.run("docker", "ps", "-aq", "--filter", label) == ""
