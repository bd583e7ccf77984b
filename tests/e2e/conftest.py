"""One real fleet for the tests that only use it; tests that hurt a fleet start their own."""

from collections.abc import Callable, Iterator

import pytest

from websim.client import FleetVectorEnv, make_vec
from websim.local.fleet import LocalFleet


@pytest.fixture(scope="session")
def fleet() -> Iterator[LocalFleet]:
    with LocalFleet(2) as running:
        yield running


@pytest.fixture
def make_env(fleet: LocalFleet) -> Iterator[Callable[..., FleetVectorEnv]]:
    """make_vec on the shared fleet; what it made is closed after the test."""
    made = []

    def make(task: str = "HalfCheetah-v5", num_envs: int = 64, **options) -> FleetVectorEnv:
        options = {"seed": 0, "fleet": fleet.client_address} | options
        made.append(make_vec(task, num_envs, **options))
        return made[-1]

    yield make
    for env in made:
        env.close()
