"""What can be wrong with a message, and what a caller should do about it."""


class WireError(Exception):
    """Base of everything the wire refuses. `reason` is a short, bounded label for counters."""

    reason = "wire"


class MalformedMessage(WireError):
    """The bytes are not a message: drop it and count it; the peer is broken or hostile."""

    reason = "malformed"


class OversizedMessage(WireError):
    """A header, a frame or an array passes its bound: drop it and count it."""

    reason = "oversized"


class UnknownVersion(WireError):
    """The peer speaks another protocol version: refuse it with both versions named."""

    reason = "version"

    def __init__(self, version: int, ours: int) -> None:
        super().__init__(
            f"protocol version {version} is not supported here (this side speaks {ours}); "
            "install the same websim release on both sides"
        )
        self.version = version
