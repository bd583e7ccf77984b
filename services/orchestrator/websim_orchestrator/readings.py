"""The orchestrator's metrics, read from its state when Prometheus asks."""

from collections.abc import Iterator

from websim.service.metrics import Reading
from websim.wire.curve import DOMAINS
from websim.wire.handshakes import FAILURES
from websim_orchestrator.runtime import Runtime

BROKEN_REASONS = ("malformed", "oversized", "version")
TELEMETRY = ("figures", "pose")


def read_metrics(runtime: Runtime) -> Iterator[Reading]:
    """Yield the current readings. Runs in the HTTP thread and only looks."""
    brain = runtime.brain
    sessions = list(brain.fleet.sessions.values())
    shards = [shard for session in sessions for shard in session.shards]
    prefix = "websim_orchestrator"
    yield Reading(f"{prefix}_workers", len(brain.fleet.workers))
    yield Reading(f"{prefix}_sessions", len(sessions))
    yield Reading(f"{prefix}_envs", sum(session.request.num_envs for session in sessions))
    yield Reading(f"{prefix}_shards", len(shards))
    yield Reading(f"{prefix}_shards_waiting", sum(shard.worker is None for shard in shards))
    yield Reading(f"{prefix}_commands_outstanding", sum(len(shard.pending) for shard in shards))
    yield Reading(f"{prefix}_log_commands", sum(len(shard.log) for shard in shards))
    counters = brain.fleet.counters
    yield Reading(f"{prefix}_workers_lost_total", counters["workers_lost"])
    yield Reading(f"{prefix}_shards_rebuilt_total", counters["shards_rebuilt"])
    yield Reading(f"{prefix}_commands_replayed_total", counters["commands_replayed"])
    yield Reading(f"{prefix}_shards_kept_total", counters["shards_kept"])
    yield Reading(f"{prefix}_steps_skipped_total", counters["steps_skipped"])
    yield Reading(f"{prefix}_answers_lost_total", counters["answers_lost"])
    yield Reading(f"{prefix}_snapshots_total", counters["snapshots"])
    yield Reading(f"{prefix}_stale_messages_total", counters["stale"])
    yield Reading(f"{prefix}_questions_given_up_total", counters["questions_given_up"])
    yield Reading(f"{prefix}_refused_commands_total", counters["refused_commands"])
    yield Reading(f"{prefix}_watched_topics", brain.watching.watched)
    for kind in TELEMETRY:
        count = runtime.counters[f"published_{kind}"]
        yield Reading(f"{prefix}_published_messages_total", count, (kind,))
    for reason in BROKEN_REASONS:
        count = runtime.counters[f"broken_{reason}"]
        yield Reading(f"{prefix}_broken_messages_total", count, (reason,))
    for socket in DOMAINS:
        for why in FAILURES.values():
            refused = runtime.gate.refused[socket, why]
            yield Reading(f"{prefix}_refused_peers_total", refused, (socket, why))
