"""Whatever happens to the processes of a fleet, its clients see every transition exactly once."""

import os
import signal
import statistics
import time
from collections import Counter

import pytest
from figures import note
from healing import heal
from ledger import NUM_SHARDS, drive, problems
from proxy import Toxics
from storm import FOREVER, NUM_ENVS, SCALE, WORKERS, Recoveries, beside, distant_workers, rage

from websim.local.fleet import ORCHESTRATOR, LocalFleet

LONG = SCALE > 1
FAULTS_S = 5.0 * SCALE
"""A storm has as many faults as fall into this time."""
STORM_S = FAULTS_S if LONG else 2.0
STEPS = 100
"""How often each shard is answered in a storm at least; more than one snapshot's worth."""
FAR_STEPS = 40
"""The same over a bad network."""


def make_counts(**per_minute):
    """Counts of faults of a storm."""
    return {
        kind.replace("_", "-"): max(1, round(count * FAULTS_S / 60))
        for kind, count in per_minute.items()
    }


def note_storm(what, done, ledger, quiet):
    """Keep the figures of a storm, and what it cost against the same session in peace."""
    note(
        f"storm of {ledger.seconds:.0f} s, {what}",
        {
            **Counter(each.kind for each in done),
            "transitions": ledger.env_steps,
            "throughput loss": f"{1 - ledger.steps_per_s / quiet.steps_per_s:.0%}",
        },
    )


@pytest.fixture(scope="session")
def undisturbed(peace):
    """Drives the same session on a fleet that is left in peace, and returns its ledger."""
    return lambda ledger: drive(peace.client_address, ledger.lengths, num_envs=NUM_ENVS)


@pytest.fixture(scope="module")
def fragile():
    """The fleet that all of these hurt, one after the other."""
    with LocalFleet(2) as fleet:
        yield fleet


def test_workers_that_die_freeze_come_and_go_cost_time_but_no_transition(fragile, undisturbed):
    counts = make_counts(kill_worker=30, freeze_worker=6, scale=4)
    fleet = heal(fragile, WORKERS)
    starts = fleet.supervisor.num_starts(ORCHESTRATOR)
    ledger, done = rage(fleet, counts, STORM_S, seed=1, steps=STEPS)
    assert fleet.failure is None
    assert fleet.supervisor.num_starts(ORCHESTRATOR) == starts
    quiet = undisturbed(ledger)
    assert problems(ledger, quiet) == []
    assert ledger.episodes > 0
    note_storm(f"{WORKERS} workers", done, ledger, quiet)


def test_a_fleet_that_loses_its_orchestrator_loses_no_transition(fragile, undisturbed):
    # Workers are left alone: what neither has any more is not in the fleet, see docs/exactness.md.
    counts = make_counts(kill_orchestrator=10)
    fleet = heal(fragile, 2)
    pids, starts = fleet.worker_pids(), fleet.supervisor.num_starts(ORCHESTRATOR)
    ledger, done = rage(fleet, counts, STORM_S, seed=1, steps=STEPS)
    assert fleet.failure is None
    assert fleet.worker_pids() == pids
    assert fleet.supervisor.num_starts(ORCHESTRATOR) == starts + counts["kill-orchestrator"]
    quiet = undisturbed(ledger)
    assert problems(ledger, quiet) == []
    note_storm("kills of the orchestrator, 2 workers", done, ledger, quiet)


@pytest.mark.parametrize(
    ("name", "victim", "number"),
    [
        ("worker SIGKILL", "sim-worker-0", signal.SIGKILL),
        ("worker SIGSTOP", "sim-worker-0", signal.SIGSTOP),
        ("orchestrator SIGKILL", ORCHESTRATOR, signal.SIGKILL),
    ],
)
def test_recovery_is_soon(fragile, undisturbed, name, victim, number):
    rounds = 30 if LONG else 1
    recoveries = Recoveries()
    fleet = heal(fragile, 2)

    def hurt(over):
        for _ in range(rounds):
            fleet.wait_ready()
            time.sleep(1.0 if LONG else 0.2)
            pid = fleet.supervisor.pid(victim)
            recoveries.strike(NUM_SHARDS, lambda pid=pid: os.kill(pid, number), over)
            if number == signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)

    with beside(hurt) as hurting:
        ledger = drive(
            fleet.client_address,
            FOREVER,
            num_envs=NUM_ENVS,
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


def test_a_bad_network_costs_time_but_no_transition(fragile, undisturbed):
    toxics = Toxics(latency_s=0.02, jitter_s=0.02, slice_bytes=64, reset_chance=0.002)
    fleet = heal(fragile, 1)
    with distant_workers(fleet, 2, toxics, seed=3) as proxies:

        def cut(draw):
            proxies[int(draw * len(proxies))].cut()
            return "connections reset"

        def darken(draw):
            proxies[int(draw * len(proxies))].darken(5.0 * draw)
            return f"nothing passes for {5 * draw:.1f} s"

        counts = make_counts(cut_worker=60, darken_worker=20)
        further = {"cut-worker": cut, "darken-worker": darken}
        ledger, done = rage(fleet, counts, STORM_S, seed=3, steps=FAR_STEPS, further=further)
        assert fleet.failure is None
    quiet = undisturbed(ledger)
    assert problems(ledger, quiet) == []
    note_storm("a bad network, 1 worker near and 2 far", done, ledger, quiet)
