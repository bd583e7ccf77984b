"""`websim train` whose processes are killed by their pids ends in the undisturbed run's weights."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from small_training import DEADLINE_S, LONG, UPDATES, end_of, start_training, updates_of

LEARNER = ("websim_learner",)
FLEET = ("websim_orchestrator", "websim_sim_worker")
"""All that holds the environments."""

KILLS = [{12: LEARNER}, {12: FLEET}] if LONG else [{7: LEARNER, 16: FLEET}]
"""By update: who is killed once it is done."""


def kill(process, *packages):
    """Kill those processes of a `websim train` that run these packages, all at once."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == process.pid:
                found |= {p: int(entry.name) for p in packages if p.encode() in command}
    assert set(found) == set(packages)
    for pid in found.values():
        os.kill(pid, signal.SIGKILL)


def await_update(process, run_dir, update):
    give_up_s = time.monotonic() + DEADLINE_S
    while max(updates_of(run_dir), default=0) < update:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


@pytest.mark.parametrize(
    "kills", KILLS, ids=lambda kills: " then ".join(map("+".join, kills.values()))
)
@pytest.mark.timeout(200)
def test_who_is_killed_leaves_no_trace_in_the_weights(tmp_path, alone, kills):
    run_dir = tmp_path / "run"
    with start_training(run_dir) as process:
        for update, packages in kills.items():
            await_update(process, run_dir, update)
            kill(process, *packages)
        result, out = end_of(process, run_dir)

    num_killed = sum(map(len, kills.values()))
    assert out.count("was ended by SIGKILL; starting it again") == num_killed
    journal = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in journal] == ["start"] + ["resume"] * len(kills)
    # It goes on from a checkpoint on its way, not from the start.
    for entry, update in zip(journal[1:], kills, strict=True):
        assert entry["update"] in range(update // 5 * 5, UPDATES, 5)
    assert updates_of(run_dir) == list(range(1, UPDATES + 1))
    assert result["weights_sha256"] == alone["weights_sha256"]
    assert result["eval_return_mean"] == alone["eval_return_mean"]
