"""Strangers that talk junk to an orchestrator without keys: they cost nothing and stop nobody.

A long run has 2,000 TCP peers and a million messages.
"""

import contextlib
import itertools
import os
import resource
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from figures import note
from storm import SCALE

from websim.client import FleetVectorEnv, make_vec
from websim.local.fleet import ORCHESTRATOR, LocalFleet
from websim.wire.codec import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, PREFIX, Decoder, encode
from websim.wire.messages import AnyMessage, ArraySpec, Refused, Step

LONG = SCALE > 1
NUM_PEERS = 2_000 if LONG else 200
NUM_MESSAGES = 1_000_000 if LONG else 100_000
MAX_GROWTH_BYTES = 32 * 2**20
ANSWERED = 10
"""Broken messages of one peer that are answered."""
NUM_ENVS = 64
PACE_S = 0.0 if LONG else 0.02
"""Between two steps of the session beside; every step is done again at the end."""
PATIENCE_S = 600.0 if LONG else 60.0
"""For what must come to pass on a machine that is busy with other things."""

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
"""ZMTP 3.0 without keys; what follows it is a READY command."""


@pytest.fixture(scope="module")
def fleet() -> Iterator[LocalFleet]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with LocalFleet(1) as running:
        # The peers are this process's. The orchestrator sees to its own limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
        try:
            yield running
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def stranger(fleet) -> Iterator["zmq.Socket[bytes]"]:
    """A ZeroMQ peer on the clients' socket that waits when the orchestrator is behind."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.set(zmq.LINGER, 0)
        dealer.set(zmq.SNDTIMEO, int(PATIENCE_S * 1000))
        dealer.connect(fleet.client_address)
        yield dealer


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def num_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def metric(fleet: LocalFleet, start: str) -> float:
    """Return the sum of the samples whose line begins like this."""
    with urllib.request.urlopen(f"{fleet.http_url}/metrics", timeout=30) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


def broken(fleet: LocalFleet, reason: str = "") -> float:
    """Return how many broken messages were counted."""
    return metric(fleet, f'websim_orchestrator_broken_messages_total{{reason="{reason}')


def wait_until(true: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < give_up_s, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.05)


class Work:
    """A session that is stepped while `attack` runs; its observations are kept."""

    def __init__(self, fleet: LocalFleet) -> None:
        self._fleet = fleet
        self.pid = fleet.supervisor.pid(ORCHESTRATOR)
        self._env = self._make()
        self._obs = [self._env.reset()[0][:2]]
        self._step(20)
        self._rss = rss_bytes(self.pid)

    def during(self, attack: Callable[[], None]) -> None:
        """Step for as long as the attack takes, and a little longer."""
        errors = []

        def run() -> None:
            try:
                attack()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self._step(1)
            thread.join(PACE_S)
        thread.join()
        if errors:
            raise errors[0]
        self._step(20)

    def check_nothing_was_lost(self) -> float:
        """The same process still serves, is no larger, and answered every step as if alone.

        Returns:
            By how many MiB it grew.
        """
        assert self._fleet.supervisor.pid(ORCHESTRATOR) == self.pid
        assert self._fleet.supervisor.num_starts(ORCHESTRATOR) == 1
        growth = rss_bytes(self.pid) - self._rss
        assert growth < MAX_GROWTH_BYTES, f"the orchestrator grew by {growth / 2**20:.0f} MiB"
        self._env.close()
        disturbed, self._obs = self._obs, []
        self._env = self._make()
        self._obs.append(self._env.reset()[0][:2])
        self._step(len(disturbed) - 1)
        np.testing.assert_array_equal(disturbed, self._obs)
        return growth / 2**20

    def close(self) -> None:
        self._env.close()

    def _make(self) -> FleetVectorEnv:
        address = self._fleet.client_address
        return make_vec("InvertedPendulum-v5", NUM_ENVS, seed=1, fleet=address)

    def _step(self, count: int) -> None:
        for _ in range(count):
            action = np.full((NUM_ENVS, 1), np.sin(len(self._obs)), np.float32)
            self._obs.append(self._env.step(action)[0][:2].copy())


@pytest.fixture
def work(fleet) -> Iterator[Work]:
    with contextlib.closing(Work(fleet)) as session:
        yield session


def test_junk_tcp_peers_are_cut_off_and_leave_nothing_behind(fleet, work):
    before = num_descriptors(work.pid)
    rng = np.random.default_rng(0)
    openings: list[Callable[[], bytes]] = [
        lambda: b"",  # half-open: never says anything
        lambda: rng.bytes(500),
        lambda: b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        lambda: GREETING[:11],  # stops in the middle
        lambda: GREETING.replace(b"NULL", b"PLUM"),
        lambda: GREETING + b"\x04\xff" + b"\xff" * 8,  # a command of 2^64 - 1 bytes
        lambda: GREETING + rng.bytes(500),
        lambda: GREETING + b"\x04\x29\x05READY" + rng.bytes(35),
    ]

    def connect(address: str, opening: bytes) -> socket.socket:
        host, port = address.removeprefix("tcp://").split(":")
        peer = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        with contextlib.suppress(OSError):  # cut off already
            peer.sendall(opening)
        return peer

    def attack() -> None:
        addresses = (fleet.client_address, fleet.supervisor.facts(ORCHESTRATOR)["worker_address"])
        with contextlib.ExitStack() as stack:
            peers = [
                stack.enter_context(connect(address, opening()))
                for _, address, opening in zip(
                    range(NUM_PEERS),
                    itertools.cycle(addresses),
                    (opening for opening in itertools.cycle(openings) for _ in addresses),
                )
            ]
            slow = [stack.enter_context(connect(address, b"")) for address in addresses]
            for byte in GREETING[:11]:
                for peer in slow:
                    with contextlib.suppress(OSError):
                        peer.send(bytes([byte]))
                time.sleep(0.02)
            for peer in [*peers, *slow]:
                assert is_cut_off(peer)

    work.during(attack)
    wait_until(lambda: num_descriptors(work.pid) <= before, "all connections are closed")
    assert metric(fleet, "websim_orchestrator_refused_peers_total{") > 0
    grown = work.check_nothing_was_lost()
    note("junk TCP peers", {"peers": NUM_PEERS, "orchestrator grew by MiB": round(grown, 1)})


def is_cut_off(peer: socket.socket) -> bool:
    """Wait until the other side has ended the connection."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def test_a_flood_of_malformed_messages_is_counted_and_stops_nobody(fleet, work, stranger):
    rng = np.random.default_rng(1)
    step = Step(session=1, shard=0, t=1, arrays=(ArraySpec("action", "<f4", (4, 2**40)),))
    kinds = [
        [b""],
        [rng.bytes(60)],
        [rng.bytes(3), b"", rng.bytes(60)],
        [PREFIX],
        [PREFIX + rng.bytes(60)],
        [PREFIX + b"\x81" * 2000],  # maps in maps in maps
        [PREFIX + b"\xdd\xff\xff\xff\xff"],  # an array of 2^32 - 1 elements
        [b"WS\x63" + rng.bytes(60)],
        encode(step, [bytes(32)]),
        [*encode(Step(session=1, shard=0, t=1)), *[b"x"] * 100],
    ]

    before = broken(fleet)

    def attack() -> None:
        for _, message in zip(range(NUM_MESSAGES), itertools.cycle(kinds)):
            stranger.send_multipart(message)
        wait_until(lambda: broken(fleet) - before == NUM_MESSAGES, "all of them are counted")

    work.during(attack)
    answers = []
    while stranger.poll(200):
        answers.append(Decoder(AnyMessage).decode(stranger.recv_multipart()).message)
    assert len(answers) == ANSWERED
    assert all(isinstance(answer, Refused) for answer in answers)
    grown = work.check_nothing_was_lost()
    figures = {"messages": NUM_MESSAGES, "orchestrator grew by MiB": round(grown, 1)}
    note("malformed messages", figures)


def test_oversized_messages_are_dropped(fleet, work, stranger):
    before, oversized_before = broken(fleet), broken(fleet, "oversized")

    def attack() -> None:
        for _ in range(5):
            stranger.send_multipart([PREFIX + bytes(MAX_HEADER_BYTES)])
            stranger.send_multipart([PREFIX, bytes(MAX_MESSAGE_BYTES)])
            stranger.send_multipart([PREFIX, *[b"x"] * 5_000])
        wait_until(lambda: broken(fleet) - before == 15, "all of them are counted")

    work.during(attack)
    assert broken(fleet, "oversized") - oversized_before == 5
    work.check_nothing_was_lost()


def test_a_peer_that_sends_a_frame_beyond_the_limit_is_cut_off(fleet, work, stranger):
    before = broken(fleet)
    stranger.send_multipart([b"junk"])
    wait_until(lambda: broken(fleet) - before == 1, "the peer is connected")

    def attack() -> None:
        with contextlib.closing(stranger.get_monitor_socket(zmq.EVENT_DISCONNECTED)) as monitor:
            stranger.send_multipart([bytes(MAX_MESSAGE_BYTES + 1)])
            assert monitor.poll(int(PATIENCE_S * 1000)), "the peer was not cut off"
            stranger.disable_monitor()

    work.during(attack)
    stranger.send_multipart([b"junk"])
    wait_until(lambda: broken(fleet) - before == 2, "the peer may come back")
    work.check_nothing_was_lost()
