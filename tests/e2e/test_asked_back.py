"""A client goes on sending while its session is being asked back from a new orchestrator."""

import contextlib
import os
import signal
import time

import numpy as np

from websim.client import FleetSession, FleetTimeout
from websim.local.fleet import ORCHESTRATOR


def test_commands_sent_before_the_session_is_back_are_done_when_it_is(whole):
    action = np.zeros((32, 3), np.float32)
    fleet = whole(1)
    session = FleetSession(
        fleet.client_address, task="Hopper-v5", num_envs=64, seed=1, shard_envs=32
    )
    for shard in (0, 1):
        session.send_reset(shard)
    assert sorted(session.recv().shard for _ in (0, 1)) == [0, 1]
    # While the worker is frozen nobody holds the shards, and the session is not open.
    [worker] = fleet.worker_pids()
    os.kill(worker, signal.SIGSTOP)
    try:
        starts = fleet.supervisor.num_starts(ORCHESTRATOR)
        os.kill(fleet.supervisor.pid(ORCHESTRATOR), signal.SIGKILL)
        while fleet.supervisor.num_starts(ORCHESTRATOR) == starts:
            time.sleep(0.02)
        fleet.supervisor.wait_ready([ORCHESTRATOR], 60.0)
        session.send(0, action)
        give_up_s = time.monotonic() + 20.0
        while not session.waiting and time.monotonic() < give_up_s:
            with contextlib.suppress(FleetTimeout):
                session.recv(timeout_s=0.1)
        session.send(1, action)
        with contextlib.suppress(FleetTimeout):
            session.recv(timeout_s=1.0)
    finally:
        os.kill(worker, signal.SIGCONT)
    answers = [session.recv() for _ in (0, 1)]
    session.close()
    assert sorted((answer.shard, answer.t) for answer in answers) == [(0, 2), (1, 2)]
