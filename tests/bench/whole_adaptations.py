"""Adaptations, trials and all, under a Claude that fails: `websim bench adapting --only whole`.

One after the other is asked for in one training run, of a fake of the Messages API that fails a
fifth of the requests. Told is how many came to a decision by a trial, and who wrote what was tried.
"""

import tempfile
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from arms import rows
from blocks import last_record
from faults import (
    ANSWERED,
    RETRY_AFTER_S,
    SPARE,
    FakeMessagesApi,
    sound_answer,
    training,
    wait_for_end,
    with_faults,
)

TASK = "Hopper-v5"
"""Its first episodes are short, and so are evaluations."""
ADAPTATIONS = 40
FAILING_REQUESTS = 45
"""Of which 9 fail, each in another way; some questions are asked again."""
ROUNDS = (4_096, 8_192)
"""Env steps of each contender: the course of a trial is looked at here, not what it finds."""


@dataclass(frozen=True)
class Decided:
    """What became of adaptations."""

    asked: int
    decided: int
    """Ended with the decision of a trial."""
    by: dict[str, int]
    """Of these, how many were of each provider's candidates."""
    failures: dict[str, int]
    """Why Claude did not answer, by kind."""


def measure_whole() -> dict[str, Any]:
    """Measure, in a training run of its own."""
    # What was tried before is refused, so every answer is another.
    sound = [sound_answer(number) for number in range(FAILING_REQUESTS + SPARE)]
    steps = with_faults(sound[0], FAILING_REQUESTS, retry_after_s=RETRY_AFTER_S)
    faults = [step != sound[0] for step in steps] + [False] * SPARE
    answers = [
        step if fails else answer
        for fails, step, answer in zip(faults, [*steps, *sound[len(steps) :]], sound, strict=True)
    ]
    with (
        tempfile.TemporaryDirectory(prefix="websim-bench-") as name,
        closing(FakeMessagesApi()) as claude,
    ):
        place = Path(name)
        claude.script = deque(answers)
        with training(place, claude.url, TASK, ROUNDS) as api:
            for _ in range(ADAPTATIONS):
                after = last_record(api)
                api.command("ask")
                wait_for_end(api, after)
        decided = decided_of(rows(place / "run"))
        requests = len(answers) - len(claude.script)
    share = decided.decided / decided.asked
    return {
        **asdict(decided),
        "requests": requests,
        "faults": sum(faults[:requests]),
        "decided_share": round(share, 4),
        "kept": decided.asked == ADAPTATIONS and share >= ANSWERED,
    }


def decided_of(log: Sequence[dict[str, Any]]) -> Decided:
    """Return what became of the adaptations that a run's log tells of."""
    asked = {row["adaptation"] for row in log if row["kind"] == "question"}
    decided = {row["adaptation"] for row in log if row["kind"] == "decision"}
    by: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for row in log:
        if row["kind"] == "exchange":
            failures.update(failure["kind"] for failure in row["values"]["failures"])
        elif row["kind"] == "answer" and row["adaptation"] in decided:
            by[row["values"]["candidates"][0]["origin"]] += 1
    return Decided(len(asked), len(decided & asked), dict(by), dict(failures))
