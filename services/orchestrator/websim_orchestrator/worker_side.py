"""The brain's side towards the workers: registration, heartbeats, shards, losses."""

from websim.wire import lifecycle
from websim.wire.messages import (
    Applied,
    EnvState,
    Figures,
    OrchestratorHeartbeat,
    Pose,
    Refused,
    Rejected,
    Scene,
    ShardFailed,
    ShardReady,
    ShardState,
    Snapshot,
    Stepped,
    WasReset,
    Welcome,
    WorkerGoodbye,
    WorkerHeartbeat,
    WorkerHello,
)
from websim_orchestrator.admission import refusal_of
from websim_orchestrator.answer_side import AnswerSide
from websim_orchestrator.client_side import ClientSide
from websim_orchestrator.deaths import Deaths
from websim_orchestrator.dispatch import Dispatch
from websim_orchestrator.events import WorkerMessage
from websim_orchestrator.fleet import (
    Fleet,
    SessionRecord,
    ShardRecord,
    WorkerRecord,
)
from websim_orchestrator.outbox import Outbox
from websim_orchestrator.placement import Placement
from websim_orchestrator.reclaim import Reclaim, shard_lost
from websim_orchestrator.watching import Watching

MAX_TASKS = 1000
"""Tasks of a worker that are listed."""


class WorkerSide:
    """Takes in what workers say."""

    def __init__(
        self,
        fleet: Fleet,
        out: Outbox,
        placement: Placement,
        dispatch: Dispatch,
        reclaim: Reclaim,
        clients: ClientSide,
        watching: Watching,
    ) -> None:
        self._fleet = fleet
        self._out = out
        self._placement = placement
        self._dispatch = dispatch
        self._deaths = Deaths(fleet, out)
        self._reclaim = reclaim
        self._clients = clients
        self._watching = watching
        self._answers = AnswerSide(fleet, out, placement, dispatch)
        self._next_worker_id = 0

    # --- workers

    def message(self, event: WorkerMessage) -> None:
        """Take in a worker's message."""
        message = event.envelope.message
        if isinstance(message, WorkerHello):
            self._welcome(event.identity, message, event.now_s)
            return
        worker = self._fleet.workers.get(event.identity)
        if worker is None:
            self._fleet.counters["unknown_worker"] += 1
            self._out.to_worker(
                event.identity, Refused(code="unknown_worker", message="not registered")
            )
            return
        worker.last_seen_s = event.now_s
        match message:
            case Stepped() | WasReset() | Applied() | Rejected():
                self._answers.answered(worker, message, event.envelope, event.now_s)
            case WorkerHeartbeat():
                self._heartbeat(worker, message, event.now_s)
            case Snapshot():
                self._answers.snapshot(worker, message, event.envelope, event.now_s)
            case ShardReady():
                self._shard_ready(worker, message, event.now_s)
            case ShardFailed():
                self._shard_failed(worker, message, event.now_s)
            case EnvState() | ShardState() | Scene():
                self._answers.state(worker, message, event.envelope)
            case Figures() | Pose():
                self._watching.shown(worker, message, event.envelope)
            case WorkerGoodbye():
                # One that crashes says goodbye, too.
                died = not worker.draining
                self.lose(worker, "it said goodbye", event.now_s, died=died)

    def _welcome(self, identity: bytes, hello: WorkerHello, now_s: float) -> None:
        self._fleet.silenced.pop(identity, None)
        worker = self._fleet.workers.get(identity)
        if worker is not None and worker.instance != hello.instance:
            # An identity is a process's own: this one lives, and no command is to blame.
            self.lose(worker, "it lost touch", now_s, died=False)
            worker = None
        if worker is None:
            if refusal := refusal_of(hello, self._fleet):
                self._fleet.counters["refused_workers"] += 1
                self._out.to_worker(identity, refusal)
                return
            self._deaths.heard_again(identity, now_s)
            worker = WorkerRecord(
                worker_id=self._next_worker_id,
                identity=identity,
                instance=hello.instance,
                pid=hello.pid,
                host=hello.host,
                nthread=hello.nthread,
                http_url=hello.http_url,
                package_version=hello.package_version,
                mujoco_version=hello.mujoco_version,
                tasks=hello.tasks[:MAX_TASKS],
                last_seen_s=now_s,
            )
            self._next_worker_id += 1
            self._fleet.workers[identity] = worker
            self._out.log("info", "worker joined", worker_id=worker.worker_id, pid=worker.pid)
            self._reclaim.announce(worker, hello.held, now_s)
        worker.last_seen_s = now_s
        self._out.to_worker(
            identity, Welcome(worker_id=worker.worker_id, heartbeat_s=lifecycle.HEARTBEAT_S)
        )
        self._placement.place_waiting(now_s)
        self._placement.rebalance()

    def _heartbeat(self, worker: WorkerRecord, beat: WorkerHeartbeat, now_s: float) -> None:
        worker.commands = beat.commands
        worker.env_steps = beat.env_steps
        worker.busy_s = beat.busy_s
        if beat.draining and not worker.draining:
            worker.draining = True
            self._out.log("info", "worker drains", worker_id=worker.worker_id, shards=beat.shards)
        if worker.draining:
            self._placement.move_all(worker)
        self._out.to_worker(
            worker.identity, OrchestratorHeartbeat(workers=len(self._fleet.workers))
        )

    def lose(
        self,
        worker: WorkerRecord,
        why: str,
        now_s: float,
        *,
        died: bool = True,
        silent: bool = False,
    ) -> None:
        """Forget a worker and rebuild its shards elsewhere."""
        del self._fleet.workers[worker.identity]
        self._fleet.counters["workers_lost"] += 1
        self._out.log(
            "warning" if worker.shards else "info",
            "worker left",
            worker_id=worker.worker_id,
            why=why,
            shards=len(worker.shards),
        )
        shards = [self._fleet.sessions[s].shards[i] for s, i in sorted(worker.shards)]
        ended = f"worker {worker.worker_id} (pid {worker.pid} on {worker.host}): {why}"
        if not worker.draining:
            self._deaths.lost(worker, now_s)
            if silent:
                self._fleet.silenced[worker.identity] = now_s
        since_s = worker.last_seen_s if silent else None
        verdicts = [
            self._deaths.died(shard, worker.worker_id, ended, silent_since_s=since_s)
            if died
            else ""
            for shard in shards
        ]
        worker.shards.clear()
        worker.probes.clear()
        for shard in shards:
            shard.worker = None
            shard.moving = False
            shard.settling = False
            shard.sent_seq = 0
        for shard, verdict in zip(shards, verdicts, strict=True):
            session = self._fleet.sessions.get(shard.session_id)
            if session is None:
                continue  # closed with an earlier shard
            if not shard.has_baseline:
                self._clients.close(session, shard_lost(session, shard))
            elif verdict:
                self._give_up(session, shard, verdict)
        self._placement.place_waiting(now_s)

    def _give_up(self, session: SessionRecord, shard: ShardRecord, verdict: str) -> None:
        self._clients.close(
            session,
            Refused(
                code="shard_given_up",
                message=f"environments {shard.span.first_env_id} to "
                f"{shard.span.first_env_id + shard.span.num_envs - 1} {verdict}",
                remedy="check the task's model and the workers' logs",
                request=session.request.request,
                session=session.session_id,
                shard=shard.index,
            ),
        )

    # --- shards

    def _shard_ready(self, worker: WorkerRecord, message: ShardReady, now_s: float) -> None:
        shard = self._fleet.shard_of(worker, message)
        if shard is None:
            return
        session = self._fleet.sessions[message.session]
        if session.task and session.task.content_sha256 != message.task.content_sha256:
            self._clients.close(session, _other_task(session, shard, worker))
            return
        shard.ready = True
        worker.building -= 1
        self._dispatch.heard(shard, worker)
        session.task = message.task
        if not session.opened and all(each.ready for each in session.shards):
            session.opened = True
            session.opened_s = now_s
            if not any(each.owes_answer for each in session.shards):
                session.reclaim_until_s = None
            self._clients.say_opened(session)
            self._out.log(
                "info",
                "session opened",
                session=session.session_id,
                task=message.task.id,
                num_envs=session.request.num_envs,
            )

    def _shard_failed(self, worker: WorkerRecord, message: ShardFailed, now_s: float) -> None:
        shard = self._fleet.shard_of(worker, message)
        if shard is None:
            return
        session = self._fleet.sessions[message.session]
        verdict = self._deaths.died(shard, worker.worker_id, message.message, certain=True)
        self._placement.detach(shard)
        if not shard.has_baseline:
            self._clients.close(session, shard_lost(session, shard))
            return
        if not session.opened:
            self._clients.close(
                session,
                Refused(
                    code=message.code,
                    message=message.message,
                    remedy=message.remedy,
                    request=session.request.request,
                    session=session.session_id,
                ),
            )
            return
        self._out.log(
            "error",
            "shard failed",
            session=message.session,
            shard=message.shard,
            why=message.message,
        )
        if verdict:
            self._give_up(session, shard, f"{verdict}: {message.message}")
        else:
            self._placement.place_waiting(now_s)

    def _trial_patience_s(self, worker: WorkerRecord) -> float:
        """Silence granted to a worker that tries a suspect: twice as much with every death.

        On a machine that is short of processors every worker is slow at the same step. One that
        came back has told how slow.
        """
        if not worker.probes:
            return 0.0
        session, index = worker.probes[0]
        deaths = self._fleet.sessions[session].shards[index].deaths
        patience_s = lifecycle.TRIAL_PATIENCE_S * 2.0 ** len(deaths)
        seen_s = max((each.back_after_s or 0.0 for each in deaths), default=0.0)
        return min(lifecycle.MAX_TRIAL_PATIENCE_S, max(patience_s, 2.0 * seen_s))

    def tick(self, now_s: float) -> None:
        """Judge silences; a closed connection is found by sending into it."""
        for identity, looked_s in self._fleet.silenced.items():
            if now_s - looked_s > lifecycle.CLIENT_PROBE_S:
                self._fleet.silenced[identity] = now_s
                beat = OrchestratorHeartbeat(workers=len(self._fleet.workers))
                self._out.to_worker(identity, beat)
        for worker in list(self._fleet.workers.values()):
            silence_s = now_s - worker.last_seen_s
            limit_s = (
                lifecycle.WORKER_SILENCE_S
                + lifecycle.COMMAND_PATIENCE * worker.longest_command_s
                + (lifecycle.BUILD_PATIENCE_S if worker.building > 0 else 0.0)
                + self._trial_patience_s(worker)
            )
            if silence_s > limit_s:
                self.lose(worker, f"silent for {silence_s:.1f} s", now_s, silent=True)
            elif silence_s > lifecycle.HEARTBEAT_S:
                self._out.to_worker(
                    worker.identity, OrchestratorHeartbeat(workers=len(self._fleet.workers))
                )


def _other_task(session: SessionRecord, shard: ShardRecord, worker: WorkerRecord) -> Refused:
    """What the client is told when a worker has something else under the task's name."""
    return Refused(
        code="other_task",
        message=f"worker {worker.worker_id} (pid {worker.pid} on {worker.host}) has another "
        f"{session.request.task} than the environments began with",
        remedy="give all workers the same release, and open a new session",
        request=session.request.request,
        session=session.session_id,
        shard=shard.index,
    )
