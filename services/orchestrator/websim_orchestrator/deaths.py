"""What the end of a worker proves about the commands it had.

Part of the brain. Workers die by chance, too, so a command is blamed only for what cannot be
chance: MAX_DEATHS_AT_STEP workers in a row that ended with it while no other was lost. While others
are lost for reasons of their own it takes MAX_DEATHS_IN_STORM. A worker that is silent may only be
slow, so its silence counts when it has lasted SILENCE_PROVES_S, and no more when it is heard again.
A step that is blamed is skipped for good; another command, or a shard that cannot even be rebuilt,
ends its session.
"""

from dataclasses import replace

import msgspec

from websim.wire import lifecycle
from websim.wire.messages import Step
from websim_orchestrator.fleet import Death, Fleet, Quarantine, ShardRecord, WorkerRecord
from websim_orchestrator.outbox import Outbox

MAX_REMEMBERED = 256
"""Lost workers that are known again when they come back."""


class Deaths:
    """Counts the deaths of workers against what they were doing."""

    def __init__(self, fleet: Fleet, out: Outbox) -> None:
        self._fleet = fleet
        self._out = out
        self._gone: dict[bytes, WorkerRecord] = {}
        """Lost workers by identity, which a process keeps for life; the latest MAX_REMEMBERED."""

    def lost(self, worker: WorkerRecord, now_s: float) -> None:
        """Note that a worker was lost that was not asked to leave."""
        lost = self._fleet.unexplained
        for worker_id in [each for each, at_s in lost.items() if now_s - at_s > lifecycle.CALM_S]:
            del lost[worker_id]
        lost[worker.worker_id] = now_s
        self._gone[worker.identity] = worker
        while len(self._gone) > MAX_REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def heard_again(self, identity: bytes, now_s: float) -> None:
        """Take back what was made of a worker's end: it registers anew, so it was only silent."""
        worker = self._gone.pop(identity, None)
        if worker is None:
            return
        self._fleet.unexplained.pop(worker.worker_id, None)
        for session in self._fleet.sessions.values():
            for shard in session.shards:
                shard.deaths = [
                    replace(each, back_after_s=now_s - worker.last_seen_s)
                    if each.worker_id == worker.worker_id and not each.certain
                    else each
                    for each in shard.deaths
                ]

    def died(
        self,
        shard: ShardRecord,
        worker_id: int,
        how: str,
        *,
        certain: bool = False,
        silent_since_s: float | None = None,
    ) -> str:
        """Note that a shard's worker died, or failed, and skip the shard's step if it is to blame.

        Args:
            shard: one that was with the worker.
            worker_id: the worker's.
            how: it ended.
            certain: it is known that this shard was the cause.
            silent_since_s: when it was last heard, if nothing but its silence is known.

        Returns:
            Why the shard's session cannot go on, or "".
        """
        if shard.settling:
            shard.deaths_building += 1
            limit = lifecycle.MAX_DEATHS_AT_STEP if certain else lifecycle.MAX_DEATHS_BUILDING
            if shard.deaths_building < limit:
                return ""
            return f"ended {shard.deaths_building} workers in a row that were to rebuild them"
        if not certain and not shard.in_flight:
            return ""
        seq = next(iter(shard.pending), -1)
        if seq != shard.death_seq:
            shard.death_seq = seq
            shard.deaths.clear()
        shard.deaths.append(Death(worker_id, how, certain, silent_since_s))
        proven = sum(self._counts(each) for each in shard.deaths)
        if proven >= self._proof(shard, certain):
            if self._skip(shard, seq):
                return ""
        elif len(shard.deaths) < lifecycle.MAX_DEATHS_AT_ALL:
            return ""
        return f"ended or silenced {len(shard.deaths)} workers in a row at the same step"

    def _counts(self, death: Death) -> bool:
        """Whether a death is evidence by now."""
        if death.back_after_s is not None:
            return False
        since_s = death.silent_since_s
        return since_s is None or self._fleet.now_s - since_s >= lifecycle.SILENCE_PROVES_S

    def _proof(self, shard: ShardRecord, certain: bool) -> int:
        """How many deaths in a row show that the command was the cause."""
        others = self._fleet.unexplained.keys() - {death.worker_id for death in shard.deaths}
        if certain or not others:
            return lifecycle.MAX_DEATHS_AT_STEP
        return lifecycle.MAX_DEATHS_IN_STORM

    def _skip(self, shard: ShardRecord, seq: int) -> bool:
        """Have a step skipped; False when it is none, or one too many."""
        session = self._fleet.sessions[shard.session_id]
        logged = shard.log.get(seq)
        if (
            logged is None
            or not isinstance(logged.command, Step)
            or len(session.quarantines) >= lifecycle.MAX_QUARANTINES
        ):
            return False
        logged.command = msgspec.structs.replace(logged.command, skip=True)
        evidence = tuple(death.how for death in shard.deaths)
        quarantine = Quarantine(shard.span, logged.command.t, evidence)
        session.quarantines.append(quarantine)
        self._fleet.counters["steps_skipped"] += 1
        self._out.log(
            "error",
            "step skipped: it ended one worker after another",
            session=session.session_id,
            first_env_id=shard.span.first_env_id,
            num_envs=shard.span.num_envs,
            t=quarantine.t,
            evidence=list(evidence),
        )
        for death in shard.deaths:
            self._fleet.unexplained.pop(death.worker_id, None)
        shard.deaths.clear()
        return True
