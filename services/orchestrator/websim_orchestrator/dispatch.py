"""Which commands go to a worker, and when: all at once, but suspects alone.

Part of the brain. A command that is outstanding when its worker dies is a suspect: it, or another
one outstanding there, may have been the cause. On the next worker it is sent when nothing else is
outstanding there and every shard has settled: the worker has said that they are built and their
logs repeated. Everything else waits for its answer. A worker that dies then is a death of that
command and of no other (see deaths.py).
"""

import msgspec

from websim.wire.messages import Step, TakeSnapshot, Watch
from websim_orchestrator.fleet import Fleet, ShardRecord, WorkerRecord
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.watching import Watching


class Dispatch:
    """Sends the commands of the shards' logs."""

    def __init__(self, fleet: Fleet, out: Outbox, watching: Watching) -> None:
        self._fleet = fleet
        self._out = out
        self._watching = watching

    def forward(self, shard: ShardRecord, seq: int) -> None:
        """Send a new command of the shard's log, unless it has to wait."""
        worker = shard.worker
        if worker is not None and not shard.moving and not worker.probes:
            watch = self._watching.of_step(shard, self._fleet.now_s)
            self._send(shard, worker, seq, watch=watch)

    def resume(self, shard: ShardRecord, worker: WorkerRecord) -> None:
        """Send the whole log of a shard that the worker has just been assigned.

        Commands that have been answered are repeated in silence; a snapshot tells of their end.
        """
        shard.settling = True
        suspected = bool(shard.deaths or shard.deaths_building)
        for seq in shard.log:
            if seq not in shard.pending:
                self._send(shard, worker, seq, replay=True)
        if shard.log.keys() - shard.pending.keys():
            take = TakeSnapshot(session=shard.session_id, shard=shard.index, epoch=shard.epoch)
            self._out.to_worker(worker.identity, take)
        if suspected and shard.pending and shard.key not in worker.probes:
            worker.probes.append(shard.key)
        self.advance(worker)

    def heard(self, shard: ShardRecord, worker: WorkerRecord) -> None:
        """Note that the shard has been built, or a snapshot has come: it may have settled."""
        if shard.settling and shard.ready and shard.log.keys() <= shard.pending.keys():
            shard.settling = False
            shard.deaths_building = 0
            for seq in shard.pending:
                shard.log[seq].sent_s = self._fleet.now_s
            if worker.probes:
                self.advance(worker)

    def advance(self, worker: WorkerRecord) -> None:
        """Send what may go now: the next suspect alone, or else all that was held back."""
        shards = [self._fleet.sessions[s].shards[i] for s, i in sorted(worker.shards)]
        if worker.probes:
            if any(shard.in_flight or shard.settling for shard in shards):
                return
            session, index = worker.probes[0]
            shard = self._fleet.sessions[session].shards[index]
            if not shard.moving:
                self._send(shard, worker, next(iter(shard.pending)))
            return
        for shard in shards:
            if not shard.moving:
                for seq in [seq for seq in shard.pending if seq > shard.sent_seq]:
                    self._send(shard, worker, seq)

    def answered(self, shard: ShardRecord, worker: WorkerRecord) -> None:
        """Note that a command of the shard was answered: it is no suspect any more."""
        shard.deaths.clear()
        if worker.probes:
            if shard.key in worker.probes:
                worker.probes.remove(shard.key)
            self.advance(worker)

    def left(self, shard: ShardRecord, worker: WorkerRecord) -> None:
        """Note that the worker holds the shard no more."""
        shard.sent_seq = 0
        shard.settling = False
        if worker.probes:
            if shard.key in worker.probes:
                worker.probes.remove(shard.key)
            self.advance(worker)

    def _send(
        self,
        shard: ShardRecord,
        worker: WorkerRecord,
        seq: int,
        *,
        replay: bool = False,
        watch: Watch | None = None,
    ) -> None:
        logged = shard.log[seq]
        command = logged.command
        if command.epoch != shard.epoch or replay:
            command = msgspec.structs.replace(command, epoch=shard.epoch, replay=replay)
        if watch is not None and isinstance(command, Step):
            command = msgspec.structs.replace(command, watch=watch)
        logged.sent_s = self._fleet.now_s
        shard.sent_seq = seq
        self._out.to_worker(worker.identity, command, logged.frames)
