"""How long the learner waits for a fleet that does not answer, and what it says meanwhile."""

from types import SimpleNamespace

import pytest

from websim.client import FleetRefused, FleetTimeout, FleetUnavailable
from websim_learner.fleet import RunStopped, Waiter, is_lost

TIMEOUT = FleetTimeout("no environment answered in time")
UNAVAILABLE = FleetUnavailable("the orchestrator has been silent for 10 s")


class ScriptedClient:
    """Answers with what it is given, in turn; errors are raised."""

    def __init__(self, *answers, waiting=""):
        self.answers = list(answers)
        self.waiting = waiting

    def recv(self, timeout_s):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def snapshot(self, shard, timeout_s):
        assert timeout_s <= 0.25
        return self.recv(timeout_s)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("websim_learner.fleet.UNAVAILABLE_PAUSE_S", 0.0)


def test_silence_is_waited_out_for_a_while():
    client = ScriptedClient(TIMEOUT, TIMEOUT, "result")
    waiter = Waiter(patience_s=60.0)
    assert waiter.receive(client) == "result"
    assert waiter.quiet_since_s is None


@pytest.mark.parametrize("error", [TIMEOUT, UNAVAILABLE])
def test_silence_without_a_reason_comes_to_an_end(error):
    waiter = Waiter(patience_s=0.0)
    with pytest.raises(type(error)):
        waiter.receive(ScriptedClient(*[error] * 1000))
    assert waiter.quiet_since_s is not None


def test_a_reason_is_waited_for_without_limit():
    client = ScriptedClient(*[TIMEOUT] * 1000, "result", waiting="no sim worker is connected")
    assert Waiter(patience_s=0.0).receive(client) == "result"


def test_each_reason_is_told_once(monkeypatch):
    told = []
    log = SimpleNamespace(
        warning=lambda event, reason: told.append(reason), info=lambda *_, **__: 0
    )
    monkeypatch.setattr("websim_learner.fleet.log", log)
    client = ScriptedClient()
    reasons = iter(["no sim worker is connected"] * 3 + ["a sim worker is at work"] * 3)

    def recv(timeout_s):
        client.waiting = next(reasons, "")
        if client.waiting:
            raise TIMEOUT
        return "result"

    client.recv = recv
    assert Waiter().receive(client) == "result"
    assert told == ["no sim worker is connected", "a sim worker is at work"]


def test_a_reason_of_an_orchestrator_that_is_gone_holds_no_longer():
    client = ScriptedClient(*[UNAVAILABLE] * 1000, waiting="no sim worker is connected")
    with pytest.raises(FleetUnavailable):
        Waiter(patience_s=0.0).receive(client)


def test_an_orchestrator_that_comes_back_is_waited_for():
    assert Waiter().receive(ScriptedClient(UNAVAILABLE, TIMEOUT, UNAVAILABLE, "result")) == "result"


def test_a_refusal_is_passed_on_at_once():
    refusal = FleetRefused("shard_lost", "environments 0 to 6 are lost")
    with pytest.raises(FleetRefused, match="are lost"):
        Waiter().receive(ScriptedClient(refusal, "result"))
    assert is_lost(refusal)
    assert is_lost(FleetRefused("unknown_session", "session 1 is not open here"))
    assert not is_lost(FleetRefused("too_many_sessions", "64 sessions are open"))
    assert not is_lost(TIMEOUT)


def test_a_snapshot_is_waited_for_as_a_result_is():
    client = ScriptedClient(*[TIMEOUT] * 1000, {"state": 1}, waiting="no sim worker is connected")
    assert Waiter(patience_s=0.0).snapshot(client, 0) == {"state": 1}


def test_who_is_to_stop_asks_no_more_unless_something_is_under_way():
    waiter = Waiter(stop=lambda: True)
    with pytest.raises(RunStopped):
        waiter.receive(ScriptedClient("result"))
    assert waiter.receive(ScriptedClient(TIMEOUT, "result"), stop_after_s=60.0) == "result"
    with pytest.raises(RunStopped):
        waiter.receive(ScriptedClient(TIMEOUT, waiting="no worker"), stop_after_s=60.0)


def test_a_fleet_that_builds_no_envs_yet_is_asked_again_for_a_session():
    fleet = ScriptedClient(*[TIMEOUT] * 100, UNAVAILABLE, "session")
    seeds = []

    def open_session(seed):
        seeds.append(seed)
        return fleet.recv(0.0)

    assert Waiter().open(open_session, 7) == "session"
    assert seeds == [7] * 102
    with pytest.raises(FleetUnavailable):
        Waiter(patience_s=0.0).open(lambda seed: ScriptedClient(UNAVAILABLE).recv(0.0), 7)
    with pytest.raises(RunStopped):
        Waiter(stop=lambda: True).open(open_session, 7)


def test_who_opens_a_session_looks_whether_to_stop_while_it_is_built():
    looks = iter([False, False, True])
    waiter = Waiter(stop=lambda: next(looks))

    def open_session(_seed):
        for _ in range(1000):
            waiter.look()

    with pytest.raises(RunStopped):
        waiter.open(open_session, 7)
    assert next(looks, "none left") == "none left"
