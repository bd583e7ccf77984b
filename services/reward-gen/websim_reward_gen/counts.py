"""What happened since the service started, and how /metrics reports it."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import get_args

from websim.service.metrics import Reading
from websim_reward_gen.answers import FailureKind
from websim_reward_gen.ledger import Ledger


@dataclass
class Counts:
    """Counters; written by requests, read by scrapes."""

    requests: Counter[str] = field(default_factory=Counter)
    """By the provider that answered."""
    candidates: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By provider and verdict: accepted, or the class of the first reason."""
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By provider and kind."""
    not_recorded: int = 0
    """Answers that `--record` could not write down."""


def read_metrics(counts: Counts, providers: Collection[str], ledger: Ledger) -> Iterator[Reading]:
    """Yield the current readings."""
    prefix = "websim_reward_gen"
    for labels, count in list(counts.candidates.items()):
        yield Reading(f"{prefix}_candidates_total", count, labels)
    # From 0: Prometheus sees no increase in a series that begins with its first event.
    for provider in providers:
        yield Reading(f"{prefix}_requests_total", counts.requests[provider], (provider,))
        for kind in get_args(FailureKind):
            count = counts.failures[provider, kind]
            yield Reading(f"{prefix}_provider_failures_total", count, (provider, kind))
    yield Reading(f"{prefix}_answers_not_recorded_total", counts.not_recorded)
    booked = ledger.since_start()
    yield Reading(f"{prefix}_attempts_total", booked.attempts)
    yield Reading(f"{prefix}_input_tokens_total", booked.input_tokens)
    yield Reading(f"{prefix}_output_tokens_total", booked.output_tokens)
    yield Reading(f"{prefix}_spent_usd", booked.usd)
    yield Reading(f"{prefix}_budget_left_today_usd", ledger.left_today_usd())
