"""What happened since the service started, and how /metrics reports it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from websim.service.metrics import Reading
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


def read_metrics(counts: Counts, ledger: Ledger) -> Iterator[Reading]:
    """Yield the current readings."""
    prefix = "websim_reward_gen"
    for provider, count in list(counts.requests.items()):
        yield Reading(f"{prefix}_requests_total", count, (provider,))
    for labels, count in list(counts.candidates.items()):
        yield Reading(f"{prefix}_candidates_total", count, labels)
    for labels, count in list(counts.failures.items()):
        yield Reading(f"{prefix}_provider_failures_total", count, labels)
    booked = ledger.since_start()
    yield Reading(f"{prefix}_attempts_total", booked.attempts)
    yield Reading(f"{prefix}_input_tokens_total", booked.input_tokens)
    yield Reading(f"{prefix}_output_tokens_total", booked.output_tokens)
    yield Reading(f"{prefix}_spent_usd", booked.usd)
    yield Reading(f"{prefix}_budget_left_today_usd", ledger.left_today_usd())
