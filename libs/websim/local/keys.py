"""`websim keys`: makes a key set and says what each file is for. websim.wire.curve reads it."""

import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

import zmq.auth

from websim.service.errors import UserError
from websim.service.files import SECRET_MODE, write_atomic

PUBLIC_MODE = 0o444
DIRECTORY_MODE = 0o700
TOKEN_BYTES = 32

PEERS = ("worker", "client")
TOKENS = "tokens"

SERVER_PART = ("server.key_secret", "workers/worker.key", "clients/client.key")
WORKER_PART = ("server.key", "worker.key_secret")
CLIENT_PART = ("server.key", "client.key_secret")

SERVICES: Mapping[str, tuple[str, ...]] = {
    "orchestrator": SERVER_PART,
    "sim-worker": WORKER_PART,
    "learner": CLIENT_PART,
    "reward-gen": (),
    "dashboard": CLIENT_PART,
}
"""What of a key set each service gets, where each runs in a container of its own."""

ASKS: Mapping[str, tuple[str, ...]] = {
    "learner": ("reward-gen",),
    "dashboard": ("orchestrator", "learner", "reward-gen"),
}
"""Whose HTTP a service commands: with one token of its own, which is good at these alone."""

UPSTREAM_TOKEN = "upstream.token"
"""The file that holds it."""


def make_key_set(directory: Path, *, force: bool = False) -> str:
    """Make a server's, a worker's and a client's keys, and tokens; return what to do with them.

    Args:
        directory: Where they go; made if it is not there.
        force: Whether to replace a key set that is there.

    Raises:
        UserError: It holds a key set already, others may read it, or it cannot be written.
    """
    _write(directory, _new_files(), force=force)
    return _instructions(directory)


def make_keys_by_service(directory: Path, *, force: bool = False, if_missing: bool = False) -> str:
    """Make a key set in parts, DIRECTORY/SERVICE for each service; return what happened.

    Every service gets tokens of its own for persons, and takes those of the services that ask it.

    Args:
        directory: Where the parts go; made if it is not there.
        force: Whether to replace keys that are there.
        if_missing: Whether to leave a whole set as it is, and to replace one that lacks a file.

    Raises:
        UserError: There are keys already, others may read them, or they cannot be written.
    """
    files = _parts(_new_files())
    if if_missing and all((directory / name).exists() for name in files):
        return f"the keys in {directory} are whole and stay"
    _write(directory, files, force=force or if_missing)
    return f"made keys in {directory}, a directory for each of: {', '.join(SERVICES)}"


def _write(directory: Path, files: Mapping[str, tuple[bytes, int]], *, force: bool) -> None:
    """Write the files of a key set; the directories they are in are private, or it is an error."""
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        taken = [name for name in files if (directory / name).exists()]
        if taken and not force:
            raise UserError(
                f"{directory} holds keys already ({taken[0]})",
                "Name a new directory, or replace them with --force.",
            )
        for parent in sorted({(directory / name).parent for name in files}):
            parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            _check_private(parent)
        for name, (data, mode) in files.items():
            write_atomic(directory / name, data, mode)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot write keys to {directory}: {reason}") from None


def _check_private(directory: Path) -> None:
    mode = directory.stat().st_mode & 0o777
    if mode & 0o077:
        raise UserError(
            f"others may look into {directory} (mode {mode:04o})",
            f"Say `chmod 700 {directory}`, or name a new directory.",
        )


def _parts(whole: Mapping[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    """Return the files of a key set as SERVICE/NAME, with tokens for each service."""
    files = {
        f"{service}/{name}": whole[name] for service, names in SERVICES.items() for name in names
    }
    tokens = {service: _new_tokens() for service in SERVICES}
    for service, asked in ASKS.items():
        _, control = _new_tokens()
        files[f"{service}/{UPSTREAM_TOKEN}"] = control.encode(), SECRET_MODE
        for other in asked:
            tokens[other].append(control)
    for service, lines in tokens.items():
        files[f"{service}/{TOKENS}"] = "".join(lines).encode(), SECRET_MODE
    return files


def _new_tokens() -> list[str]:
    """Return the lines of a token file: one that may view, one that may command."""
    return [f"{role} {secrets.token_urlsafe(TOKEN_BYTES)}\n" for role in ("view", "control")]


def _new_files() -> dict[str, tuple[bytes, int]]:
    """Return the files of a new key set by name, with their modes."""
    files: dict[str, tuple[bytes, int]] = {}
    # pyzmq writes files in place; they become whole, private and durable in their own directory.
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("server", *PEERS):
            public, secret = map(Path, zmq.auth.create_certificates(scratch, name))
            place = "server.key" if name == "server" else f"{name}s/{name}.key"
            files[place] = public.read_bytes(), PUBLIC_MODE
            files[f"{name}.key_secret"] = secret.read_bytes(), SECRET_MODE
    files[TOKENS] = "".join(_new_tokens()).encode(), SECRET_MODE
    return files


def _instructions(directory: Path) -> str:
    return f"""\
made a key set in {directory}; a machine gets its part of it and no more:

  orchestrator    server.key_secret, workers/, clients/
  sim workers     server.key, worker.key_secret
  clients         server.key, client.key_secret      (learners and notebooks)
  HTTP            tokens                             (the view token reads, control commands too)

next:
  python -m websim_orchestrator --host ADDRESS --keys {directory}
  python -m websim_sim_worker --orchestrator tcp://ADDRESS:5555 --keys {directory}
  websim train --fleet tcp://ADDRESS:5556 --keys {directory}
  websim.make_vec("HalfCheetah-v5", fleet="tcp://ADDRESS:5556", keys="{directory}")
  any service: --http-host ADDRESS --token-file {directory / TOKENS}"""
