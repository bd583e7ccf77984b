"""The shards a worker holds, and the commands carried out on them, each once and in order.

Knows messages but no socket: what it returns, the runtime sends.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from websim.service.logs import get_logger
from websim.tasks import TaskBundle, TaskError
from websim.wire.codec import Array, Envelope, describe
from websim.wire.messages import (
    Applied,
    AssignShard,
    EnvState,
    Figures,
    GetScene,
    GetSnapshot,
    GetState,
    Held,
    KeepShard,
    Look,
    Message,
    Pose,
    ReleaseShard,
    Reset,
    ResetEnv,
    RestoreShard,
    Scene,
    SetKnobs,
    SetState,
    ShardFailed,
    ShardState,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    WasReset,
    Watch,
)
from websim_sim_worker import answers
from websim_sim_worker.answers import Command
from websim_sim_worker.room import check_room
from websim_sim_worker.scene import scene_json
from websim_sim_worker.shard import Shard, ShardStep
from websim_sim_worker.tasks import CompiledTask, bundled, compile_task

log = get_logger("websim_sim_worker")

MAX_COMPILED_TASKS = 16
"""Bound of the compiled tasks kept for further shards."""

CANNOT_BE_DONE = (ValueError, LookupError, ArithmeticError, TypeError, MemoryError, RuntimeError)
"""What numpy and the engine raise where a message holds what nobody foresaw; it ends the shard."""

Outgoing = tuple[Message, list[Array]]
"""A message with the frames its `arrays` describe."""


@dataclass(slots=True)
class HeldShard:
    """A shard of this worker with its place in the order of commands."""

    shard: Shard
    epoch: int
    first_env_id: int
    snapshot_every: int
    seq: int
    t: int
    last: Outgoing | None = None
    """The answer to the client's last command, in the shard's live buffers: valid until the next
    command, so it can be given once more."""

    def rows(self, watch: Watch) -> list[int]:
        """Rows of the watched environments that are in this shard."""
        rows = [env_id - self.first_env_id for env_id in watch.env_ids]
        return [row for row in rows if 0 <= row < self.shard.num_envs]


class HeldShards:
    """All shards of this worker by (session, shard)."""

    def __init__(self, nthread: int, counters: Counter[str]) -> None:
        self.by_key: dict[tuple[int, int], HeldShard] = {}
        self.busy_s = 0.0
        """Time spent building and stepping."""
        self.shown_s = 0.0
        """Time spent showing environments to people."""
        self._nthread = nthread
        self._counters = counters
        self._compiled: dict[bytes, CompiledTask] = {}
        """By the SHA-256 of task and overrides: an uploaded task has many megabytes."""

    def __len__(self) -> int:
        return len(self.by_key)

    def announce(self) -> tuple[Held, ...]:
        """Tell what is held, for a hello."""
        return tuple(
            Held(session, shard, held.epoch, held.seq, held.t)
            for (session, shard), held in sorted(self.by_key.items())
        )

    def clear(self) -> None:
        """Forget all shards."""
        self.by_key.clear()

    def assign(self, assignment: AssignShard, envelope: Envelope[Message]) -> Outgoing:
        """Build a shard, restored from the snapshot that came along, if one did."""
        arrays = envelope.arrays()
        started_s = time.monotonic()
        try:
            task = self._task(assignment, arrays)
            files_bytes = sum(array.nbytes for array in _named(arrays, "task:").values())
            check_room(task, assignment.num_envs, assignment.obs_dtype, files_bytes)
            shard = Shard(
                task,
                seed=assignment.seed,
                first_env_id=assignment.first_env_id,
                num_envs=assignment.num_envs,
                nthread=self._nthread,
                obs_dtype=assignment.obs_dtype,
            )
            if snapshot := _named(arrays, "snapshot:"):
                shard.restore(snapshot)
        except CANNOT_BE_DONE as error:
            return answers.failed(assignment, "task_refused", error), []
        self.by_key[assignment.session, assignment.shard] = HeldShard(
            shard=shard,
            epoch=assignment.epoch,
            first_env_id=assignment.first_env_id,
            snapshot_every=assignment.snapshot_every,
            seq=assignment.seq,
            t=assignment.t,
        )
        self.busy_s += time.monotonic() - started_s
        return answers.ready(assignment, assignment.epoch, task.info), []

    def keep(self, keep: KeepShard) -> list[Outgoing]:
        """Go on with a shard for an orchestrator that did not assign it; tell all it must know."""
        held = self.by_key.get((keep.session, keep.shard))
        if held is None or held.epoch != keep.epoch:
            failed = ShardFailed(
                session=keep.session,
                shard=keep.shard,
                epoch=keep.new_epoch,
                code="shard_lost",
                message="the worker has dropped it",
            )
            return [(failed, [])]
        held.epoch = keep.new_epoch
        told: list[Outgoing] = [
            (answers.ready(keep, held.epoch, held.shard.task.info), []),
            self._snapshot(keep.session, keep.shard, held),
        ]
        if held.last is not None:
            answer, frames = held.last
            told.append((msgspec.structs.replace(answer, epoch=held.epoch), frames))
        return told

    def release(self, release: ReleaseShard) -> None:
        """Forget a shard."""
        if self._held(release) is not None:
            del self.by_key[release.session, release.shard]

    def command(self, command: Command, envelope: Envelope[Message]) -> list[Outgoing]:
        """Carry out one command; a repeated, early or fenced one is dropped and counted."""
        held = self._held(command)
        if held is None:
            return []
        if command.seq != held.seq + 1:
            self._counters["out_of_order"] += 1
            log.warning("out of order", seq=command.seq, expected=held.seq + 1)
            return []
        started_s = time.monotonic()
        try:
            answer = self._carry_out(held, command, envelope)
        except TaskError as error:
            answer = answers.rejected(command, error), []
        except CANNOT_BE_DONE as error:
            del self.by_key[command.session, command.shard]
            return [(answers.failed(command, "step_failed", error), [])]
        held.seq = command.seq
        if command.t:
            held.t = command.t
            held.last = answer
        self._counters["commands"] += 1
        outgoing = [] if command.replay else [answer]
        if held.seq % held.snapshot_every == 0:
            outgoing.append(self._snapshot(command.session, command.shard, held))
        self.busy_s += time.monotonic() - started_s
        return outgoing

    def take_snapshot(self, take: TakeSnapshot) -> list[Outgoing]:
        """Snapshot a shard; forget it when it moves elsewhere."""
        held = self._held(take)
        if held is None:
            return []
        outgoing = self._snapshot(take.session, take.shard, held)
        if take.release:
            del self.by_key[take.session, take.shard]
        return [outgoing]

    def whole_state(self, question: GetSnapshot) -> list[Outgoing]:
        """Tell a client a shard's whole state."""
        held = self._held(question)
        if held is None:
            return []
        specs, frames = describe(held.shard.snapshot())
        message = ShardState(
            session=question.session,
            shard=question.shard,
            epoch=held.epoch,
            request=question.request,
            arrays=specs,
        )
        return [(message, frames)]

    def state(self, question: GetState) -> list[Outgoing]:
        """Tell one environment's state."""
        held = self._held(question)
        if held is None:
            return []
        state = held.shard.env_state(question.env_id - held.first_env_id)
        arrays = {"qpos": state.qpos, "qvel": state.qvel}
        arrays |= {f"field:{name}": np.asarray(value) for name, value in state.fields.items()}
        specs, frames = describe(arrays)
        message = EnvState(
            session=question.session,
            shard=question.shard,
            epoch=held.epoch,
            request=question.request,
            env_id=question.env_id,
            time_s=state.time_s,
            episode_return=state.episode_return,
            episode_length=state.episode_length,
            arrays=specs,
        )
        return [(message, frames)]

    def scene(self, question: GetScene) -> list[Outgoing]:
        """Tell the geometry of a shard's task."""
        held = self._held(question)
        if held is None:
            return []
        document = np.frombuffer(scene_json(held.shard.task), np.uint8)
        specs, frames = describe({"json": document})
        message = Scene(
            session=question.session,
            shard=question.shard,
            epoch=held.epoch,
            request=question.request,
            arrays=specs,
        )
        return [(message, frames)]

    def show(self, seen: Step | Look) -> list[Outgoing]:
        """Show what is watched of a shard as it is now, after the step that said so."""
        held = self.by_key.get((seen.session, seen.shard))
        if held is None or held.epoch != seen.epoch or seen.watch is None:
            return []
        started_s = time.monotonic()
        shown: list[Outgoing] = []
        if seen.watch.figures:
            specs, frames = describe(held.shard.view.figures())
            figures = Figures(
                session=seen.session,
                shard=seen.shard,
                epoch=held.epoch,
                t=held.t,
                first_env_id=held.first_env_id,
                scale_m=held.shard.task.figure.scale_m,
                arrays=specs,
            )
            shown.append((figures, frames))
        for row in held.rows(seen.watch):
            time_s, arrays = held.shard.view.pose(row)
            specs, frames = describe(arrays)
            pose = Pose(
                session=seen.session,
                shard=seen.shard,
                epoch=held.epoch,
                t=held.t,
                env_id=held.first_env_id + row,
                time_s=time_s,
                arrays=specs,
            )
            shown.append((pose, frames))
        self._counters["shown"] += len(shown)
        self.shown_s += time.monotonic() - started_s
        return shown

    def _held(
        self, message: Command | ReleaseShard | TakeSnapshot | GetState | GetSnapshot | GetScene
    ) -> HeldShard | None:
        held = self.by_key.get((message.session, message.shard))
        if held is None or held.epoch != message.epoch:
            self._counters["stale"] += 1
            return None
        return held

    def _task(self, assignment: AssignShard, arrays: Mapping[str, Array]) -> CompiledTask:
        files = {name: array.tobytes() for name, array in _named(arrays, "task:").items()}
        if files:
            bundle = TaskBundle(
                name=assignment.task, task_yaml=files.pop("task.yaml", b""), files=files
            )
        else:
            bundle = bundled(assignment.task)
        parts = (bundle.name, bundle.task_yaml, sorted(files.items()), assignment.overrides)
        key = hashlib.sha256(msgspec.msgpack.encode(parts)).digest()
        if key not in self._compiled:
            if len(self._compiled) >= MAX_COMPILED_TASKS:
                self._compiled.clear()
            self._compiled[key] = compile_task(bundle, assignment.overrides)
        return self._compiled[key]

    def _carry_out(
        self, held: HeldShard, command: Command, envelope: Envelope[Message]
    ) -> Outgoing:
        kind: type[Stepped | WasReset | Applied]
        shard, skipped, arrays = held.shard, {}, dict[str, Array]()
        match command:
            case Step():
                step = self._step(held, command, envelope)
                kind, arrays = Stepped, answers.step_arrays(step)
                skipped = {"skipped": True} if command.skip else {}
            case Reset():
                mask = envelope.array("mask")
                obs = shard.reset(command.seed, None if mask is None else mask.astype(bool))
                kind, arrays = WasReset, {"obs": obs}
            case RestoreShard():
                kind, arrays = WasReset, {"obs": shard.restore(envelope.arrays())}
            case SetState():
                qpos, qvel = envelope.array("qpos"), envelope.array("qvel")
                if qpos is None or qvel is None:
                    raise TaskError("a set_state without qpos and qvel")
                obs = shard.set_state(command.env_id - held.first_env_id, qpos, qvel)
                kind, arrays = Applied, {"obs": obs.reshape(1, -1)}
            case SetKnobs():
                kind, arrays = Applied, {"obs": shard.set_knobs(command.knobs)}
            case ResetEnv():
                shard.request_reset(command.env_id - held.first_env_id)
                kind = Applied
        specs, frames = describe(arrays)
        answer = kind(
            session=command.session,
            shard=command.shard,
            epoch=held.epoch,
            seq=command.seq,
            t=command.t,
            arrays=specs,
            **skipped,
        )
        return answer, frames

    def _step(self, held: HeldShard, command: Step, envelope: Envelope[Message]) -> ShardStep:
        shard = held.shard
        action = envelope.array("action")
        if action is None:
            raise TaskError("a step without an action")
        if command.watch is not None:
            shard.view.expect(figures=command.watch.figures, env_indices=held.rows(command.watch))
        step = shard.skip(command.fields) if command.skip else shard.step(action, command.fields)
        if not command.replay:
            self._counters["env_steps"] += shard.num_envs
            self._counters["diverged"] += int(step.invalid.sum())
        return step

    def _snapshot(self, session: int, shard: int, held: HeldShard) -> Outgoing:
        specs, frames = describe(held.shard.snapshot())
        message = Snapshot(
            session=session, shard=shard, epoch=held.epoch, seq=held.seq, t=held.t, arrays=specs
        )
        return message, frames


def _named(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose name starts with prefix, without it."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}
