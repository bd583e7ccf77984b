"""Metrics: one table of them all, and a collector that reads a service's state at scrape time.

A service hands `make_registry` a function that returns its current readings; nothing counts
twice and an unwatched service pays nothing. `METRICS` generates docs/metrics.md
(`make docs`), and a reading that is not in it is refused.

Names are websim_<service>_<noun>_<unit>[_total] in base units. Labels have a bounded number of
values: never an env, an episode or a session.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

MAX_SERIES = 256
"""Label combinations a scrape reports for one metric; readings beyond it are left out."""


@dataclass(frozen=True)
class Metric:
    """A row of the table."""

    name: str
    """Whole name as Prometheus sees it; counters end in `_total`."""
    type: Literal["counter", "gauge"]
    """`counter` only ever grows while its process lives; `gauge` goes up and down."""
    help: str
    """What it says, in one sentence."""
    labels: tuple[str, ...] = ()
    """Names of its labels, in the order readings give their values."""


@dataclass(frozen=True)
class Reading:
    """The value of one metric (for one combination of labels) at this moment."""

    name: str
    value: float
    labels: tuple[str, ...] = ()
    """Values of the metric's labels, in the table's order."""


METRICS: tuple[Metric, ...] = (
    Metric(
        "websim_service_info",
        "gauge",
        "Always 1; its labels say which service of which version answers.",
        ("service", "version"),
    ),
    # orchestrator
    Metric("websim_orchestrator_workers", "gauge", "Sim workers that are registered."),
    Metric("websim_orchestrator_workers_lost_total", "counter", "Sim workers that left or died."),
    Metric("websim_orchestrator_sessions", "gauge", "Sessions that clients have open."),
    Metric("websim_orchestrator_envs", "gauge", "Environments of all sessions."),
    Metric("websim_orchestrator_shards", "gauge", "Shards of all sessions."),
    Metric("websim_orchestrator_shards_waiting", "gauge", "Shards that no sim worker holds."),
    Metric(
        "websim_orchestrator_shards_rebuilt_total",
        "counter",
        "Shards placed again, after a loss or to even out the load.",
    ),
    Metric(
        "websim_orchestrator_commands_outstanding",
        "gauge",
        "Commands sent to sim workers that have no answer yet.",
    ),
    Metric(
        "websim_orchestrator_answers_lost_total",
        "counter",
        "Answers that never arrived though what follows them did; the command was done again.",
    ),
    Metric(
        "websim_orchestrator_commands_replayed_total",
        "counter",
        "Commands sent once more to rebuild a shard.",
    ),
    Metric(
        "websim_orchestrator_log_commands",
        "gauge",
        "Commands kept since the shards' last snapshots.",
    ),
    Metric(
        "websim_orchestrator_shards_kept_total",
        "counter",
        "Shards that went on with their worker after a restart of the orchestrator.",
    ),
    Metric(
        "websim_orchestrator_steps_skipped_total",
        "counter",
        "Steps of a shard not simulated because they ended one worker after another.",
    ),
    Metric("websim_orchestrator_snapshots_total", "counter", "Snapshots received."),
    Metric(
        "websim_orchestrator_stale_messages_total",
        "counter",
        "Messages dropped because they belong to an earlier assignment.",
    ),
    Metric(
        "websim_orchestrator_questions_given_up_total",
        "counter",
        "Questions for a state or a scene, and resets by people, that no worker answered in time.",
    ),
    Metric(
        "websim_orchestrator_refused_commands_total",
        "counter",
        "Commands of clients that were refused with a reason.",
    ),
    Metric(
        "websim_orchestrator_broken_messages_total",
        "counter",
        "Messages that could not be decoded.",
        ("reason",),
    ),
    Metric(
        "websim_orchestrator_refused_peers_total",
        "counter",
        "Connections not let in: their key is not admitted (`key`), they speak otherwise or have "
        "no keys or other ones (`protocol`), or they ended before it was clear (`broken_off`).",
        ("socket", "reason"),
    ),
    Metric(
        "websim_orchestrator_watched_topics",
        "gauge",
        "Sessions whose figures, and environments whose poses somebody looks at.",
    ),
    Metric(
        "websim_orchestrator_published_messages_total",
        "counter",
        "Messages from sim workers published for who looks.",
        ("kind",),
    ),
    # sim worker
    Metric("websim_sim_worker_registered", "gauge", "1 while an orchestrator knows the worker."),
    Metric("websim_sim_worker_shards", "gauge", "Shards the worker holds."),
    Metric("websim_sim_worker_envs", "gauge", "Environments the worker holds."),
    Metric("websim_sim_worker_env_steps_total", "counter", "Environment steps, replays excluded."),
    Metric("websim_sim_worker_commands_total", "counter", "Commands carried out."),
    Metric(
        "websim_sim_worker_busy_seconds_total",
        "counter",
        "Time spent building and stepping shards.",
    ),
    Metric(
        "websim_sim_worker_shown_seconds_total",
        "counter",
        "Time spent showing environments to who looks.",
    ),
    Metric(
        "websim_sim_worker_shown_frames_total",
        "counter",
        "Figures of shards and poses of environments sent to who looks.",
    ),
    Metric(
        "websim_sim_worker_diverged_steps_total",
        "counter",
        "Transitions marked invalid because the engine diverged.",
    ),
    Metric(
        "websim_sim_worker_dropped_messages_total",
        "counter",
        "Messages that were not acted on or could not be sent.",
        ("reason",),
    ),
    # learner
    Metric("websim_learner_updates_total", "counter", "Updates of a policy done by this process."),
    Metric(
        "websim_learner_env_steps_total",
        "counter",
        "Environment steps learned from, over the run's whole life.",
    ),
    Metric(
        "websim_learner_episodes_total",
        "counter",
        "Training episodes that ended by themselves or by the clock.",
    ),
    Metric(
        "websim_learner_invalid_transitions_total",
        "counter",
        "Transitions not learned from because the engine diverged.",
    ),
    Metric("websim_learner_envs", "gauge", "Environments of the training session."),
    Metric("websim_learner_evaluations_total", "counter", "Evaluations done."),
    Metric("websim_learner_checkpoints_total", "counter", "Checkpoints written."),
    Metric("websim_learner_commands_total", "counter", "Commands that took effect."),
    Metric("websim_learner_warnings_total", "counter", "Warnings told to people."),
    Metric(
        "websim_learner_adaptation_events_total",
        "counter",
        "What happened in adaptations: trigger, candidates, round, decision, adopted, rolled_back.",
        ("event",),
    ),
    Metric(
        "websim_learner_reward_nonfinite_rows_total",
        "counter",
        "Rewards of a program that were not finite; they became 0.",
    ),
    Metric(
        "websim_learner_reward_clipped_rows_total",
        "counter",
        "Rewards of a program beyond the limit; they became the limit.",
    ),
    Metric(
        "websim_learner_time_seconds_total",
        "counter",
        "The learner's time by what it was spent on: waiting for physics, inference, the update, "
        "or evaluation.",
        ("phase",),
    ),
    Metric(
        "websim_learner_env_steps_per_second",
        "gauge",
        "Training speed over the last updates, learning included.",
    ),
    Metric(
        "websim_learner_episode_return",
        "gauge",
        "Mean return of the last 100 training episodes, by the task's own reward.",
    ),
    Metric(
        "websim_learner_episode_length_steps",
        "gauge",
        "Mean length of the last 100 training episodes.",
    ),
    Metric(
        "websim_learner_episode_fitness",
        "gauge",
        "Mean fitness of the last 100 training episodes by the task's own measure, in its unit.",
    ),
    Metric(
        "websim_learner_episode_success_ratio",
        "gauge",
        "Share of the last 100 training episodes that succeeded.",
    ),
    Metric(
        "websim_learner_episode_reward_return",
        "gauge",
        "Mean return of the last 100 training episodes, by the reward that is learned from and "
        "that has judged them whole.",
    ),
    Metric(
        "websim_learner_improvement_per_million_steps",
        "gauge",
        "Robust slope of the training episodes' return per million environment steps, over the "
        "last tenth of the run.",
    ),
    Metric(
        "websim_learner_improvement_low_per_million_steps",
        "gauge",
        "Where that slope lies at least, with 95 % confidence.",
    ),
    Metric(
        "websim_learner_improvement_high_per_million_steps",
        "gauge",
        "Where that slope lies at most, with 95 % confidence.",
    ),
    Metric(
        "websim_learner_evaluation_return",
        "gauge",
        "Mean return of the last evaluation, with the mean action.",
    ),
    Metric(
        "websim_learner_evaluation_fitness",
        "gauge",
        "Mean fitness of the last evaluation by the goal's measure, or the task's without one.",
    ),
    Metric(
        "websim_learner_evaluation_reward_return",
        "gauge",
        "Mean return of the last evaluation by the reward in force; of runs that adapt.",
    ),
    Metric(
        "websim_learner_evaluation_fitness_slope_per_million_steps",
        "gauge",
        "Robust slope of fitness per million environment steps, over the last evaluations since "
        "the last change; of runs that adapt.",
    ),
    Metric(
        "websim_learner_evaluation_fitness_slope_low_per_million_steps",
        "gauge",
        "Where that slope lies at least, with 95 % confidence.",
    ),
    Metric(
        "websim_learner_evaluation_fitness_slope_high_per_million_steps",
        "gauge",
        "Where that slope lies at most, with 95 % confidence.",
    ),
    Metric(
        "websim_learner_evaluation_reward_fitness_correlation",
        "gauge",
        "Correlation of the reward in force with fitness over the episodes that it has judged "
        "since the last change, -1 to 1: a hacked reward's falls. Of runs that adapt.",
    ),
    Metric(
        "websim_learner_reward",
        "gauge",
        "Mean reward per transition of the last rollout, as learned from.",
    ),
    Metric(
        "websim_learner_policy_loss",
        "gauge",
        "Clipped policy loss, mean over the last update.",
    ),
    Metric(
        "websim_learner_value_loss",
        "gauge",
        "Squared error of the value function, mean over the last update.",
    ),
    Metric("websim_learner_entropy_nats", "gauge", "Entropy of the policy after the last update."),
    Metric(
        "websim_learner_kl_nats",
        "gauge",
        "Divergence of the policy from the one that acted, in the last epoch.",
    ),
    Metric(
        "websim_learner_clip_ratio",
        "gauge",
        "Share of transitions whose probability ratio was clipped.",
    ),
    Metric(
        "websim_learner_gradient_norm",
        "gauge",
        "Gradient norm before clipping, mean over the last update.",
    ),
    Metric(
        "websim_learner_explained_variance_ratio",
        "gauge",
        "Share of the returns' variance that the value function explains.",
    ),
    Metric("websim_learner_learning_rate", "gauge", "Learning rate of the last update."),
    Metric(
        "websim_learner_action_std",
        "gauge",
        "Mean standard deviation of the policy, where actions span [-1, 1].",
    ),
    # reward-gen
    Metric(
        "websim_reward_gen_requests_total",
        "counter",
        "Requests for rewards that were answered, by who wrote the candidates.",
        ("provider",),
    ),
    Metric(
        "websim_reward_gen_candidates_total",
        "counter",
        "Candidates judged: accepted, or the class of the first reason for refusal.",
        ("provider", "verdict"),
    ),
    Metric(
        "websim_reward_gen_provider_failures_total",
        "counter",
        "Questions to a provider without a usable answer, by kind.",
        ("provider", "kind"),
    ),
    Metric(
        "websim_reward_gen_answers_not_recorded_total",
        "counter",
        "Answers that --record could not write down; they were given all the same.",
    ),
    Metric("websim_reward_gen_attempts_total", "counter", "Requests sent to the Messages API."),
    Metric(
        "websim_reward_gen_input_tokens_total", "counter", "Input tokens booked, cached included."
    ),
    Metric("websim_reward_gen_output_tokens_total", "counter", "Output tokens booked."),
    Metric(
        "websim_reward_gen_spent_usd",
        "gauge",
        "Spent since the start; unknown costs count with their worst case until they are known.",
    ),
    Metric(
        "websim_reward_gen_budget_left_today_usd", "gauge", "What may still be spent today (UTC)."
    ),
    # dashboard
    Metric("websim_dashboard_viewers", "gauge", "Pages that are open."),
    Metric(
        "websim_dashboard_watched",
        "gauge",
        "What somebody looks at just now: sessions' figures, and environments' poses.",
        ("kind",),
    ),
    Metric(
        "websim_dashboard_telemetry_messages_total",
        "counter",
        "Messages of the orchestrator's telemetry that were used, or dropped: stale ones for a "
        "newer one, broken ones for good.",
        ("outcome",),
    ),
    Metric(
        "websim_dashboard_frames_total",
        "counter",
        "Pictures for pages: sent, or skipped for a newer one.",
        ("kind", "outcome"),
    ),
    Metric("websim_dashboard_sent_bytes_total", "counter", "Sent to pages over WebSockets."),
    Metric(
        "websim_dashboard_acks_lost_total",
        "counter",
        "Pictures whose arrival no page confirmed in time.",
    ),
    Metric(
        "websim_dashboard_upstream_requests_total",
        "counter",
        "Requests to the services behind, by how they ended.",
        ("upstream", "outcome"),
    ),
    Metric(
        "websim_dashboard_history_rows_total",
        "counter",
        "Metric points and events written to the history.",
    ),
    Metric("websim_dashboard_history_bytes", "gauge", "Size of the history's file."),
)


def make_registry(
    service: str, version: str, read: Callable[[], Iterable[Reading]]
) -> CollectorRegistry:
    """Return the registry that `/metrics` serves: `read`'s readings and the process's own.

    Args:
        service: Name of the service, as in `sim-worker`.
        version: Version of the service's distribution.
        read: Returns the current readings; called from the HTTP thread at every scrape, so it
            must only look at what another thread may change meanwhile, and be quick.
    """
    info = Reading("websim_service_info", 1.0, (service, version))
    registry = CollectorRegistry()
    registry.register(_StateCollector(lambda: [info, *read()]))
    ProcessCollector(registry=registry)
    return registry


class _StateCollector(Collector):
    """Asks for readings when Prometheus asks for metrics."""

    def __init__(self, read: Callable[[], Iterable[Reading]]) -> None:
        self._read = read
        self._table = {metric.name: metric for metric in METRICS}

    def describe(self) -> Iterator[Family]:
        """Yield nothing: without this, registering would call `collect`."""
        yield from ()

    def collect(self) -> Iterator[Family]:
        """Yield a family per metric that has readings."""
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for reading in self._read():
            metric = self._table.get(reading.name)
            if metric is None or len(metric.labels) != len(reading.labels):
                raise ValueError(
                    f"reading {reading.name}{reading.labels} does not fit the table METRICS in "
                    "websim/service/metrics.py: add or correct its row"
                )
            family = families.get(metric.name)
            if family is None:
                kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
                family = kind(metric.name, metric.help, labels=metric.labels)
                families[metric.name] = family
            if len(family.samples) < MAX_SERIES:
                family.add_metric(reading.labels, reading.value)
        yield from families.values()
