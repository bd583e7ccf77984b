"""Which addresses stay on this machine."""

import pytest

from websim.service.hosts import is_loopback, leaves_machine, url_towards


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_known_by_number_and_name(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost.example", "*", ""])
def test_everything_else_is_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("address", "leaves"),
    [
        ("tcp://127.0.0.1:5556", False),
        ("tcp://[::1]:5556", False),
        ("tcp://localhost:5556", False),
        ("ipc:///tmp/fleet", False),
        ("tcp://[nonsense", False),
        ("tcp://192.0.2.1:5556", True),
        ("tcp://fleet.example:5556", True),
        ("tcp://0.0.0.0.example:5556", True),
    ],
)
def test_only_what_goes_to_another_machine_leaves_this_one(address, leaves):
    assert leaves_machine(address) is leaves


@pytest.mark.parametrize(
    ("url", "peer", "announced"),
    [
        ("http://127.0.0.1:8093", "tcp://192.0.2.1:5555", "http://127.0.0.1:8093"),
        ("http://0.0.0.0:8093", "tcp://127.0.0.1:5555", "http://127.0.0.1:8093"),
        ("http://[::]:8093", "tcp://127.0.0.1:5555", "http://127.0.0.1:8093"),
        ("http://0.0.0.0:8093", "tcp://nobody.invalid:5555", "http://0.0.0.0:8093"),
        ("http://0.0.0.0:8093", "tcp://[nonsense", "http://0.0.0.0:8093"),
    ],
)
def test_who_listens_everywhere_announces_the_address_that_its_peer_sees(url, peer, announced):
    assert url_towards(url, peer) == announced
