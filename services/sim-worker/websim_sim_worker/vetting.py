"""Try a task that came from outside in a child process before this one compiles it.

The child has a memory limit, a CPU limit and a deadline; once it has read the task it can reach no
file, no network and start no process, as far as the kernel lets it give that up. It compiles the
model, checks its sizes and steps it with random actions; whatever that does to it, this process
reads one line of judgement.
"""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from websim.tasks import TaskBundle, TaskError
from websim.tasks.document import Value

DEADLINE_S = 25.0
"""Wall-clock limit of the child. The CPU limit is the real one: this allows for a busy machine."""

MAX_MEMORY_BYTES = 2 * 1024**3
"""Most that the child may map, where this process may use twice as much."""

MAX_JUDGEMENTS = 64
"""Bound of the judgements that are remembered."""

CGROUP = Path("/sys/fs/cgroup")
"""Where a container finds its own limits."""

CGROUP_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""The file of the memory limit, in version 2 and in version 1; none, `max` or huge: no limit."""

_REMEDY = "make the model smaller or simpler"


class Limits(msgspec.Struct, frozen=True):
    """What the child may use; a sane model takes well under 1 s and maps 300 MiB."""

    cpu_s: int = 5
    memory_bytes: int = MAX_MEMORY_BYTES


class VettingRequest(msgspec.Struct, frozen=True):
    """What the child is to judge."""

    name: str
    task_yaml: bytes
    files: dict[str, bytes]
    overrides: dict[str, Value]
    limits: Limits


class Judgement(msgspec.Struct, frozen=True):
    """What the child found; `message` is empty when the task is fine."""

    message: str = ""
    where: str = ""
    remedy: str = ""


_judgements: dict[bytes, Judgement] = {}
"""By the SHA-256 of the request."""


def vet(bundle: TaskBundle, overrides: Mapping[str, Value], limits: Limits | None = None) -> None:
    """Raise TaskError unless the task compiles and steps within the limits.

    Args:
        bundle: the task.
        overrides: of its parameters.
        limits: what the trial may use; None is what this machine or container has room for.
    """
    limits = limits or Limits(memory_bytes=memory_allowance())
    files, values = dict(bundle.files), dict(overrides)
    request = VettingRequest(bundle.name, bundle.task_yaml, files, values, limits)
    judgement = _judge(msgspec.msgpack.encode(request))
    if judgement.message:
        raise TaskError(judgement.message, where=judgement.where, remedy=judgement.remedy)


def memory_allowance(cgroup: Path = CGROUP) -> int:
    """Return how many bytes the child may map: half of what the container has, for both to live.

    A container that runs out of memory is ended as a whole, the worker with it.
    """
    for name in CGROUP_LIMITS:
        try:
            text = (cgroup / name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        return min(MAX_MEMORY_BYTES, int(text) // 2) if text.isdecimal() else MAX_MEMORY_BYTES
    return MAX_MEMORY_BYTES


def _judge(request: bytes) -> Judgement:
    """Return what the child says of a request, which is remembered.

    Raises:
        TaskError: it says nothing; that may be this machine's doing, and another time it does.
    """
    key = hashlib.sha256(request).digest()
    if key not in _judgements:
        judgement = _try(request)
        if len(_judgements) >= MAX_JUDGEMENTS:
            _judgements.clear()
        _judgements[key] = judgement
    return _judgements[key]


def _try(request: bytes) -> Judgement:
    # An empty folder, so that a relative path finds nothing even if one came through.
    with tempfile.TemporaryDirectory(prefix="websim-vetting-") as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-m", "websim_sim_worker.vetting_child"],
                input=request,
                capture_output=True,
                cwd=folder,
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MUJOCO_GL": "disable"},
                timeout=DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TaskError(
                f"compiling and probing the task takes more than {DEADLINE_S:.0f} s", remedy=_REMEDY
            ) from None
    if done.returncode < 0:
        raise TaskError(
            "compiling and probing the task needs more CPU time or memory than it may "
            f"(signal {-done.returncode})",
            remedy=_REMEDY,
        )
    try:
        return msgspec.json.decode(done.stdout, type=Judgement)
    except msgspec.DecodeError:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no answer"]
        raise TaskError(
            f"the trial of the task failed: {lines[-1][:200]}", remedy=_REMEDY
        ) from None
