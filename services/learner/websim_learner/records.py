"""What a run tells: records of the event stream, rows of metrics.jsonl and of journal.jsonl.

A record's `n` grows over the whole life of a run, restarts of the learner included, so a reader
that names the last one it knows misses nothing that is still kept and gets nothing twice.
"""

import threading
import time
from collections import deque
from itertools import islice
from typing import Any, Literal

import msgspec

MAX_RECORDS = 20_000
"""Records kept in memory for readers of the event stream; older ones are in the run's files."""

RECORDS_PER_LIFE = 1_000_000_000
"""Numbers set aside for each process of a run."""

MAX_READERS = 16
"""Readers whose progress is noted."""

READER_LEFT_S = 5.0
"""A reader that has not asked for this long is not waited for."""

LAST_WORDS_S = 3.0
"""How long a run that is over waits for its readers."""

LAST_WORDS_POLL_S = 0.02

RunState = Literal[
    "starting",
    "waiting",
    "running",
    "adapting",
    "paused",
    "evaluating",
    "finished",
    "stopped",
    "failed",
]
"""adapting: candidates are on trial, on groups of environments of their own."""

AdaptationEvent = Literal[
    "goal_asked",
    "goal",
    "trigger",
    "candidates",
    "unanswered",
    "refused",
    "round",
    "decision",
    "waiting",
    "rejected",
    "adopted",
    "rolled_back",
    "restored",
    "failed",
    "kept",
    "knobs",
    "tasks",
    "ended",
]
"""What may happen in an adaptation. "goal_asked": how a goal in words is measured is asked; "goal":
a goal began, or fitness is measured otherwise from here on."""


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all records."""

    n: int = 0
    """Number in the stream, given when it is published."""
    update: int
    """Updates done when it happened."""
    env_steps: int
    """Training env steps done when it happened."""
    time_unix_s: float = 0.0
    """When it was published."""


class MetricsRecord(Record, frozen=True, kw_only=True, tag="metrics"):
    """What one update did and how the run stands; also a row of metrics.jsonl."""

    branch: int
    wall_s: float
    """Training time so far, evaluation and pauses excluded."""
    steps_per_s: float
    """Over the last updates."""
    return_mean: float | None
    """Mean over the last 100 episodes of the task's own reward; None before the first ends."""
    length_mean: float | None
    fitness_mean: float | None
    """Likewise, by the task's own measure: training episodes know no goal, so under a goal such
    as "run backwards" it may fall while goal_fitness_mean rises."""
    success_mean: float | None
    episodes: int
    """Episodes ended so far."""
    improvement_per_million: float | None
    """Theil-Sen slope of the episodes' return per million env steps, over the last tenth of the
    steps or more; None while too few episodes have ended."""
    reward_id: str
    """What the rollout was judged by: "task" or a program's id."""
    reward_mean: float
    """Mean reward per transition, as learned from."""
    invalid_transitions: int
    """So far."""
    policy_loss: float
    value_loss: float
    entropy_nats: float
    kl_nats: float
    clip_fraction: float
    gradient_norm: float
    explained_variance: float
    learning_rate: float
    epochs: int
    action_std: float
    physics_s: float
    """Of this update: waiting for the fleet."""
    inference_s: float
    update_s: float
    evaluation_s: float = 0.0
    """Evaluations since the update before; training time stands meanwhile."""
    return_std: float | None = None
    """Standard deviation of the episodes that return_mean is taken over."""
    reward_std: float = 0.0
    """Standard deviation of the reward per transition."""
    component_shares: dict[str, float] = {}
    """Of the sum of magnitudes of all components of the reward, by name."""
    task: str = ""
    """What was trained on."""
    num_envs: int = 0
    """On how many envs."""
    improvement_low_per_million: float | None = None
    """Where the true slope lies at least, with 95 % confidence."""
    improvement_high_per_million: float | None = None
    """Where it lies at most, likewise."""
    reward_return_mean: float | None = None
    """Mean over the last 100 episodes of the sum of the reward learned from; None before one has
    ended that this reward has judged from its start."""
    goal_fitness_mean: float | None = None
    """Of the last evaluation, by the goal's measure, or the task's where the goal has none; None
    before the first, and where it was a finite number in no episode."""
    reward_fitness_correlation: float | None = None
    """Of the last evaluation, with that fitness; None before the first, where too little is
    known, and where the run does not adapt."""


class StateRecord(Record, frozen=True, kw_only=True, tag="state"):
    """The run entered a state."""

    state: RunState
    reason: str = ""


class CheckpointRecord(Record, frozen=True, kw_only=True, tag="checkpoint"):
    """A checkpoint was written."""

    name: str
    weights_sha256: str


class EvaluationRecord(Record, frozen=True, kw_only=True, tag="evaluation"):
    """The policy's mean action was evaluated.

    What follows reward_id is told while the run adapts: the reward in force judges then, too.
    """

    branch: int
    episodes: int
    return_mean: float
    return_std: float
    length_mean: float
    fitness_mean: float | None
    """By the goal's measure, or the task's where the goal has none, over the episodes in which it
    is a finite number; None where it is in none."""
    success_mean: float | None
    reward_id: str = ""
    """The reward in force."""
    reward_return_mean: float | None = None
    """Mean of its sum over an episode."""
    fitness_slope_per_million: float | None = None
    """Theil-Sen slope of fitness over the last whole evaluations since the change before, per
    million env steps; None while they are too few."""
    fitness_slope_low_per_million: float | None = None
    """Where the true slope lies at least, with 95 % confidence."""
    fitness_slope_high_per_million: float | None = None
    """Where it lies at most, likewise."""
    reward_fitness_correlation: float | None = None
    """Of the reward's sum and fitness over all episodes that it has judged since the change."""


class CommandRecord(Record, frozen=True, kw_only=True, tag="command"):
    """A command took effect."""

    command: str
    detail: str = ""


class WarningRecord(Record, frozen=True, kw_only=True, tag="warning"):
    """Something a person may want to know."""

    message: str


class AdaptationRecord(Record, frozen=True, kw_only=True, tag="adaptation"):
    """Something happened in an adaptation of the run; adaptations.jsonl has all of it."""

    adaptation: int
    """Number of the turn of the loop; 0 outside of one."""
    event: AdaptationEvent
    message: str
    """For people."""
    values: dict[str, Any] = {}


class TrialRecord(Record, frozen=True, kw_only=True, tag="trial"):
    """How a contender does while it trains in a trial.

    A trial that is held anew, after a kill, is told anew; nothing that is decided reads it.
    """

    adaptation: int
    contender: str
    """Its name; "control" is the incumbent's fork."""
    trial_env_steps: int
    """Training env steps of its fork so far."""
    return_mean: float | None
    """Mean over the last 100 episodes of its group, by the task's own reward."""
    fitness_mean: float | None
    """Of the same, in the task's unit."""


AnyRecord = (
    MetricsRecord
    | StateRecord
    | CheckpointRecord
    | EvaluationRecord
    | CommandRecord
    | WarningRecord
    | AdaptationRecord
    | TrialRecord
)


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One outside command or decision, and the number of updates done when it took effect."""

    n: int
    update: int
    kind: str
    values: dict[str, Any] = {}


class EventStream:
    """The run's records in memory, bounded; written by the trainer, read by HTTP threads."""

    def __init__(self, life: int) -> None:
        """Start a stream.

        Args:
            life: how many processes the run has had before this one.
        """
        self._n = life * RECORDS_PER_LIFE
        self._records: deque[AnyRecord] = deque(maxlen=MAX_RECORDS)
        self._readers: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def publish(self, record: AnyRecord) -> AnyRecord:
        """Number a record and add it; return it with its number."""
        with self._lock:
            self._n += 1
            numbered: AnyRecord = msgspec.structs.replace(
                record, n=self._n, time_unix_s=time.time()
            )
            self._records.append(numbered)
            return numbered

    def after(self, n: int, limit: int) -> list[AnyRecord]:
        """Return the oldest kept records beyond number n, at most limit of them."""
        with self._lock:
            if not self._records:
                return []
            # Numbers are consecutive, so the place of n + 1 is known.
            skip = max(0, n + 1 - self._records[0].n)
            return list(islice(self._records, skip, skip + limit))

    def note_reader(self, name: str, after: int) -> None:
        """Note that a reader has everything up to number `after`."""
        with self._lock:
            if name in self._readers or len(self._readers) < MAX_READERS:
                self._readers[name] = (after, time.monotonic())

    def await_readers(self, timeout_s: float = LAST_WORDS_S) -> None:
        """Wait until all readers that still ask have everything, or the time is over."""
        give_up_s = time.monotonic() + timeout_s
        while self._is_awaited() and time.monotonic() < give_up_s:
            time.sleep(LAST_WORDS_POLL_S)

    def _is_awaited(self) -> bool:
        asked_since_s = time.monotonic() - READER_LEFT_S
        with self._lock:
            readers = list(self._readers.values())
            return any(after < self._n and at_s > asked_since_s for after, at_s in readers)
