"""A brain with simulated workers that die, freeze, drain and lose messages at every moment.

Each shard's state is a digest of all that was done to it, so an answer shows whether anything was
left out, repeated or done in another order. Everything is a function of the seed.
"""

import hashlib
import random
from collections import deque

import msgspec
from scripted_fleet import TASK, step

from websim.wire import lifecycle
from websim.wire.codec import Envelope
from websim.wire.messages import (
    ArraySpec,
    AssignShard,
    Held,
    KeepShard,
    Message,
    OpenSession,
    Refused,
    ReleaseShard,
    Reset,
    ShardFailed,
    ShardReady,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    WasReset,
    Welcome,
    WorkerGoodbye,
    WorkerHeartbeat,
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

NUM_SHARDS = 4
STATE = (ArraySpec("state", "|u1", (8,)),)
SNAPSHOT_EVERY = 5
RESET_EVERY = 50
"""Every so many commands of a shard is a reset, the first one is."""
MAX_WORKERS = 6
TURN_S = 0.002
"""Simulated time between two things that happen."""


def done(digest: bytes, command: Step | Reset) -> bytes:
    """The state after a command."""
    what = f"{type(command).__name__} {command.t} {getattr(command, 'skip', False)}"
    return hashlib.blake2b(digest + what.encode(), digest_size=8).digest()


class Worker:
    """A worker process and its connection, as far as the brain can tell."""

    def __init__(self, name: str) -> None:
        self.identity = name.encode()
        self.instances = 0
        self.alive = True
        self.frozen_until_s = 0.0
        self.told_s = 0.0
        self.draining = False
        self.registered = False
        self.unnoticed_cut = False
        self.inbox: deque[tuple[Message, tuple]] = deque()
        self.outbox: deque[tuple[Message, tuple]] = deque()
        self.held: dict[int, tuple[int, int, int, bytes]] = {}
        """By shard: epoch, seq, t, state."""
        self.answered: set[int] = set()
        """Shards whose last command was done here, so that its answer can be repeated."""
        self.hello()

    def say(self, message: Message, *frames: bytes) -> None:
        self.outbox.append((message, frames))

    def hello(self) -> None:
        """Introduce itself anew."""
        self.registered = self.unnoticed_cut = False
        self.instances += 1
        instance = f"{self.identity.decode()}-{self.instances}"
        held = tuple(
            Held(1, shard, epoch, seq, t) for shard, (epoch, seq, t, _) in self.held.items()
        )
        self.say(WorkerHello(instance=instance, pid=1, host="h", held=held))

    def beat(self) -> None:
        self.say(
            WorkerHeartbeat(
                commands=0,
                env_steps=0,
                busy_s=0.0,
                shards=len(self.held),
                draining=self.draining,
            )
        )

    def work(self, poison: set[tuple[int, int]]) -> None:
        """Take in one message, as websim_sim_worker.held does."""
        message, frames = self.inbox.popleft()
        match message:
            case Welcome():
                self.registered = True
            case Refused(code="unknown_worker") if self.registered and not self.draining:
                self.hello()
            case AssignShard(shard=shard, epoch=epoch, seq=seq, t=t):
                self.held[shard] = (epoch, seq, t, frames[-1] if frames else bytes(8))
                self.say(ShardReady(session=1, shard=shard, epoch=epoch, task=TASK))
                self.answered.discard(shard)
            case KeepShard(shard=shard, epoch=epoch, new_epoch=new_epoch):
                self.keep(shard, epoch, new_epoch)
            case ReleaseShard(shard=shard, epoch=epoch):
                if self.held.get(shard, (0,))[0] == epoch:
                    del self.held[shard]
            case TakeSnapshot(shard=shard, epoch=epoch, release=release):
                if self.held.get(shard, (0,))[0] == epoch:
                    self.snapshot(shard)
                    if release:
                        del self.held[shard]
            case Step() | Reset():
                self.command(message, poison)

    def command(self, message: Step | Reset, poison: set[tuple[int, int]]) -> None:
        shard = message.shard
        epoch, seq, _, state = self.held.get(shard, (0, 0, 0, bytes(8)))
        if message.epoch != epoch or message.seq != seq + 1:
            return
        if (shard, message.t) in poison and not getattr(message, "skip", False):
            self.alive = False
            return
        state = done(state, message)
        self.held[shard] = (epoch, message.seq, message.t, state)
        self.answered.add(shard)
        if not message.replay:
            self.answer(shard)
        if message.seq % SNAPSHOT_EVERY == 0:
            self.snapshot(shard)

    def keep(self, shard: int, epoch: int, new_epoch: int) -> None:
        """Go on with a shard for another orchestrator."""
        held_epoch, *rest = self.held.get(shard, (0, 0, 0, bytes(8)))
        facts = {"session": 1, "shard": shard, "epoch": new_epoch}
        if held_epoch != epoch:
            self.say(ShardFailed(code="shard_lost", message="dropped", **facts))
            return
        self.held[shard] = (new_epoch, *rest)
        self.say(ShardReady(task=TASK, **facts))
        self.snapshot(shard)
        if shard in self.answered:
            self.answer(shard)

    def answer(self, shard: int) -> None:
        """Tell the client what came of the last command."""
        epoch, seq, t, state = self.held[shard]
        kind = WasReset if t % RESET_EVERY == 1 else Stepped
        facts = {"session": 1, "shard": shard, "epoch": epoch, "arrays": STATE}
        self.say(kind(seq=seq, t=t, **facts), state)

    def snapshot(self, shard: int) -> None:
        epoch, seq, t, state = self.held[shard]
        facts = {"session": 1, "shard": shard, "epoch": epoch, "arrays": STATE}
        self.say(Snapshot(seq=seq, t=t, **facts), state)


class Storm:
    """A brain, its workers and a client that keeps every shard busy."""

    def __init__(self, seed: int, poison: set[tuple[int, int]] | None = None) -> None:
        self.draw = random.Random(seed)
        self.poison = poison or set()
        self.brain = Brain()
        self.now_s = self.ticked_s = 0.0
        self.workers: list[Worker] = []
        self.num_named = 0
        self.states = [bytes(8)] * NUM_SHARDS
        """What each shard's state is to be after the client's command `ts`."""
        self.ts = [0] * NUM_SHARDS
        self.commands: dict[int, tuple[Message, tuple]] = {}
        self.answered: list[list[int]] = [[] for _ in range(NUM_SHARDS)]
        for _ in range(3):
            self.add_worker()
        self.request = OpenSession(
            request=1, task="Test-v0", num_envs=NUM_SHARDS * 32, seed=0, shard_envs=32
        )
        self.open(self.request)
        for shard in range(NUM_SHARDS):
            self.ask(shard)

    @property
    def skipped(self) -> list[tuple[int, int]]:
        quarantines = self.brain.fleet.sessions[1].quarantines
        return [(each.span.first_env_id // 32, each.t) for each in quarantines]

    # --- the client

    def open(self, request: OpenSession) -> None:
        """Ask for the session until it is open."""
        self.say(request, ())
        while not self.brain.fleet.sessions[1].opened:
            self.turn()

    def ask(self, shard: int) -> None:
        """Send the shard's next command."""
        t = self.ts[shard] = self.ts[shard] + 1
        self.commands[shard] = (
            (Reset(session=1, shard=shard, t=t), ()) if t % RESET_EVERY == 1 else step(shard, t)
        )
        self.say(*self.commands[shard])

    def say(self, message: Message, frames: tuple) -> None:
        self.do(self.brain.handle(ClientMessage(self.now_s, b"c", Envelope(message, frames))))

    def hear(self, message: Message, frames: tuple) -> None:
        if not isinstance(message, Stepped | WasReset):
            assert getattr(message, "code", "not_open") == "not_open", message
            return  # asked again when the session is back
        shard = message.shard
        if message.t < self.ts[shard]:
            return  # a repeated answer
        assert message.t == self.ts[shard]
        command, _ = self.commands[shard]
        skip = (shard, message.t) in self.skipped
        if skip:
            command = Step(session=1, shard=shard, t=message.t, skip=True)
        self.states[shard] = done(self.states[shard], command)
        assert bytes(frames[0]) == self.states[shard], f"shard {shard}, t {message.t}"
        self.answered[shard].append(message.t)
        self.ask(shard)

    # --- what happens

    def do(self, instructions: list[Instruction]) -> None:
        todo = deque(instructions)
        while todo:
            match todo.popleft():
                case SendWorker(identity=identity, message=message, frames=frames):
                    [worker] = [each for each in self.workers if each.identity == identity] or [
                        None
                    ]
                    if worker is None or not worker.alive:
                        event = WorkerUnreachable(self.now_s, identity)
                        todo.extend(self.brain.handle(event))
                    else:
                        worker.inbox.append((message, tuple(frames)))
                case SendClient(message=message, frames=frames):
                    self.hear(message, tuple(frames))

    def add_worker(self) -> None:
        self.workers.append(Worker(f"w{self.num_named}"))
        self.num_named += 1

    def turn(self) -> None:
        """Let one thing happen that is no fault."""
        self.now_s += TURN_S
        if self.now_s - self.ticked_s > lifecycle.TICK_S:
            self.ticked_s = self.now_s
            self.do(self.brain.handle(Ticked(self.now_s)))
        worker = self.draw.choice(self.workers)
        if worker.outbox and self.draw.random() < 0.5:
            message, frames = worker.outbox.popleft()
            event = WorkerMessage(self.now_s, worker.identity, Envelope(message, frames))
            self.do(self.brain.handle(event))
        elif not worker.alive:
            if not worker.outbox and len(self.workers) > 1:
                self.workers.remove(worker)
        elif self.now_s < worker.frozen_until_s:
            return
        elif worker.unnoticed_cut and self.draw.random() < 0.3:
            worker.hello()
        elif self.now_s - worker.told_s > lifecycle.HEARTBEAT_S:
            worker.told_s = self.now_s
            worker.beat()
        elif worker.inbox:
            worker.work(self.poison)
        elif worker.draining and not worker.held:
            worker.say(WorkerGoodbye())
            worker.alive = False

    def hurt(self) -> None:
        """Do something bad to somebody."""
        worker = self.draw.choice(self.workers)
        match self.draw.choice(["kill", "freeze", "cut", "drain", "join", "ask again"]):
            case "kill":
                worker.alive = False
            case "freeze":
                worker.frozen_until_s = self.now_s + self.draw.uniform(0.1, 4.0)
            case "cut":
                for box in (worker.inbox, worker.outbox):
                    box.clear()
                worker.unnoticed_cut = worker.alive
            case "drain":
                worker.draining = True
            case "join" if len(self.workers) < MAX_WORKERS:
                self.add_worker()
            case "ask again":
                self.say(*self.draw.choice(list(self.commands.values())))

    def blow(self, turns: int, fault_chance: float) -> None:
        """Let things happen, and let them go wrong."""
        for _ in range(turns):
            self.turn()
            if self.draw.random() < fault_chance:
                self.hurt()
            if sum(worker.alive and not worker.draining for worker in self.workers) < 2:
                self.add_worker()

    def restart_orchestrator(self) -> None:
        """Put another brain in its place, which knows nothing; the session is asked back.

        Not while a shard is on its way from one worker to another: nobody holds it then.
        """
        while not all(shard.movable for shard in self.brain.fleet.sessions[1].shards):
            self.turn()
        self.brain = Brain(first_session_id=1000)
        for worker in self.workers:
            worker.inbox.clear()
            worker.outbox.clear()
            worker.unnoticed_cut = True
        for _ in range(self.draw.randrange(200)):
            self.turn()
        done = tuple(t - 1 for t in self.ts)
        self.open(msgspec.structs.replace(self.request, request=2, session=1, done=done))
        for command in self.commands.values():
            self.say(*command)

    def calm_down(self) -> None:
        """Without further faults, every shard answers again."""
        reached = list(self.ts)
        for _ in range(100_000):
            self.turn()
            if not any(worker.alive and not worker.draining for worker in self.workers):
                self.add_worker()
            if all(t > before + 3 for t, before in zip(self.ts, reached, strict=True)):
                return
        raise AssertionError(f"stuck at {self.ts} since {reached}")

    def check(self) -> None:
        """Every command was answered exactly once, in order."""
        for ts in self.answered:
            assert ts == list(range(1, len(ts) + 1))
