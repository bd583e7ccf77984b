"""Checkpoints: one directory each, a manifest with the SHA-256 of every part, and the parts.

    checkpoints/update-00000120/{manifest.json, weights.safetensors, optimizer.safetensors, ...}

A checkpoint is written beside its place, flushed to disk and renamed into it, and renamed away
before it is removed, so it is there whole or not at all. Neither safetensors nor JSON notices a
flipped bit, so every byte is covered by a digest: parts by the manifest, the manifest by its own.
No pickle anywhere.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from websim_learner.failpoints import failpoint

FORMAT = 3
"""Version of the layout; a reader refuses others."""

KEEP = 3
"""How many checkpoints are kept."""

MANIFEST = "manifest.json"
PREFIX = "update-"
KEPT_PREFIX = "kept-"
"""Of checkpoints that are not forgotten, and with which no life begins."""
TEMPORARY = ".writing-"

Arrays = dict[str, NDArray[Any]]


class DamagedCheckpoint(Exception):
    """A checkpoint that must not be used; the text says what is wrong with it."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run between two updates."""

    update: int
    """Updates done."""
    counters: Mapping[str, Any]
    """JSON values: steps, times, the journal's position, the reward of each branch."""
    arrays: Mapping[str, Arrays]
    """Parts by name, such as "branch-0.weights": arrays by name, written and not kept."""
    prefix: str = PREFIX
    """Of its name; PREFIX or KEPT_PREFIX."""

    @property
    def name(self) -> str:
        """Of its directory."""
        return name_of(self.prefix, self.update)


def name_of(prefix: str, update: int) -> str:
    """Return the name of a checkpoint's directory."""
    return f"{prefix}{update:08d}"


def write_checkpoint(directory: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, read it back, and forget the oldest ones beyond KEEP.

    Args:
        directory: the run's checkpoints directory.
        checkpoint: what to write; one of the same update is replaced.
    """
    parts = {
        f"{name}.safetensors": safetensors.numpy.save(
            # Its writer takes memory as it lies, strides or not.
            {key: np.asarray(array, order="C") for key, array in arrays.items()}
        )
        for name, arrays in checkpoint.arrays.items()
    }
    parts["counters.json"] = _canonical(dict(checkpoint.counters))
    body = {
        "format": FORMAT,
        "update": checkpoint.update,
        "parts": {
            name: {"bytes": len(data), "sha256": _sha256(data)} for name, data in parts.items()
        },
    }
    manifest = _canonical({"manifest": body, "sha256": _sha256(_canonical(body))})
    temporary = directory / f"{TEMPORARY}{checkpoint.name}"
    failpoint("checkpoint.before_write")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, data in {**parts, MANIFEST: manifest}.items():
        _write_synced(temporary / name, data)
    _sync(temporary)
    failpoint("checkpoint.after_sync")
    read_checkpoint(temporary)
    final = directory / checkpoint.name
    replaced = directory / f"{TEMPORARY}replaced"
    if final.exists():
        os.rename(final, replaced)
        failpoint("checkpoint.mid_replace")
    os.rename(temporary, final)
    _sync(directory)
    failpoint("checkpoint.after_rename")
    shutil.rmtree(replaced, ignore_errors=True)
    failpoint("checkpoint.before_forget")
    for old in checkpoint_paths(directory)[KEEP:]:
        _forget(old)
    return final


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint, verifying every byte.

    Raises:
        DamagedCheckpoint: something in it is not what was written.
    """
    body = _read_manifest(path)
    parts: dict[str, bytes] = {}
    for name, facts in body["parts"].items():
        data = _read(path / name)
        if _sha256(data) != facts["sha256"]:
            raise DamagedCheckpoint(f"{name} is not what its digest says")
        parts[name] = data
    suffix = ".safetensors"
    return Checkpoint(
        update=body["update"],
        counters=json.loads(parts["counters.json"]),
        arrays={
            name.removesuffix(suffix): safetensors.numpy.load(data)
            for name, data in parts.items()
            if name.endswith(suffix)
        },
        prefix=KEPT_PREFIX if path.name.startswith(KEPT_PREFIX) else PREFIX,
    )


def newest_checkpoint(directory: Path, report: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint that verifies; None when there is none.

    Args:
        directory: the run's checkpoints directory.
        report: called with a line for people for each one that is skipped, because it is damaged
            or of another format.
    """
    for path in checkpoint_paths(directory):
        try:
            return read_checkpoint(path)
        except DamagedCheckpoint as damage:
            report(f"checkpoint {path.name} cannot be used and is skipped: {damage}")
    return None


def checkpoint_paths(directory: Path) -> list[Path]:
    """Return the paths of all checkpoints, newest first, unverified."""
    return sorted(directory.glob(f"{PREFIX}*"), reverse=True)


def kept_paths(directory: Path) -> list[Path]:
    """Return the paths of all checkpoints that are kept for good, newest first, unverified."""
    return sorted(directory.glob(f"{KEPT_PREFIX}*"), reverse=True)


def remove_unfinished(directory: Path) -> None:
    """Remove what a killed process had begun to write."""
    for path in directory.glob(f"{TEMPORARY}*"):
        shutil.rmtree(path, ignore_errors=True)


def arrays_sha256(parts: Mapping[str, Arrays]) -> str:
    """Return one digest over all arrays of some parts, by name, in sorted order."""
    digest = hashlib.sha256()
    for part, arrays in sorted(parts.items()):
        for name, array in sorted(arrays.items()):
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            digest.update(f"{part}/{name} {little.dtype.str} {little.shape}\n".encode())
            digest.update(little.tobytes())
    return digest.hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    """Write a file; it is on disk when this returns."""
    view, half = memoryview(data), len(data) // 2
    with open(path, "wb") as file:
        file.write(view[:half])
        file.flush()
        failpoint("checkpoint.mid_write")
        file.write(view[half:])
        file.flush()
        os.fsync(file.fileno())


def _forget(path: Path) -> None:
    forgotten = path.with_name(f"{TEMPORARY}forgotten")
    shutil.rmtree(forgotten, ignore_errors=True)
    os.rename(path, forgotten)
    failpoint("checkpoint.mid_forget")
    shutil.rmtree(forgotten, ignore_errors=True)


def _read_manifest(path: Path) -> dict[str, Any]:
    data = _read(path / MANIFEST)
    try:
        whole = json.loads(data)
        body: dict[str, Any] = whole["manifest"]
        genuine = data == _canonical(whole) and _sha256(_canonical(body)) == whole["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        genuine = False
    if not genuine:
        raise DamagedCheckpoint(f"{MANIFEST} is not what its digest says")
    if body["format"] != FORMAT:
        raise DamagedCheckpoint(f"it has format {body['format']}, this version reads {FORMAT}")
    return body


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {(error.strerror or str(error)).lower()}") from None


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1).encode() + b"\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
