"""Which commands go to a worker, and when: all at once, but suspects alone.

Part of the brain. A command that is outstanding when its worker dies is a suspect: it, or another
one outstanding there, may have been the cause. On the next worker it is sent when nothing else is
outstanding there, and everything else waits for its answer. A worker that dies then is a death of
that command and of no other; after MAX_DEATHS_AT_STEP in a row the step is skipped for good.
"""

import msgspec

from websim.wire import lifecycle
from websim.wire.messages import Step, Watch
from websim_orchestrator.fleet import Fleet, Quarantine, ShardRecord, WorkerRecord
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.watching import Watching


class Dispatch:
    """Sends the commands of the shards' logs."""

    def __init__(self, fleet: Fleet, out: Outbox, watching: Watching) -> None:
        self._fleet = fleet
        self._out = out
        self._watching = watching

    def forward(self, shard: ShardRecord, seq: int, now_s: float) -> None:
        """Send a new command of the shard's log, unless it has to wait."""
        worker = shard.worker
        if worker is not None and not shard.moving and not worker.probes:
            self._send(shard, worker, seq, watch=self._watching.of_step(shard, now_s))

    def resume(self, shard: ShardRecord, worker: WorkerRecord, now_s: float) -> None:
        """Send the whole log of a shard that the worker has just been assigned.

        Commands that have been answered are repeated in silence.
        """
        for seq, logged in shard.log.items():
            logged.sent_s = now_s
            if seq not in shard.pending:
                self._send(shard, worker, seq, replay=True)
            elif shard.deaths and shard.key not in worker.probes:
                worker.probes.append(shard.key)
        self.advance(worker)

    def advance(self, worker: WorkerRecord) -> None:
        """Send what may go now: the next suspect alone, or else all that was held back."""
        shards = [self._fleet.sessions[s].shards[i] for s, i in sorted(worker.shards)]
        if worker.probes:
            if any(_in_flight(shard) for shard in shards):
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
        shard.deaths = 0
        shard.evidence.clear()
        if worker.probes:
            if shard.key in worker.probes:
                worker.probes.remove(shard.key)
            self.advance(worker)

    def left(self, shard: ShardRecord, worker: WorkerRecord) -> None:
        """Note that the worker holds the shard no more."""
        shard.sent_seq = 0
        if shard.key in worker.probes:
            worker.probes.remove(shard.key)
            self.advance(worker)

    def died(self, shard: ShardRecord, why: str, *, certain: bool = False) -> bool:
        """Note that a shard's worker died, or failed, with the shard's command.

        Args:
            shard: one that was with the worker.
            why: how it ended.
            certain: it is known that this shard was the cause.

        Returns:
            Whether the shard's session can go on; where it does, the step may have been skipped.
        """
        if not certain and not _in_flight(shard):
            return True
        seq = next(iter(shard.pending), -1)
        shard.deaths = shard.deaths + 1 if seq == shard.death_seq else 1
        shard.death_seq = seq
        shard.evidence.append(why)
        if shard.deaths < lifecycle.MAX_DEATHS_AT_STEP:
            return True
        session = self._fleet.sessions[shard.session_id]
        logged = shard.log.get(seq)
        if (
            logged is None
            or not isinstance(logged.command, Step)
            or len(session.quarantines) >= lifecycle.MAX_QUARANTINES
        ):
            return False
        logged.command = msgspec.structs.replace(logged.command, skip=True)
        quarantine = Quarantine(shard.span, logged.command.t, tuple(shard.evidence))
        session.quarantines.append(quarantine)
        self._fleet.counters["steps_skipped"] += 1
        self._out.log(
            "error",
            "step skipped: it ended one worker after another",
            session=session.session_id,
            first_env_id=shard.span.first_env_id,
            num_envs=shard.span.num_envs,
            t=quarantine.t,
            evidence=list(quarantine.evidence),
        )
        shard.deaths = 0
        shard.evidence.clear()
        return True

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
        shard.sent_seq = seq
        self._out.to_worker(worker.identity, command, logged.frames)


def _in_flight(shard: ShardRecord) -> bool:
    """Whether a command of the shard is with its worker."""
    return any(seq <= shard.sent_seq for seq in shard.pending)
