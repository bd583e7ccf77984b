"""The fleet as data: workers, sessions, shards and their logs of commands. No logic of messages."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from websim.wire import lifecycle
from websim.wire.messages import (
    Held,
    OpenSession,
    Reset,
    ResetEnv,
    RestoreShard,
    SetKnobs,
    SetState,
    ShardSpan,
    Snapshot,
    Step,
    TaskInfo,
    TaskSummary,
)

Command = Step | Reset | SetState | ResetEnv | SetKnobs | RestoreShard

MIN_SHARD_ENVS = 32
MAX_SHARD_ENVS = 256


def default_shard_envs(num_envs: int) -> int:
    """Environments of a shard: of num_envs alone, so that results never depend on workers.

    A message costs the same however small its shard is, so shards are as large as lets two workers
    double-buffer; above 256 the first answer of a step comes late (docs/architecture.md).
    """
    return max(MIN_SHARD_ENVS, min(MAX_SHARD_ENVS, -(-num_envs // 4)))


def split(num_envs: int, shard_envs: int) -> tuple[ShardSpan, ...]:
    """Consecutive spans of at most shard_envs environments that cover num_envs."""
    return tuple(
        ShardSpan(first, min(shard_envs, num_envs - first))
        for first in range(0, num_envs, shard_envs)
    )


class OfShard(Protocol):
    """A worker's message about a shard."""

    @property
    def session(self) -> int:
        """Its session."""

    @property
    def shard(self) -> int:
        """Its index in the session."""

    @property
    def epoch(self) -> int:
        """The assignment under which the worker holds it."""


@dataclass(slots=True)
class WorkerRecord:
    """A registered worker as the orchestrator sees it."""

    worker_id: int
    identity: bytes
    instance: str
    pid: int
    host: str
    nthread: int
    http_url: str
    package_version: str
    mujoco_version: str
    last_seen_s: float
    tasks: tuple[TaskSummary, ...] = ()
    """Tasks that can be opened by name."""
    draining: bool = False
    commands: int = 0
    env_steps: int = 0
    busy_s: float = 0.0
    longest_command_s: float = 0.0
    building: int = 0
    """Shards assigned that have not answered ShardReady."""
    shards: set[tuple[int, int]] = field(default_factory=set)
    """(session, shard) it holds."""
    probes: list[tuple[int, int]] = field(default_factory=list)
    """Shards whose outstanding command is a suspect, in the order of their trials here."""
    announced: dict[tuple[int, int], Held] = field(default_factory=dict)
    """What it still holds of sessions that this orchestrator does not know yet."""
    announced_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ClientAsker:
    """The answer goes to the session's client."""

    t: int


@dataclass(frozen=True, slots=True)
class PersonAsker:
    """The answer goes to the HTTP question of that token."""

    token: int
    asked_s: float
    waits: bool = True
    """False: told that there is no answer, and nobody is to get it any more."""

    def is_late(self, now_s: float) -> bool:
        """Whether somebody still waits, and has done so for long enough."""
        return self.waits and now_s - self.asked_s > lifecycle.PERSON_DEADLINE_S


Asker = ClientAsker | PersonAsker

Wanted = int | Literal["snapshot", "scene"]
"""What a question is about: the state of an environment, by its id, or of the shard; the scene."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know from a shard's worker."""

    wanted: Wanted
    asker: Asker
    asked_s: float


@dataclass(slots=True)
class Logged:
    """A command of a shard's log, with its frames, as it is sent again after a loss."""

    command: Command
    frames: Sequence[Any]
    sent_s: float
    """When the worker could begin with it, as far as is known."""


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a worker, or its giving a shard up, with a command outstanding."""

    worker_id: int
    how: str
    """It ended."""
    certain: bool = False
    """The worker itself said that the shard was the cause."""
    silent_since_s: float | None = None
    """When it was last heard, if its silence is all that is known: its connection did not close."""
    back_after_s: float | None = None
    """It was heard again after this long: no evidence."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A step that is not simulated because it ended one worker after another."""

    span: ShardSpan
    t: int
    evidence: tuple[str, ...]
    """Which workers, and how they ended."""


@dataclass(slots=True)
class ShardRecord:
    """A shard: where it is, and everything needed to rebuild it elsewhere."""

    session_id: int
    index: int
    span: ShardSpan
    worker: WorkerRecord | None = None
    epoch: int = 0
    ready: bool = False
    moving: bool = False
    seq: int = 0
    done_t: int = 0
    awaited: bool = False
    """A worker holds it that has not announced itself yet (see reclaim.py)."""
    owes_answer: bool = False
    """The worker is to repeat the answer to the client's last command."""
    has_baseline: bool = True
    """Snapshot and log, or the log alone, lead from the shard's beginning to where it is."""
    snapshot: Snapshot | None = None
    snapshot_frames: Sequence[Any] = ()
    log: dict[int, Logged] = field(default_factory=dict)
    """Commands since the snapshot by seq, in order."""
    pending: dict[int, Asker] = field(default_factory=dict)
    """Commands not answered yet by seq, in order; those of `log` not in here replay in silence."""
    questions: dict[int, Question] = field(default_factory=dict)
    """What is asked of its worker, by request, until it is answered or given up."""
    last_answer: tuple[Any, Sequence[Any]] | None = None
    """The client's last answer, sent again if it asks for it again."""
    figures_shown_s: float = -math.inf
    """When its figures, and poses of its environments, were last shown to who looks."""
    poses_shown_s: float = -math.inf
    sent_seq: int = 0
    """The last command sent to the present worker."""
    settling: bool = False
    """The present worker has not said yet that the shard is built and the log repeated."""
    deaths: list[Death] = field(default_factory=list)
    """Of workers in a row that ended with the command `death_seq`."""
    death_seq: int = -1
    deaths_building: int = 0
    """Workers in a row that ended while the shard was settling there."""

    @property
    def key(self) -> tuple[int, int]:
        """Identity of the shard in the fleet."""
        return (self.session_id, self.index)

    @property
    def movable(self) -> bool:
        """Whether the worker can let go of it: nobody else can repeat an answer it owes."""
        return self.ready and not self.moving and not self.owes_answer

    @property
    def in_flight(self) -> bool:
        """Whether a command is with the worker."""
        return any(seq <= self.sent_seq for seq in self.pending)

    @property
    def client_t(self) -> int:
        """The client's outstanding command, 0: none."""
        for asker in self.pending.values():
            if isinstance(asker, ClientAsker):
                return asker.t
        return 0


@dataclass(slots=True)
class EpisodeStatistics:
    """Per-environment statistics of a session, (num_envs,) each."""

    episodes: NDArray[np.int64]
    last_return: NDArray[np.float64]
    last_length: NDArray[np.float64]
    last_fitness: NDArray[np.float64]
    successes: NDArray[np.int64]

    @classmethod
    def empty(cls, num_envs: int) -> "EpisodeStatistics":
        """Statistics before any episode has ended."""
        nan = np.full(num_envs, np.nan)
        zero = np.zeros(num_envs, np.int64)
        return cls(zero, nan, nan.copy(), nan.copy(), zero.copy())

    def add(self, env_ids: NDArray[np.int64], episode: NDArray[np.float64]) -> None:
        """Count ended episodes.

        Args:
            env_ids: (k,) environments whose episode ended.
            episode: (k, 4) return, length, fitness, success (NaN: the task defines none).
        """
        self.episodes[env_ids] += 1
        self.last_return[env_ids] = episode[:, 0]
        self.last_length[env_ids] = episode[:, 1]
        self.last_fitness[env_ids] = episode[:, 2]
        self.successes[env_ids] += np.nan_to_num(episode[:, 3]).astype(np.int64)


@dataclass(slots=True)
class SessionRecord:
    """One client's environments."""

    session_id: int
    client: bytes
    request: OpenSession
    frames: Sequence[Any]
    shards: list[ShardRecord]
    statistics: EpisodeStatistics
    task: TaskInfo | None = None
    opened: bool = False
    opened_s: float = 0.0
    reclaim_until_s: float | None = None
    """Until when the workers are awaited that held its shards before this orchestrator started."""
    env_steps: int = 0
    probed_s: float = 0.0
    unreachable_since_s: float | None = None
    waiting_said: str = ""
    """Why nothing happens, as the client was told last; empty once it has an answer."""
    quarantines: list[Quarantine] = field(default_factory=list)
    longest_command_s: float = 0.0
    """What a command of its shards was seen to need: a worker that is new to them needs it, too."""

    def shard_of(self, env_id: int) -> ShardRecord | None:
        """The shard that holds an environment, or None when there is no such environment."""
        for shard in self.shards:
            first, count = shard.span.first_env_id, shard.span.num_envs
            if first <= env_id < first + count:
                return shard
        return None


@dataclass(slots=True)
class Fleet:
    """Everything the orchestrator knows."""

    now_s: float = 0.0
    """When the present event happened."""
    workers: dict[bytes, WorkerRecord] = field(default_factory=dict)
    """By routing identity."""
    silenced: dict[bytes, float] = field(default_factory=dict)
    """Workers that are lost for their silence alone: their connections are open. By identity, with
    the time when that was last looked at."""
    sessions: dict[int, SessionRecord] = field(default_factory=dict)
    """By session id."""
    unexplained: dict[int, float] = field(default_factory=dict)
    """When workers were lost lately, by worker id, save those that a skipped step explains."""
    counters: Counter[str] = field(default_factory=Counter)
    """What happened, for the metrics."""

    def shard_of(self, worker: WorkerRecord, message: OfShard) -> ShardRecord | None:
        """The shard a worker speaks of, if it still holds it; a late voice is counted."""
        session = self.sessions.get(message.session)
        if session is not None and 0 <= message.shard < len(session.shards):
            shard = session.shards[message.shard]
            if shard.epoch == message.epoch and shard.worker is worker:
                return shard
        self.counters["stale"] += 1
        return None
