"""`websim keys`: makes a key set and says what each file is for. websim.wire.curve reads it."""

import secrets
import tempfile
from pathlib import Path

import zmq.auth

from websim.service.errors import UserError
from websim.service.files import SECRET_MODE, write_atomic

PUBLIC_MODE = 0o444
DIRECTORY_MODE = 0o700
TOKEN_BYTES = 32

PEERS = ("worker", "client")
TOKENS = "tokens"


def make_key_set(directory: Path, *, force: bool = False) -> str:
    """Make a server's, a worker's and a client's keys, and tokens; return what to do with them.

    Args:
        directory: Where they go; made if it is not there.
        force: Whether to replace a key set that is there.

    Raises:
        UserError: It holds a key set already, others may read it, or it cannot be written.
    """
    try:
        directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        mode = directory.stat().st_mode & 0o777
        if mode & 0o077:
            raise UserError(
                f"others may look into {directory} (mode {mode:04o})",
                f"Say `chmod 700 {directory}`, or name a new directory.",
            )
        files = _new_files(directory)
        taken = [name for name in files if (directory / name).exists()]
        if taken and not force:
            raise UserError(
                f"{directory} holds keys already ({taken[0]})",
                "Name a new directory, or replace them with --force.",
            )
        for name, (data, mode) in files.items():
            path = directory / name
            path.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            write_atomic(path, data, mode)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot write keys to {directory}: {reason}") from None
    return _instructions(directory)


def _new_files(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Return the files of a new key set by name, with their modes."""
    files: dict[str, tuple[bytes, int]] = {}
    # pyzmq writes files in place; they become whole, private and durable in their own directory.
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        for name in ("server", *PEERS):
            public, secret = map(Path, zmq.auth.create_certificates(scratch, name))
            place = "server.key" if name == "server" else f"{name}s/{name}.key"
            files[place] = public.read_bytes(), PUBLIC_MODE
            files[f"{name}.key_secret"] = secret.read_bytes(), SECRET_MODE
    roles = ("view", "control")
    lines = [f"{role} {secrets.token_urlsafe(TOKEN_BYTES)}\n" for role in roles]
    files[TOKENS] = "".join(lines).encode(), SECRET_MODE
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
