"""Whatever happens to the processes of a fleet, its clients see every transition exactly once."""

import os
import signal
import statistics
import time

import pytest
from figures import note
from ledger import drive, problems
from proxy import Toxics
from storm import FOREVER, SCALE, Recoveries, beside, distant_workers, rage

from websim.local.fleet import ORCHESTRATOR, LocalFleet

LONG = SCALE > 1
WORKERS = 8 if LONG else 3
STORM_S = 10.0 * SCALE


def make_counts(**per_minute):
    """Counts of faults of a storm of STORM_S."""
    return {
        kind.replace("_", "-"): max(1, round(count * STORM_S / 60))
        for kind, count in per_minute.items()
    }


def undisturbed(ledger, workers):
    with LocalFleet(workers) as fleet:
        return drive(fleet.client_address, ledger.lengths)


def test_killed_and_frozen_workers_cost_time_but_no_transition():
    counts = make_counts(kill_worker=30, freeze_worker=6)
    with LocalFleet(WORKERS) as fleet:
        ledger, done = rage(fleet, counts, STORM_S, seed=1)
        assert fleet.failure is None
        assert fleet.supervisor.num_starts(ORCHESTRATOR) == 1
    quiet = undisturbed(ledger, WORKERS)
    assert problems(ledger, quiet) == []
    assert ledger.episodes > 0
    loss = 1 - ledger.steps_per_s / quiet.steps_per_s
    note(
        f"storm of {STORM_S:g} s at {WORKERS} workers",
        {
            "faults": len(done),
            "transitions": ledger.env_steps,
            "throughput loss": f"{loss:.0%}",
        },
    )


def test_a_fleet_that_grows_and_shrinks_and_loses_its_orchestrator_loses_no_transition():
    counts = make_counts(kill_orchestrator=6, scale=6, kill_worker=6)
    with LocalFleet(1) as fleet:
        ledger, _ = rage(fleet, counts, STORM_S, seed=2)
        assert fleet.failure is None
        starts = fleet.supervisor.num_starts(ORCHESTRATOR)
    assert starts == 1 + counts["kill-orchestrator"]
    assert problems(ledger, undisturbed(ledger, 1)) == []


def test_a_bad_network_costs_time_but_no_transition():
    toxics = Toxics(latency_s=0.01, jitter_s=0.01, slice_bytes=64 * 64, reset_chance=0.001)
    with LocalFleet(1) as fleet, distant_workers(fleet, 2, toxics, seed=3) as proxies:

        def cut(draw):
            proxies[int(draw * len(proxies))].cut()
            return "connections reset"

        def darken(draw):
            proxies[int(draw * len(proxies))].darken(5.0 * draw)
            return f"nothing passes for {5 * draw:.1f} s"

        counts = make_counts(cut_worker=12, darken_worker=12)
        further = {"cut-worker": cut, "darken-worker": darken}
        ledger, _ = rage(fleet, counts, STORM_S, seed=3, further=further)
        assert fleet.failure is None
    assert problems(ledger, undisturbed(ledger, 1)) == []


@pytest.mark.parametrize(
    ("name", "victim", "number"),
    [
        ("worker SIGKILL", "sim-worker-0", signal.SIGKILL),
        ("worker SIGSTOP", "sim-worker-0", signal.SIGSTOP),
        ("orchestrator SIGKILL", ORCHESTRATOR, signal.SIGKILL),
    ],
)
def test_recovery_is_soon(name, victim, number):
    rounds = 30 if LONG else 1
    recoveries = Recoveries()
    with LocalFleet(2) as fleet:

        def hurt(over):
            for _ in range(rounds):
                fleet.wait_ready()
                time.sleep(1.0)
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
    assert problems(ledger, undisturbed(ledger, 2)) == []
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
