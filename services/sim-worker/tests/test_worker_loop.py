"""The worker's loop turns whatever arrives: it beats, hears that it is to stop, and survives."""

import time

from websim.service.shutdown import Shutdown
from websim.wire.codec import encode
from websim.wire.messages import OrchestratorHeartbeat
from websim_sim_worker import runtime


def test_a_worker_that_always_has_messages_still_hears_that_it_is_to_stop(monkeypatch):
    worker = runtime.Runtime("tcp://127.0.0.1:1", nthread=1)
    shutdown = Shutdown()
    give_up_s = time.monotonic() + 10.0

    def receive_more(socket: object) -> list:
        shutdown.request("test")
        assert time.monotonic() < give_up_s, "the loop does not turn"
        return encode(OrchestratorHeartbeat())

    monkeypatch.setattr(runtime, "receive", receive_more)
    worker.run(shutdown, lambda: None, connect_deadline_s=60.0)
    assert worker.pulse.alive()
