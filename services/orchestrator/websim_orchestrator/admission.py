"""Whom the fleet admits as a worker. Part of the brain: asked at a hello, knows no socket.

Workers of two releases, or with two engines, step the same environments to other bits, and a shard
moves from one worker to any other: a fleet is of one release at a time.
"""

from websim.wire.messages import Refused, WorkerHello
from websim_orchestrator.fleet import Fleet, WorkerRecord

MAX_THREADS = 1024
"""Bound of a worker's threads."""


def refusal_of(hello: WorkerHello, fleet: Fleet) -> Refused | None:
    """Return why a worker that is not registered cannot be; None admits it."""
    if not 1 <= hello.nthread <= MAX_THREADS:
        return Refused(
            code="bad_worker",
            message=f"nthread is {hello.nthread}",
            remedy=f"choose 1 to {MAX_THREADS}",
        )
    for worker in fleet.workers.values():
        if _release(worker) != _release(hello):
            return Refused(
                code="other_release",
                message=f"this worker is of {_release(hello)}, and the fleet has workers of "
                f"{_release(worker)}",
                remedy="stop those; it joins when they are gone",
            )
    return None


def _release(of: WorkerHello | WorkerRecord) -> str:
    """Return what has to be equal, in words."""
    release, engine = of.package_version or "unknown", of.mujoco_version or "unknown"
    return f"release {release} with MuJoCo {engine}"
