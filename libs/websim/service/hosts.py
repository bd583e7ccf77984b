"""Which addresses only this machine reaches: the others need keys or tokens."""

import ipaddress
import socket
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Return whether a host's name or number stands for this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def leaves_machine(address: str) -> bool:
    """Return whether what is sent to an address, as in tcp://HOST:PORT, may leave this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False  # not an address: who connects to it will hear so
    return parts.scheme == "tcp" and not is_loopback(parts.hostname or "")


def url_towards(url: str, peer: str) -> str:
    """Return a server's URL as a peer can use it, where the server listens on all addresses.

    Args:
        url: As in http://0.0.0.0:8093; any but 0.0.0.0 and [::] is returned as it is.
        peer: Who shall reach it, as in tcp://HOST:PORT; nothing is sent there.
    """
    parts = urlsplit(url)
    if parts.hostname not in ("0.0.0.0", "::"):
        return url
    address = _address_towards(peer)
    shown = f"[{address}]" if ":" in address else address
    return f"{parts.scheme}://{shown}:{parts.port}" if address else url


def _address_towards(peer: str) -> str:
    """Return the number of the interface that leads to a peer; empty when none is known."""
    try:
        parts = urlsplit(peer)
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)
        family, kind, _, _, place = found[0]
        # Connecting a datagram socket only chooses a route.
        with socket.socket(family, kind) as probe:
            probe.connect(place)
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""
