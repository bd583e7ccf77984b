"""Two real fleets: one for tests that only use it, one for tests that hurt it."""

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from websim.client import FleetVectorEnv, make_vec
from websim.local.fleet import LocalFleet

sys.path.insert(0, str(Path(__file__).parents[1]))

from healing import heal


@pytest.fixture(scope="session")
def fleet() -> Iterator[LocalFleet]:
    with LocalFleet(2) as running:
        yield running


@pytest.fixture(scope="session")
def _fragile() -> Iterator[LocalFleet]:
    with LocalFleet(1) as running:
        yield running


@pytest.fixture(scope="session")
def whole(_fragile: LocalFleet) -> Callable[[int], LocalFleet]:
    """The fleet that tests may hurt: `whole(2)` returns it with two workers, all well."""
    return functools.partial(heal, _fragile)


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
