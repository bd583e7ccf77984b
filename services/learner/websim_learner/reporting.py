"""Where a run's records go: the event stream, metrics.jsonl, TensorBoard, Prometheus, the log."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import get_args

import msgspec
from torch.utils.tensorboard import SummaryWriter

from websim.service.logs import bind_log_ids, get_logger
from websim.service.metrics import Reading
from websim_learner.clock import RunClock
from websim_learner.records import (
    AdaptationEvent,
    AdaptationRecord,
    AnyRecord,
    CheckpointRecord,
    CommandRecord,
    EvaluationRecord,
    EventStream,
    MetricsRecord,
    StateRecord,
    WarningRecord,
)
from websim_learner.run_dir import RunDir
from websim_learner.writing import writing

log = get_logger("websim_learner")

IMPROVEMENT = (
    "improvement_per_million", "improvement_low_per_million", "improvement_high_per_million",
)  # fmt: skip

CURVES = {
    "episode": (
        "return_mean", "return_std", "length_mean", "fitness_mean", "success_mean",
        "reward_return_mean",
    ),
    "judged": ("goal_fitness_mean", "reward_fitness_correlation"),
    "learning": (
        "policy_loss", "value_loss", "entropy_nats", "kl_nats", "clip_fraction", "gradient_norm",
        "explained_variance", "learning_rate", "epochs", "action_std", "reward_mean",
        "reward_std", *IMPROVEMENT, "invalid_transitions",
    ),
    "time": ("steps_per_s", "physics_s", "inference_s", "update_s", "evaluation_s"),
}  # fmt: skip
"""TensorBoard's groups of curves, by attributes of MetricsRecord."""

OF_FITNESS = (
    "fitness_mean", "fitness_slope_per_million", "fitness_slope_low_per_million",
    "fitness_slope_high_per_million", "reward_fitness_correlation",
)  # fmt: skip
"""What of an EvaluationRecord rests on the goal's measure."""

EVALUATED = ("return_mean", "return_std", "length_mean", "reward_return_mean", *OF_FITNESS)
"""TensorBoard's curves of evaluations, by attributes of EvaluationRecord."""

GAUGES = {
    "return_mean": "episode_return",
    "length_mean": "episode_length_steps",
    "fitness_mean": "episode_fitness",
    "success_mean": "episode_success_ratio",
    "reward_return_mean": "episode_reward_return",
    "improvement_per_million": "improvement_per_million_steps",
    "improvement_low_per_million": "improvement_low_per_million_steps",
    "improvement_high_per_million": "improvement_high_per_million_steps",
    "steps_per_s": "env_steps_per_second",
    "num_envs": "envs",
    "reward_mean": "reward",
    "policy_loss": "policy_loss",
    "value_loss": "value_loss",
    "entropy_nats": "entropy_nats",
    "kl_nats": "kl_nats",
    "clip_fraction": "clip_ratio",
    "gradient_norm": "gradient_norm",
    "explained_variance": "explained_variance_ratio",
    "learning_rate": "learning_rate",
    "action_std": "action_std",
}
"""Prometheus gauges `websim_learner_<value>` by attributes of MetricsRecord."""

EVALUATION_GAUGES = {
    "return_mean": "return",
    "fitness_mean": "fitness",
    "reward_return_mean": "reward_return",
    "fitness_slope_per_million": "fitness_slope_per_million_steps",
    "fitness_slope_low_per_million": "fitness_slope_low_per_million_steps",
    "fitness_slope_high_per_million": "fitness_slope_high_per_million_steps",
    "reward_fitness_correlation": "reward_fitness_correlation",
}
"""Prometheus gauges `websim_learner_evaluation_<value>` by attributes of EvaluationRecord."""


class Reporter:
    """Takes each record once and passes it on to everybody."""

    def __init__(self, run_dir: RunDir, stream: EventStream, clock: RunClock) -> None:
        """Report a run.

        Args:
            run_dir: gets metrics.jsonl and tb/.
            stream: gets everything.
            clock: read for the time split.
        """
        self.latest: MetricsRecord | None = None
        """The last row of metrics."""
        self.evaluation: EvaluationRecord | None = None
        """The last evaluation."""
        self.counts: Counter[str] = Counter()
        """What Prometheus counts: updates, checkpoints, evaluations, commands, warnings, rows."""
        self._run_dir = run_dir
        self._stream = stream
        self._clock = clock
        self._board: SummaryWriter | None = None

    def open_curves(self, env_steps: int) -> None:
        """Draw curves from now on; those beyond env_steps, of an earlier life, are drawn anew."""
        self.close()
        directory = str(self._run_dir.tensorboard)
        self._board = SummaryWriter(directory, purge_step=env_steps, flush_secs=10)

    def forget(self) -> None:
        """Forget how well the policy does: another one begins, with a task of its own."""
        self.evaluation = None
        if self.latest is not None:
            unknown = dict.fromkeys((*CURVES["episode"], *CURVES["judged"], *IMPROVEMENT))
            self.latest = msgspec.structs.replace(self.latest, **unknown)

    def forget_fitness(self) -> None:
        """Forget the fitness of the last evaluation, and what was made of it; the rest holds."""
        if self.evaluation is not None:
            unknown = dict.fromkeys(OF_FITNESS)
            self.evaluation = msgspec.structs.replace(self.evaluation, **unknown)

    def publish(self, record: AnyRecord) -> None:
        """Pass a record on."""
        numbered = self._stream.publish(record)
        match numbered:
            case MetricsRecord():
                self.latest = numbered
                bind_log_ids(reward=numbered.reward_id)
                self.counts["updates"] += 1
                self._run_dir.append_metrics(numbered)
                self._draw_all(numbered)
            case EvaluationRecord():
                self.evaluation = numbered
                self.counts["evaluations"] += 1
                group = f"branch-{numbered.branch}/evaluation"
                for name in EVALUATED:
                    if (value := getattr(numbered, name)) is not None:
                        self._draw(f"{group}/{name}", value, numbered.env_steps)
                log.info("evaluated", **_facts(numbered))
            case CheckpointRecord():
                self.counts["checkpoints"] += 1
                log.info("wrote checkpoint", **_facts(numbered))
            case CommandRecord():
                self.counts["commands"] += 1
                log.info("applied command", **_facts(numbered))
            case WarningRecord():
                self.counts["warnings"] += 1
                log.warning(numbered.message, update=numbered.update)
            case AdaptationRecord():
                self.counts[f"adaptation_{numbered.event}"] += 1
                log.info(numbered.message, adaptation=numbered.adaptation, event_=numbered.event)
            case StateRecord():
                log.info("entered state", **_facts(numbered))

    def readings(self) -> Iterator[Reading]:
        """Yield what Prometheus reads, in its thread."""
        prefix = "websim_learner"
        for name in ("updates", "evaluations", "checkpoints", "commands", "warnings"):
            yield Reading(f"{prefix}_{name}_total", self.counts[name])
        for name in ("reward_nonfinite_rows", "reward_clipped_rows"):
            yield Reading(f"{prefix}_{name}_total", self.counts[name])
        # From 0: Prometheus sees no increase in a series that begins with its first event.
        for event in get_args(AdaptationEvent):
            count = self.counts[f"adaptation_{event}"]
            yield Reading(f"{prefix}_adaptation_events_total", count, (event,))
        for phase, seconds in self._clock.phases.items():
            yield Reading(f"{prefix}_time_seconds_total", seconds, (phase,))
        if (latest := self.latest) is not None:
            yield Reading(f"{prefix}_env_steps_total", latest.env_steps)
            yield Reading(f"{prefix}_episodes_total", latest.episodes)
            yield Reading(f"{prefix}_invalid_transitions_total", latest.invalid_transitions)
            yield from _gauges(latest, prefix, GAUGES)
        if (evaluation := self.evaluation) is not None:
            yield from _gauges(evaluation, f"{prefix}_evaluation", EVALUATION_GAUGES)

    def close(self) -> None:
        """Write out what is buffered."""
        if self._board is not None:
            # What cannot be written any more has been told of.
            with contextlib.suppress(OSError):
                self._board.close()

    def _draw_all(self, record: MetricsRecord) -> None:
        for group, attributes in CURVES.items():
            for attribute in attributes:
                if (value := getattr(record, attribute)) is not None:
                    name = f"branch-{record.branch}/{group}/{attribute}"
                    self._draw(name, value, record.env_steps)
        for component, share in record.component_shares.items():
            name = f"branch-{record.branch}/reward/share/{component}"
            self._draw(name, share, record.env_steps)

    def _draw(self, name: str, value: float, env_steps: int) -> None:
        if self._board is not None:
            with writing(self._run_dir.tensorboard):
                self._board.add_scalar(name, value, env_steps)


def _gauges(record: AnyRecord, prefix: str, names: Mapping[str, str]) -> Iterator[Reading]:
    """Yield what a record knows, by names of its attributes and of the gauges."""
    for attribute, name in names.items():
        if (value := getattr(record, attribute)) is not None:
            yield Reading(f"{prefix}_{name}", value)


def _facts(record: AnyRecord) -> dict[str, object]:
    facts: dict[str, object] = msgspec.to_builtins(record)
    return {name: value for name, value in facts.items() if name not in ("n", "kind")}
