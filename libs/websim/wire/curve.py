"""CURVE keys: read from files, put on sockets. docs/security.md says who holds which.

The files are pyzmq's certificates (zmq.auth), made by `websim keys`. A key set is a directory, of
which a host needs only its role's part:

    server.key          the orchestrator's public key: workers and clients
    server.key_secret   the orchestrator
    worker.key_secret   workers
    client.key_secret   clients: learners and notebooks
    workers/*.key       public keys of the admitted workers: the orchestrator
    clients/*.key       public keys of the admitted clients: the orchestrator
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import zmq
import zmq.auth
from zmq.utils import z85

from websim.service.errors import UserError
from websim.service.files import check_secret

Role = Literal["worker", "client"]
Domain = Literal["workers", "clients"]

DOMAINS: tuple[Domain, ...] = ("workers", "clients")
"""The orchestrator's sockets: ZAP domains, and directories of the keys admitted there."""


@dataclass(frozen=True)
class ServerKeys:
    """What the orchestrator has."""

    secret: bytes = field(repr=False)
    """Its secret key, Z85."""
    admitted: Mapping[Domain, frozenset[bytes]]
    """Public keys of the peers let in, 32 bytes each."""

    def apply(self, socket: "zmq.Socket[bytes]") -> None:
        """Want keys of whoever connects; to be called before the socket is bound."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self.secret)


@dataclass(frozen=True)
class PeerKeys:
    """What a worker or a client has. All keys are Z85."""

    server: bytes
    """The orchestrator's public key: only it can answer."""
    public: bytes
    """The peer's own public key."""
    secret: bytes = field(repr=False)
    """The peer's own secret key."""

    def apply(self, socket: "zmq.Socket[bytes]") -> None:
        """Speak with the orchestrator of `server` only; to be called before connecting."""
        socket.set(zmq.CURVE_SERVERKEY, self.server)
        socket.set(zmq.CURVE_PUBLICKEY, self.public)
        socket.set(zmq.CURVE_SECRETKEY, self.secret)


def load_server_keys(directory: Path) -> ServerKeys:
    """Read the orchestrator's part of a key set.

    Raises:
        UserError: A file is missing, is no key, or is not kept secret; says which.
    """
    _check_directory(directory)
    _, secret = _load_pair(directory / "server.key_secret")
    return ServerKeys(secret, {name: _load_admitted(directory / name) for name in DOMAINS})


def load_peer_keys(directory: Path, role: Role) -> PeerKeys:
    """Read a worker's or a client's part of a key set.

    Raises:
        UserError: A file is missing, is no key, or is not kept secret; says which.
    """
    _check_directory(directory)
    server = _load_public(directory / "server.key")
    public, secret = _load_pair(directory / f"{role}.key_secret")
    return PeerKeys(server, public, secret)


def _check_directory(directory: Path) -> None:
    if not directory.is_dir():
        raise UserError(
            f"--keys {directory} is not a directory",
            f"Make a key set with `websim keys {directory}`, or copy this host's part of one.",
        )


def _load_admitted(directory: Path) -> frozenset[bytes]:
    keys = frozenset(z85.decode(_load_public(path)) for path in sorted(directory.glob("*.key")))
    if not keys:
        raise UserError(
            f"{directory} holds no *.key, so nobody would be let in",
            "Put the public keys there that `websim keys` makes.",
        )
    return keys


def _load_public(path: Path) -> bytes:
    public, secret = _load(path)
    if secret is not None:
        raise UserError(
            f"{path} should be a public key and holds a secret one",
            f"Copy the public {path.stem}.key that `websim keys` made; the secret is not for here.",
        )
    return public


def _load_pair(path: Path) -> tuple[bytes, bytes]:
    check_secret(path)
    public, secret = _load(path)
    if secret is None:
        raise UserError(
            f"{path} should be a secret key and holds a public one",
            f"Copy the {path.name} that `websim keys` made.",
        )
    if zmq.curve_public(secret) != public:
        raise UserError(f"the two keys in {path} do not belong together", "Make a new key set.")
    return public, secret


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except OSError as error:
        # pyzmq's own error for a file that is not there has no strerror.
        raise UserError(
            f"cannot read the key {path}: {(error.strerror or 'there is no such file').lower()}",
            "`websim keys` makes key sets; copy this host's part of one here.",
        ) from None
    except ValueError:
        raise UserError(f"{path} holds no key", "Copy what `websim keys` made.") from None
    for key in (public,) if secret is None else (public, secret):
        if not _is_key(key):
            raise UserError(f"{path} holds a damaged key", "Copy what `websim keys` made.")
    return public, secret


def _is_key(text: bytes) -> bool:
    """Return whether this is a key of 32 bytes in Z85."""
    try:
        return len(z85.decode(text)) == 32
    except (ValueError, KeyError, struct.error):
        return False
