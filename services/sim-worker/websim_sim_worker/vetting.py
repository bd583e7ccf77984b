"""Try a task that came from outside in a child process before this one compiles it.

The child has a memory limit, a CPU limit and a deadline; once it has read the task it can reach no
file, no network and start no process, as far as the kernel lets it give that up. It compiles the
model, checks its sizes and steps it with random actions; whatever that does to it, this process
reads one line of judgement.
"""

import functools
import subprocess
import sys
import tempfile
from collections.abc import Mapping

import msgspec

from websim.tasks import TaskBundle, TaskError
from websim.tasks.document import Value

DEADLINE_S = 25.0
"""Wall-clock limit of the child. The CPU limit is the real one: this allows for a busy machine."""

_REMEDY = "make the model smaller or simpler"


class Limits(msgspec.Struct, frozen=True):
    """What the child may use; a sane model takes well under 1 s and 300 MiB."""

    cpu_s: int = 5
    memory_bytes: int = 2 * 1024**3


DEFAULT_LIMITS = Limits()


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


def vet(
    bundle: TaskBundle, overrides: Mapping[str, Value], limits: Limits = DEFAULT_LIMITS
) -> None:
    """Raise TaskError unless the task compiles and steps within the limits."""
    files, values = dict(bundle.files), dict(overrides)
    request = VettingRequest(bundle.name, bundle.task_yaml, files, values, limits)
    judgement = _judge(msgspec.msgpack.encode(request))
    if judgement.message:
        raise TaskError(judgement.message, where=judgement.where, remedy=judgement.remedy)


@functools.lru_cache(maxsize=64)
def _judge(request: bytes) -> Judgement:
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
            return Judgement(
                f"compiling and probing the task takes more than {DEADLINE_S:.0f} s", remedy=_REMEDY
            )
    if done.returncode < 0:
        return Judgement(
            "compiling and probing the task needs more CPU time or memory than it may "
            f"(signal {-done.returncode})",
            remedy=_REMEDY,
        )
    try:
        return msgspec.json.decode(done.stdout, type=Judgement)
    except msgspec.DecodeError:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no answer"]
        return Judgement(f"the trial of the task failed: {lines[-1][:200]}", remedy=_REMEDY)
