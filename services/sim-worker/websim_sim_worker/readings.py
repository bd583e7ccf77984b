"""The worker's metrics, read from its state when Prometheus asks."""

from collections.abc import Iterator

from websim.service.metrics import Reading
from websim_sim_worker.runtime import Runtime


def read_metrics(runtime: Runtime) -> Iterator[Reading]:
    """Yield the current readings. Runs in the HTTP thread and only looks."""
    prefix = "websim_sim_worker"
    held = list(runtime.held.by_key.values())
    yield Reading(f"{prefix}_registered", runtime.worker_id is not None)
    yield Reading(f"{prefix}_shards", len(held))
    yield Reading(f"{prefix}_envs", sum(each.shard.num_envs for each in held))
    yield Reading(f"{prefix}_env_steps_total", runtime.counters["env_steps"])
    yield Reading(f"{prefix}_commands_total", runtime.counters["commands"])
    yield Reading(f"{prefix}_busy_seconds_total", runtime.held.busy_s)
    yield Reading(f"{prefix}_shown_seconds_total", runtime.held.shown_s)
    yield Reading(f"{prefix}_shown_frames_total", runtime.counters["shown"])
    yield Reading(f"{prefix}_diverged_steps_total", runtime.counters["diverged"])
    for reason in ("broken", "stale", "out_of_order", "unsent"):
        yield Reading(f"{prefix}_dropped_messages_total", runtime.counters[reason], (reason,))
