"""The proxy itself: what it does to connections is what it says, and nothing else."""

import contextlib
import socket
import threading
import time

import pytest
from proxy import Proxy, Toxics


@pytest.fixture
def echo():
    """Address of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(connection):
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def connect(proxy):
    host, port = proxy.address.removeprefix("tcp://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def round_trip(connection, data=b"hello"):
    connection.sendall(data)
    back = b""
    while len(back) < len(data):
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("closed")
        back += piece
    return back


def round_trips(connection, count):
    for _ in range(count):
        round_trip(connection)


EVERYTHING = Toxics(latency_s=0.01, jitter_s=0.02, slice_bytes=64, bytes_per_s=1e6)


@pytest.mark.parametrize("toxics", [Toxics(), EVERYTHING])
def test_bytes_arrive_whole_and_in_order(echo, toxics):
    data = bytes(range(256)) * 100
    with Proxy(echo, toxics=toxics) as proxy, connect(proxy) as connection:
        assert round_trip(connection, data) == data


def test_latency_delays_either_way(echo):
    with Proxy(echo, toxics=Toxics(latency_s=0.1)) as proxy, connect(proxy) as connection:
        began_s = time.monotonic()
        round_trip(connection)
        assert time.monotonic() - began_s >= 0.2


def test_slices_are_small(echo):
    slow = Toxics(slice_bytes=64, bytes_per_s=640)
    with Proxy(echo, toxics=slow) as proxy, connect(proxy) as connection:
        connection.sendall(bytes(192))
        assert len(connection.recv(65536)) == 64


def test_bandwidth_is_bounded(echo):
    with Proxy(echo, toxics=Toxics(bytes_per_s=100_000)) as proxy, connect(proxy) as connection:
        began_s = time.monotonic()
        round_trip(connection, bytes(20_000))
        assert time.monotonic() - began_s >= 0.2


def test_a_cut_resets_and_the_next_connection_works(echo):
    with Proxy(echo) as proxy:
        with connect(proxy) as connection:
            round_trip(connection)
            proxy.cut()
            with pytest.raises(ConnectionError):
                round_trip(connection)
        with connect(proxy) as connection:
            assert round_trip(connection) == b"hello"


def test_resets_happen_by_chance(echo):
    with Proxy(echo, seed=1, toxics=Toxics(reset_chance=0.2)) as proxy:
        with connect(proxy) as connection, pytest.raises(ConnectionError):
            round_trips(connection, 1000)
        proxy.toxics = Toxics()
        with connect(proxy) as connection:
            assert round_trip(connection) == b"hello"


def test_a_black_hole_swallows_nothing(echo):
    with Proxy(echo) as proxy, connect(proxy) as before:
        round_trip(before)
        proxy.darken(0.5)
        began_s = time.monotonic()
        with connect(proxy) as after:
            assert round_trip(after) == round_trip(before) == b"hello"
        assert time.monotonic() - began_s >= 0.3


def test_a_target_that_is_not_there_ends_the_connection():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        with (
            Proxy(address) as proxy,
            # The reset may come before connecting has returned.
            pytest.raises(ConnectionError),
            connect(proxy) as connection,
        ):
            round_trip(connection)
