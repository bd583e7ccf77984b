"""Whatever happens to the processes of a fleet, its clients see every transition exactly once."""

import os
import signal
import statistics
import time
from collections import Counter

import pytest
from figures import note
from ledger import drive, problems
from proxy import Toxics
from storm import FOREVER, SCALE, Recoveries, beside, distant_workers, rage

from websim.local.fleet import ORCHESTRATOR, LocalFleet

LONG = SCALE > 1
WORKERS = 8 if LONG else 3
STORM_S = 5.0 * SCALE


def make_counts(**per_minute):
    """Counts of faults of a storm of STORM_S."""
    return {
        kind.replace("_", "-"): max(1, round(count * STORM_S / 60))
        for kind, count in per_minute.items()
    }


def note_storm(what, done, ledger, quiet):
    """Keep the figures of a storm, and what it cost against the same session in peace."""
    note(
        f"storm of {STORM_S:g} s, {what}",
        {
            **Counter(each.kind for each in done),
            "transitions": ledger.env_steps,
            "throughput loss": f"{1 - ledger.steps_per_s / quiet.steps_per_s:.0%}",
        },
    )


@pytest.fixture(scope="module")
def undisturbed():
    """Drives the same session on a fleet that is left in peace, and returns its ledger."""
    with LocalFleet(WORKERS) as fleet:
        yield lambda ledger: drive(fleet.client_address, ledger.lengths)


def test_workers_that_die_freeze_come_and_go_cost_time_but_no_transition(undisturbed):
    counts = make_counts(kill_worker=30, freeze_worker=6, scale=4)
    with LocalFleet(WORKERS) as fleet:
        ledger, done = rage(fleet, counts, STORM_S, seed=1)
        assert fleet.failure is None
        assert fleet.supervisor.num_starts(ORCHESTRATOR) == 1
    quiet = undisturbed(ledger)
    assert problems(ledger, quiet) == []
    assert ledger.episodes > 0
    note_storm(f"{WORKERS} workers", done, ledger, quiet)


def test_a_fleet_that_loses_its_orchestrator_loses_no_transition(undisturbed):
    # Workers are left alone: what neither has any more is not in the fleet, see docs/exactness.md.
    counts = make_counts(kill_orchestrator=10)
    with LocalFleet(2) as fleet:
        pids = fleet.worker_pids()
        ledger, done = rage(fleet, counts, STORM_S, seed=2)
        assert fleet.failure is None
        assert fleet.worker_pids() == pids
        starts = fleet.supervisor.num_starts(ORCHESTRATOR)
    assert starts == 1 + counts["kill-orchestrator"]
    quiet = undisturbed(ledger)
    assert problems(ledger, quiet) == []
    note_storm("kills of the orchestrator, 2 workers", done, ledger, quiet)


def test_a_bad_network_costs_time_but_no_transition(undisturbed):
    toxics = Toxics(latency_s=0.02, jitter_s=0.02, slice_bytes=64, reset_chance=0.002)
    with LocalFleet(1) as fleet, distant_workers(fleet, 2, toxics, seed=3) as proxies:

        def cut(draw):
            proxies[int(draw * len(proxies))].cut()
            return "connections reset"

        def darken(draw):
            proxies[int(draw * len(proxies))].darken(5.0 * draw)
            return f"nothing passes for {5 * draw:.1f} s"

        counts = make_counts(cut_worker=60, darken_worker=20)
        further = {"cut-worker": cut, "darken-worker": darken}
        ledger, done = rage(fleet, counts, STORM_S, seed=3, further=further)
        assert fleet.failure is None
    quiet = undisturbed(ledger)
    assert problems(ledger, quiet) == []
    note_storm("a bad network, 1 worker near and 2 far", done, ledger, quiet)


@pytest.mark.parametrize(
    ("name", "victim", "number"),
    [
        ("worker SIGKILL", "sim-worker-0", signal.SIGKILL),
        ("worker SIGSTOP", "sim-worker-0", signal.SIGSTOP),
        ("orchestrator SIGKILL", ORCHESTRATOR, signal.SIGKILL),
    ],
)
def test_recovery_is_soon(undisturbed, name, victim, number):
    rounds = 30 if LONG else 1
    recoveries = Recoveries()
    with LocalFleet(2) as fleet:

        def hurt(over):
            for _ in range(rounds):
                fleet.wait_ready()
                time.sleep(1.0 if LONG else 0.5)
                pid = fleet.supervisor.pid(victim)
                recoveries.strike(4, lambda pid=pid: os.kill(pid, number), over)
                if number == signal.SIGSTOP:
                    os.kill(pid, signal.SIGCONT)

        with beside(hurt) as hurting:
            ledger = drive(
                fleet.client_address,
                FOREVER,
                more=lambda shard, t: not hurting.done(),
                answered=recoveries.answered,
            )
    assert problems(ledger, undisturbed(ledger)) == []
    times_s = recoveries.times_s
    note(
        f"recovery, {name}",
        {
            "rounds": rounds,
            "median_s": round(statistics.median(times_s), 2),
            "worst_s": round(max(times_s), 2),
        },
    )
    assert max(times_s) < 10.0
