"""Where shards are: placing, moving and rebuilding them from snapshot and log.

Part of the brain; works on its records and appends to its instructions.
"""

import msgspec

from websim.wire import lifecycle
from websim.wire.messages import (
    AssignShard,
    GetScene,
    GetSnapshot,
    GetState,
    ReleaseShard,
    SessionWaiting,
    TakeSnapshot,
)
from websim_orchestrator.dispatch import Dispatch
from websim_orchestrator.fleet import Fleet, SessionRecord, ShardRecord, WorkerRecord
from websim_orchestrator.outbox import Outbox

# Why a session waits, for its client to show.
NO_WORKER = "no sim worker is connected: start one with `websim-sim-worker`"
SILENT = "the connected sim workers do not answer: they are slow or stuck"
LEAVING = "all sim workers are leaving: start one with `websim-sim-worker`"
RESTARTED = "the orchestrator was restarted: the workers of the environments are awaited"
BUILDING = "a sim worker builds the environments"
BUSY = "a sim worker has the environments and has not answered yet"


class Placement:
    """Places shards on workers by load."""

    def __init__(self, fleet: Fleet, out: Outbox, dispatch: Dispatch) -> None:
        self._fleet = fleet
        self._out = out
        self._dispatch = dispatch

    def load(self, worker: WorkerRecord) -> float:
        """Environments per thread that a worker steps."""
        envs = sum(
            self._fleet.sessions[session].shards[index].span.num_envs
            for session, index in worker.shards
        )
        return envs / worker.nthread

    def place_waiting(self, now_s: float) -> None:
        """Give every shard without a worker to the least loaded one, if there is any."""
        for session in list(self._fleet.sessions.values()):
            for shard in session.shards:
                if shard.worker is None and not shard.awaited:
                    worker = self._least_loaded()
                    if worker is None:
                        self.say_waiting(session)
                        return
                    self._assign(session, shard, worker, now_s)
            if session.waiting_said:
                self.say_waiting(session)

    def _least_loaded(self) -> WorkerRecord | None:
        able = [worker for worker in self._fleet.workers.values() if not worker.draining]
        if not able:
            return None
        return min(able, key=lambda each: (self.load(each), len(each.shards), each.worker_id))

    def _assign(
        self, session: SessionRecord, shard: ShardRecord, worker: WorkerRecord, now_s: float
    ) -> None:
        """Send a shard's recipe, then its log."""
        shard.worker = worker
        shard.epoch += 1
        shard.ready = False
        shard.moving = False
        worker.shards.add(shard.key)
        worker.building += 1
        worker.longest_command_s = max(worker.longest_command_s, session.longest_command_s)
        request, snapshot = session.request, shard.snapshot
        specs = list(request.arrays)
        frames = list(session.frames)
        if snapshot is not None:
            specs += [
                msgspec.structs.replace(spec, name=f"snapshot:{spec.name}")
                for spec in snapshot.arrays
            ]
            frames += shard.snapshot_frames
        assignment = AssignShard(
            session=session.session_id,
            shard=shard.index,
            epoch=shard.epoch,
            task=request.task,
            seed=request.seed,
            first_env_id=shard.span.first_env_id,
            num_envs=shard.span.num_envs,
            obs_dtype=request.obs_dtype,
            snapshot_every=lifecycle.SNAPSHOT_EVERY,
            overrides=request.overrides,
            seq=snapshot.seq if snapshot is not None else 0,
            t=snapshot.t if snapshot is not None else 0,
            arrays=tuple(specs),
        )
        self._out.to_worker(worker.identity, assignment, frames)
        self._dispatch.resume(shard, worker)
        for question in shard.questions:
            self.ask(shard, question)
        if shard.epoch > 1:
            self._fleet.counters["shards_rebuilt"] += 1
            self._fleet.counters["commands_replayed"] += len(shard.log)
            self._out.log(
                "info",
                "shard rebuilt",
                session=session.session_id,
                shard=shard.index,
                worker_id=worker.worker_id,
                replayed=len(shard.log),
            )

    def ask(self, shard: ShardRecord, request: int) -> None:
        """Forward a question; one that cannot go now goes with the next assignment."""
        if shard.worker is None or shard.moving:
            return
        wanted = shard.questions[request].wanted
        question: GetState | GetSnapshot | GetScene
        if isinstance(wanted, int):
            question = GetState(
                session=shard.session_id,
                shard=shard.index,
                env_id=wanted,
                request=request,
                epoch=shard.epoch,
            )
        else:
            kind = GetScene if wanted == "scene" else GetSnapshot
            question = kind(
                session=shard.session_id, shard=shard.index, request=request, epoch=shard.epoch
            )
        self._out.to_worker(shard.worker.identity, question)

    def detach(self, shard: ShardRecord) -> None:
        """The worker holds the shard no more."""
        worker = shard.worker
        if worker is not None:
            worker.shards.discard(shard.key)
            if not shard.ready:
                worker.building -= 1
            self._dispatch.left(shard, worker)
        shard.worker = None
        shard.moving = False

    def release(self, shard: ShardRecord) -> None:
        """Tell the worker to forget the shard."""
        if shard.worker is not None:
            message = ReleaseShard(session=shard.session_id, shard=shard.index, epoch=shard.epoch)
            self._out.to_worker(shard.worker.identity, message)
        self.detach(shard)

    def move_all(self, worker: WorkerRecord) -> None:
        """Move a draining worker's shards away; without another worker they wait as snapshots."""
        for session, index in sorted(worker.shards):
            self._move(self._fleet.sessions[session].shards[index])

    def _move(self, shard: ShardRecord) -> None:
        """Ask for a snapshot on which the worker lets go; placing follows its arrival."""
        if shard.worker is None or not shard.movable:
            return
        shard.moving = True
        message = TakeSnapshot(
            session=shard.session_id, shard=shard.index, epoch=shard.epoch, release=True
        )
        self._out.to_worker(shard.worker.identity, message)

    def rebalance(self) -> None:
        """Move shards from the most to the least loaded worker while that evens them out."""
        able = [worker for worker in self._fleet.workers.values() if not worker.draining]
        if len(able) < 2:
            return
        loads = {worker.identity: self.load(worker) for worker in able}
        movable = {
            worker.identity: [
                shard
                for session, index in sorted(worker.shards)
                if (shard := self._fleet.sessions[session].shards[index]).movable
            ]
            for worker in able
        }
        threads = {worker.identity: worker.nthread for worker in able}
        while True:
            high = max(loads, key=loads.__getitem__)
            low = min(loads, key=loads.__getitem__)
            if not movable[high]:
                return
            shard = movable[high].pop()
            after = loads[low] + shard.span.num_envs / threads[low]
            if after >= loads[high]:
                return
            loads[high] -= shard.span.num_envs / threads[high]
            loads[low] = after
            self._move(shard)

    def say_waiting(self, session: SessionRecord, *, always: bool = False) -> None:
        """Tell the client why nothing happens, if that has changed, and when it is over."""
        reason, told = self._why_waiting(session), session.waiting_said
        if reason == told and not (always and told):
            return
        if reason == BUSY and not told:
            return  # nothing was amiss: that is how every step goes
        session.waiting_said = reason
        message = SessionWaiting(
            request=session.request.request, session=session.session_id, reason=reason
        )
        self._out.to_client(session.client, message)

    def _why_waiting(self, session: SessionRecord) -> str:
        """Return why nothing happens, for a person; empty where nothing is outstanding."""
        if any(shard.awaited for shard in session.shards):
            return RESTARTED
        if any(shard.worker is None for shard in session.shards):
            workers = self._fleet.workers.values()
            if workers and all(worker.draining for worker in workers):
                return LEAVING
            return SILENT if self._fleet.silenced else NO_WORKER
        if not session.opened:
            return BUILDING
        return BUSY if any(shard.pending for shard in session.shards) else ""
