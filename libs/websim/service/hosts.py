"""Which addresses only this machine reaches: the others need keys or tokens."""

import ipaddress
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
