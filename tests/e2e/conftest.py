"""Two real fleets: one for tests that only use it, one for tests that hurt it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from websim.client import FleetVectorEnv, make_vec
from websim.local.fleet import LocalFleet

HEALED_WITHIN_S = 60.0
"""A start of Python and a few reconnections, on a machine that is busy with other things."""


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
    """Heals the fleet that tests may hurt: `whole(2)` returns it with two workers, all well."""

    def heal(workers: int) -> LocalFleet:
        _fragile.scale(workers)
        give_up_s = time.monotonic() + HEALED_WITHIN_S
        while registered(_fragile) != set(_fragile.ready_worker_pids()) or (
            len(_fragile.ready_worker_pids()) != workers
        ):
            assert _fragile.failure is None
            assert time.monotonic() < give_up_s, "the fleet is not whole again in time"
            time.sleep(0.02)
        return _fragile

    return heal


def registered(fleet: LocalFleet) -> set[int]:
    """Return the process ids of the workers that the orchestrator knows and hears."""
    try:
        with urllib.request.urlopen(f"{fleet.http_url}/v1/workers", timeout=10) as response:
            workers = json.load(response)
    except (urllib.error.URLError, ConnectionError):
        return set()  # it is being started again
    return {worker["pid"] for worker in workers if not worker["draining"]}


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
