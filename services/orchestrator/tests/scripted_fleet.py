"""A brain with scripted workers and clients: events in, instructions out."""

from collections import Counter

import numpy as np

from websim.wire.codec import Envelope, describe
from websim.wire.messages import (
    AssignShard,
    Message,
    OpenSession,
    Reset,
    SessionOpened,
    ShardReady,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    TaskInfo,
    WasReset,
    WorkerHello,
)
from websim_orchestrator.brain import Brain
from websim_orchestrator.events import (
    ClientMessage,
    Instruction,
    SendClient,
    SendWorker,
    Ticked,
    WorkerMessage,
    WorkerUnreachable,
)
from websim_orchestrator.fleet import ShardRecord

TASK = TaskInfo(
    id="Test-v0",
    description="",
    obs_dim=3,
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
    dt_s=0.05,
    max_episode_steps=1000,
)


class Fleet:
    """A brain with scripted workers and one client, and everything it said."""

    def __init__(self) -> None:
        self.brain = Brain()
        self.now_s = 0.0
        self.kills: Counter[str] = Counter()
        self.cuts: Counter[str] = Counter()

    def identity(self, name: str) -> bytes:
        """Of the process that has the name now: after a kill it is another one."""
        return f"{name}{self.kills[name] or ''}".encode()

    def worker(self, name: str, message: Message, frames: tuple = ()) -> list[Instruction]:
        event = WorkerMessage(self.now_s, self.identity(name), Envelope(message, frames))
        return self.brain.handle(event)

    def client(self, message: Message, frames: tuple = (), name: str = "c") -> list[Instruction]:
        event = ClientMessage(self.now_s, name.encode(), Envelope(message, frames))
        return self.brain.handle(event)

    def tick(self, now_s: float) -> list[Instruction]:
        self.now_s = now_s
        return self.brain.handle(Ticked(now_s))

    def kill(self, name: str) -> list[Instruction]:
        said = self.cut(name)
        self.kills[name] += 1
        return said

    def cut(self, name: str) -> list[Instruction]:
        """Close a worker's connection; its process lives and may join again."""
        self.cuts[name] += 1
        return self.brain.handle(WorkerUnreachable(self.now_s, self.identity(name)))

    def join(self, name: str, **facts: str) -> list[Instruction]:
        """Register a worker: after a kill as a new process, after a cut as another instance."""
        hello = WorkerHello(instance=f"{name}{self.cuts[name]}", pid=1, host="h", **facts)
        return self.worker(name, hello)

    def make_ready(self, said: list[Instruction]) -> list[Instruction]:
        """Answer every AssignShard among the instructions with ShardReady."""
        answers = []
        for to, message in to_workers(said):
            if isinstance(message, AssignShard):
                ready = ShardReady(
                    session=message.session, shard=message.shard, epoch=message.epoch, task=TASK
                )
                answers += self.worker(to, ready)
        return answers

    def settle(self, said: list[Instruction]) -> list[Instruction]:
        """Build the shards that are assigned among the instructions and repeat their logs.

        Returns:
            The instructions, and those that follow.
        """
        done: dict[int, tuple[int, int]] = {}
        following = list(said)
        for to, message in to_workers(said):
            match message:
                case AssignShard(session=session, shard=shard, epoch=epoch, seq=seq, t=t):
                    done[shard] = (seq, t)
                    ready = ShardReady(session=session, shard=shard, epoch=epoch, task=TASK)
                    following += self.worker(to, ready)
                case (
                    Step(shard=shard, seq=seq, t=t, replay=True)
                    | Reset(shard=shard, seq=seq, t=t, replay=True)
                ):
                    done[shard] = (seq, t)
                case TakeSnapshot(session=session, shard=shard, epoch=epoch):
                    seq, t = done[shard]
                    snapshot = Snapshot(session=session, shard=shard, epoch=epoch, seq=seq, t=t)
                    following += self.worker(to, snapshot)
        return following


def to_workers(said: list[Instruction]) -> list[tuple[str, Message]]:
    """Messages to workers, each with the worker's name."""
    return [
        (each.identity.decode().rstrip("0123456789"), each.message)
        for each in said
        if isinstance(each, SendWorker)
    ]


def to_clients(said: list[Instruction]) -> list[Message]:
    return [each.message for each in said if isinstance(each, SendClient)]


def steps_of(said: list[Instruction]) -> list[tuple[str, Step]]:
    return [
        (to, message)
        for to, message in to_workers(said)
        if isinstance(message, Step) and not message.replay
    ]


def skipped_steps(shard: ShardRecord) -> list[int]:
    """The t of the steps of its log that are not simulated."""
    return [each.command.t for each in shard.log.values() if getattr(each.command, "skip", False)]


def make_fleet(workers: int = 2, num_envs: int = 64, shard_envs: int = 32) -> Fleet:
    """Workers a, b, ... and an open session 1 of the client, its shards reset (t = seq = 1)."""
    fleet = Fleet()
    for index in range(workers):
        fleet.join("abcdef"[index])
    request = OpenSession(
        request=1, task="Test-v0", num_envs=num_envs, seed=0, shard_envs=shard_envs
    )
    said = fleet.make_ready(fleet.client(request))
    assert any(isinstance(message, SessionOpened) for message in to_clients(said))
    for shard in range(-(-num_envs // shard_envs)):
        [(worker, reset)] = to_workers(fleet.client(Reset(session=1, shard=shard, t=1)))
        fleet.worker(worker, answer_to(reset, WasReset))
    return fleet


def answer_to(command: Message, kind: type = Stepped, **changes: int) -> Message:
    facts = {name: getattr(command, name) for name in ("session", "shard", "epoch", "seq", "t")}
    return kind(**(facts | changes))


def step(shard: int, t: int, num_envs: int = 32) -> tuple[Step, tuple]:
    specs, frames = describe({"action": np.zeros((num_envs, 2), np.float32)})
    return Step(session=1, shard=shard, t=t, arrays=specs), tuple(frames)
