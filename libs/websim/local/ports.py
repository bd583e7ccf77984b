"""TCP ports for services: found, held until their service listens, and who has a taken one."""

import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from websim.service.errors import UserError


@dataclass(frozen=True)
class FleetPorts:
    """Ports of a fleet, its learner and its dashboard; 0 takes a free one."""

    workers: int = 0
    """Where sim workers connect to the orchestrator."""
    clients: int = 0
    """Where clients (learner, notebooks) connect to the orchestrator."""
    orchestrator_http: int = 0
    """HTTP of the orchestrator."""
    learner_http: int = 0
    """HTTP of the learner."""
    reward_gen_http: int = 0
    """HTTP of reward-gen."""
    telemetry: int = 0
    """Where those connect who show environments."""
    dashboard: int = 0
    """The dashboard's page."""


DEFAULT_PORTS = FleetPorts(
    workers=5555,
    clients=5556,
    orchestrator_http=8092,
    learner_http=8091,
    reward_gen_http=8090,
    telemetry=5557,
    dashboard=8080,
)
"""The documented ports, which `websim up` uses."""


class HeldPort:
    """A port nobody else is given, while the service it is meant for may listen on it.

    A socket stays bound to it without listening, which Linux allows beside a listener. So a free
    port cannot be taken between its choice and its use, nor while its service restarts; nor can a
    client that connects meanwhile be given it as its own source port and so reach itself.
    """

    def __init__(self, purpose: str, port: int = 0) -> None:
        """Hold a port of 127.0.0.1.

        Args:
            purpose: What it is for, in words, for the message.
            port: 0 takes a free one.

        Raises:
            UserError: The port is taken; names who has it, where that can be known.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            raise UserError(
                f"port {port} ({purpose}) is not free: {_holder(port) or error.strerror}",
                "Stop what uses it, or take other ports with --free-ports.",
            ) from None
        self.port: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()


def _holder(port: int) -> str:
    """Return which process listens on a port of 127.0.0.1, or "" when it cannot be found out."""
    with contextlib.suppress(OSError):
        inodes = _listening_inodes(port)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and inodes & _socket_inodes(entry):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                command = b" ".join(words).decode(errors="replace").strip()
                return f"process {entry.name} has it ({command[:100]})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
            # Columns: number, local address:port in hex, remote, state (0A listens), ..., inode.
            inodes |= {
                f"socket:[{row[9]}]"
                for row in rows
                if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port
            }
    return inodes


def _socket_inodes(process: Path) -> set[str]:
    links: set[str] = set()
    with contextlib.suppress(OSError):  # another user's process, or gone meanwhile
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                links.add(os.readlink(descriptor))
    return links
