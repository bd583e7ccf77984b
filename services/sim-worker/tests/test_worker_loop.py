"""The worker's loop turns whatever arrives: it beats, hears that it is to stop, and survives."""

import time
from types import SimpleNamespace

import pytest

from websim.service.errors import UserError
from websim.service.shutdown import Shutdown
from websim.wire.codec import Envelope, encode
from websim.wire.messages import OrchestratorHeartbeat, Refused, Welcome
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


REFUSAL = Refused(code="other_release", message="this worker is new", remedy="stop the old ones")


def test_a_worker_that_is_not_admitted_ends_with_the_orchestrators_words(monkeypatch):
    worker = runtime.Runtime("tcp://127.0.0.1:1", nthread=1)
    answers = [encode(REFUSAL)]
    monkeypatch.setattr(runtime, "receive", lambda socket: answers.pop() if answers else None)
    with pytest.raises(UserError) as caught:
        worker.run(Shutdown(), lambda: None, connect_deadline_s=0.01)
    assert str(caught.value) == ("tcp://127.0.0.1:1 refuses: this worker is new. Stop the old ones")


def test_a_refusal_that_is_repeated_is_told_once_until_the_worker_is_welcome(monkeypatch):
    told = []
    monkeypatch.setattr(
        runtime, "log", SimpleNamespace(warning=lambda *_, message, **__: told.append(message))
    )
    worker = runtime.Runtime("tcp://127.0.0.1:1", nthread=1)
    for _ in range(3):
        worker._note_refusal(REFUSAL)
    assert told == ["this worker is new"]
    assert worker.unready_reason() == "this worker is new"

    worker._handle(Envelope(Welcome(worker_id=3, heartbeat_s=0.25), ()))
    assert worker.unready_reason() is None
    worker._handshakes.close()
    worker._context.destroy(linger=0)
