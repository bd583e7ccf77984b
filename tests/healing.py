"""Makes a fleet that was hurt whole again, so that one fleet serves many tests."""

import json
import time
import urllib.error
import urllib.request

from websim.local.fleet import LocalFleet

HEALED_WITHIN_S = 60.0
"""A start of Python and a few reconnections, on a machine that is busy with other things."""


def heal(fleet: LocalFleet, workers: int) -> LocalFleet:
    """Wait until there are so many workers, and the orchestrator hears them and no others."""
    fleet.scale(workers)
    give_up_s = time.monotonic() + HEALED_WITHIN_S
    while not is_whole(fleet, workers):
        assert fleet.failure is None
        assert time.monotonic() < give_up_s, "the fleet is not whole again in time"
        time.sleep(0.02)
    return fleet


def is_whole(fleet: LocalFleet, workers: int) -> bool:
    try:
        with urllib.request.urlopen(f"{fleet.http_url}/v1/workers", timeout=10) as response:
            views = json.load(response)
    except (urllib.error.URLError, ConnectionError):
        return False  # the orchestrator is being started again
    registered = sorted(view["pid"] for view in views if not view["draining"])
    return registered == sorted(fleet.ready_worker_pids()) and len(registered) == workers
