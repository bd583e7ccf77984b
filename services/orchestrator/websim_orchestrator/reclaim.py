"""Sessions that outlive an orchestrator: after a restart their shards go on where they are.

Part of the brain. Workers say in their hello what they still hold; a client asks for its session by
its number and says which answers it has. A shard is kept by the worker that announced it: it sends
a snapshot, to start the shard's log from, and repeats its last answer, which may have been lost.
"""

from websim.wire import lifecycle
from websim.wire.messages import Held, KeepShard, Refused, ReleaseShard
from websim_orchestrator.fleet import Fleet, SessionRecord, ShardRecord, WorkerRecord
from websim_orchestrator.outbox import Outbox

MAX_NUMBER = 1 << 53
"""Bound of the numbers that are counted on from what a peer says."""


def shard_lost(session: SessionRecord, shard: ShardRecord) -> Refused:
    """What the client is told when nobody has a shard's state any more."""
    first, count = shard.span.first_env_id, shard.span.num_envs
    return Refused(
        code="shard_lost",
        message=f"environments {first} to {first + count - 1} are lost: orchestrator and worker "
        "have both been restarted",
        remedy="open a new session; a training run goes back to its checkpoint",
        request=session.request.request,
        session=session.session_id,
        shard=shard.index,
    )


class Reclaim:
    """Brings announced shards and the sessions that ask for them together."""

    def __init__(self, fleet: Fleet, out: Outbox) -> None:
        self._fleet = fleet
        self._out = out

    def announce(self, worker: WorkerRecord, held: tuple[Held, ...], now_s: float) -> None:
        """Take in what a worker that has just joined holds.

        What belongs to a session that runs here is released: its shards were assigned elsewhere,
        or will be, from snapshot and log.
        """
        worker.announced_s = now_s
        for each in held:
            if not all(0 <= number < MAX_NUMBER for number in (each.epoch, each.seq, each.t)):
                continue
            session = self._fleet.sessions.get(each.session)
            if session is None or _awaits(session, each.shard):
                worker.announced[each.session, each.shard] = each
            else:
                self._release(worker, each)
        for session in self._fleet.sessions.values():
            self.adopt(session)

    def adopt(self, session: SessionRecord) -> None:
        """Keep the session's awaited shards where workers have announced them."""
        for shard in session.shards:
            if not shard.awaited:
                continue
            for worker in self._fleet.workers.values():
                held = worker.announced.pop(shard.key, None)
                if held is None:
                    continue
                if held.t - session.request.done[shard.index] in (0, 1):
                    self._keep(session, shard, worker, held)
                    break
                self._release(worker, held)

    def _keep(
        self, session: SessionRecord, shard: ShardRecord, worker: WorkerRecord, held: Held
    ) -> None:
        shard.awaited = False
        shard.worker = worker
        shard.epoch = held.epoch + 1
        shard.seq = held.seq
        # A command that is done is not done again; the worker repeats its answer.
        shard.done_t = held.t
        shard.owes_answer = held.t > session.request.done[shard.index]
        shard.has_baseline = False
        worker.shards.add(shard.key)
        worker.building += 1
        message = KeepShard(
            session=held.session, shard=held.shard, epoch=held.epoch, new_epoch=shard.epoch
        )
        self._out.to_worker(worker.identity, message)
        self._fleet.counters["shards_kept"] += 1

    def tick(self, now_s: float) -> list[tuple[SessionRecord, Refused]]:
        """Release what nobody asks for; return the sessions that cannot be brought back."""
        for worker in self._fleet.workers.values():
            if worker.announced and now_s - worker.announced_s > lifecycle.CLIENT_GRACE_S:
                for held in worker.announced.values():
                    self._release(worker, held)
                worker.announced.clear()
        lost = []
        for session in self._fleet.sessions.values():
            until_s = session.reclaim_until_s
            if until_s is None or now_s <= until_s:
                continue
            session.reclaim_until_s = None
            missing = [shard for shard in session.shards if shard.awaited or shard.owes_answer]
            if missing:
                lost.append((session, shard_lost(session, missing[0])))
        return lost

    def _release(self, worker: WorkerRecord, held: Held) -> None:
        message = ReleaseShard(session=held.session, shard=held.shard, epoch=held.epoch)
        self._out.to_worker(worker.identity, message)


def _awaits(session: SessionRecord, index: int) -> bool:
    return 0 <= index < len(session.shards) and session.shards[index].awaited
