"""What a Claude that fails costs training: `websim bench adapting --only faults`.

A real reward-gen asks a fake of the Messages API on loopback. Blocks of updates take turns in one
training run: each asks for candidates once, of a Claude that answers or of one that fails a fifth
of the requests; every fourth round has a block without a question. Told are the loss of throughput,
the share of questions that came to candidates, and whether reward-gen's ledger agrees with what
the fake has billed.
"""

import os
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parents[2] / "services" / "reward-gen" / "tests"))

from arms import rows
from blocks import block_s, last_record
from fake_messages_api import FakeMessagesApi, message, with_faults
from reward_gen_samples import GOOD, MODEL, answer_text, written

from websim.local.fleet import LEARNER_STAGE, LocalFleet, available_cores
from websim.local.learner_api import LearnerApi
from websim.local.supervisor import ChildSpec
from websim_reward_gen.ledger import Caps, Ledger

TASK = "HalfCheetah-v5"
NUM_ENVS = 64
"""For short updates: many blocks in a few minutes."""
BLOCK_UPDATES = 3
"""A question that is answered at once is asked, answered and judged in them."""
ROUNDS = 40
QUIET_EVERY = 4
"""Rounds, of which the last has a block without a question too."""
FAILING_REQUESTS = 45
"""Of which 9 fail, each in another way. 40 questions take them all, since some are asked again."""
SPARE = 3 * ROUNDS
"""Answers for what comes after them, and for questions to a Claude that does not fail."""
RETRY_AFTER_S = 1.0
DEADLINE_S = 10.0
"""Of a request: one that hangs is waited for until then. The shortest that reward-gen takes."""
QUESTION_S = 60.0
"""Until a question has ended."""
START_S = 60.0
SLOWER, ANSWERED = 0.02, 0.95
UNCAPPED = Caps(1e6, 1e6, 10**12, 10**12)

LEARNER = """
import websim_learner.run
websim_learner.run.ROUND_ENV_STEPS = {rounds}
from websim_learner.__main__ import main
main()
"""
NO_TRIAL = (10**12,)
"""Fits into no run: an adaptation ends with candidates that have passed both gates. A trial trains
too, in groups of environments, and its updates compare with no others."""


@dataclass(frozen=True)
class Questions:
    """What became of the questions to a Claude that fails."""

    asked: int
    answered: int
    """Came to candidates that passed the gate."""
    by: dict[str, int]
    """Of these, how many each provider wrote."""
    failures: dict[str, int]
    """Why Claude did not, by kind."""


def measure_faults() -> dict[str, Any]:
    """Measure, in a training run of its own."""
    seconds: dict[str, list[float]] = {kind: [] for kind in ("quiet", "sound", "faults")}
    answer = sound_answer()
    failing = with_faults(answer, FAILING_REQUESTS, retry_after_s=RETRY_AFTER_S)
    scripts = {
        "sound": deque([answer] * SPARE),
        "faults": deque([*failing, *[answer] * SPARE]),
    }
    with (
        tempfile.TemporaryDirectory(prefix="websim-bench-") as name,
        closing(FakeMessagesApi()) as claude,
    ):
        place = Path(name)
        with training(place, claude.url) as api:
            claude.script = scripts["sound"]
            ask(api)  # The first one measures behaviours that want nothing.
            for kind in order():
                claude.script = scripts.get(kind, claude.script)
                seconds[kind].append(quiet(api) if kind == "quiet" else ask(api))
        log = rows(place / "run")
        accounts = accounts_of(claude, place / "ledger.jsonl")
    requests = len(failing) + SPARE - len(scripts["faults"])
    # The first question is none of a block.
    asked = ["sound", *(kind for kind in order() if kind != "quiet")]
    questions = questions_of(log, [kind == "faults" for kind in asked])
    slower = share_slower(seconds["sound"], seconds["faults"])
    answered = questions.answered / questions.asked
    return {
        "rounds": ROUNDS,
        "update_s": {kind: round(statistics.median(each), 4) for kind, each in seconds.items()},
        "slower_by_faults": slower,
        "slower_by_asking": share_slower(
            seconds["quiet"], seconds["sound"][QUIET_EVERY - 1 :: QUIET_EVERY]
        ),
        "requests": requests,
        "faults": sum(step != answer for step in failing[:requests]),
        "questions": asdict(questions),
        "answered_share": round(answered, 4),
        **accounts,
        "kept": slower["median"] <= SLOWER and answered >= ANSWERED and accounts["agree"],
        "all": seconds,
    }


def order() -> Iterator[str]:
    """Yield the kinds of blocks as they take turns."""
    for number in range(ROUNDS):
        yield from ("sound", "faults") if number % 2 else ("faults", "sound")
        if number % QUIET_EVERY == QUIET_EVERY - 1:
            yield "quiet"


@contextmanager
def training(
    place: Path, claude_url: str, task: str = TASK, rounds: tuple[int, ...] = NO_TRIAL
) -> Iterator[LearnerApi]:
    """Give an endless training run under way that adapts, with a reward-gen of its own.

    `rounds` are the env steps of each contender in the rounds of a trial.
    """
    author = ("-m", "websim_reward_gen", "--http-port", "0", "--provider", "claude")
    author += ("--base-url", claude_url, "--model", MODEL, "--ledger", str(place / "ledger.jsonl"))
    author += ("--deadline-s", str(DEADLINE_S), "--attempt-timeout-s", str(DEADLINE_S))
    author += ("--usd-per-run", "1e6", "--usd-per-day", "1e6")
    author += ("--tokens-per-run", str(10**12), "--tokens-per-day", str(10**12))
    with (
        mock.patch.dict(os.environ, {"ANTHROPIC_API_KEY": "sk-of-nobody"}),
        LocalFleet(available_cores()) as fleet,
    ):
        children = fleet.supervisor
        children.start(
            ChildSpec("reward-gen", author, LEARNER_STAGE, restart="never", with_secrets=True)
        )
        [facts] = children.wait_ready(["reward-gen"], START_S)
        learner = ("-c", LEARNER.format(rounds=rounds), "train", "--adapt", "auto")
        learner += ("--fleet", fleet.client_address)
        learner += ("--run-dir", str(place / "run"), "--reward-gen", facts["http_url"])
        learner += ("--task", task, "--num-envs", str(NUM_ENVS), "--total-steps", str(10**9))
        learner += ("--eval-every-steps", "0", "--http-port", "0")
        children.start(ChildSpec("learner", learner, LEARNER_STAGE, restart="never"))
        [facts] = children.wait_ready(["learner"], START_S)
        api = LearnerApi(facts["http_url"])
        while api.status()["update"] < 5:
            time.sleep(0.1)
        yield api


def quiet(api: LearnerApi) -> float:
    """Return the mean duration of some updates without a question, in s."""
    return block_s(api, api.status()["update"] + 1, updates=BLOCK_UPDATES)


def ask(api: LearnerApi) -> float:
    """Ask for candidates; return the mean duration of the updates from then on, in s.

    The question has ended when this returns.
    """
    after = last_record(api)
    update = api.command("ask")["update"]
    seconds = block_s(api, update, after=after, updates=BLOCK_UPDATES)
    wait_for_end(api, after)
    return seconds


def wait_for_end(api: LearnerApi, after: int) -> None:
    """Wait until an adaptation ends that does so after a record."""
    give_up_s = time.monotonic() + QUESTION_S
    while not any(record.get("event") == "ended" for record in api.events(after)):
        assert time.monotonic() < give_up_s, "the question does not end"
        time.sleep(0.02)


def questions_of(log: Sequence[dict[str, Any]], wanted: Sequence[bool]) -> Questions:
    """Return what became of some of the questions that a run's log of adaptations tells of.

    Args:
        log: its rows.
        wanted: whether a question counts, in the order in which they were asked.

    Raises:
        ValueError: there are more or fewer questions.
    """
    answered: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    ends = [row for row in log if row["kind"] == "answer"]
    numbers = {row["adaptation"] for row, counts in zip(ends, wanted, strict=True) if counts}
    for row in log:
        if row["adaptation"] not in numbers:
            continue
        if row["kind"] == "exchange":
            failures.update(failure["kind"] for failure in row["values"]["failures"])
        elif row["kind"] == "answer" and (candidates := row["values"]["candidates"]):
            answered[candidates[0]["origin"]] += 1
    return Questions(len(numbers), answered.total(), dict(answered), dict(failures))


def accounts_of(claude: FakeMessagesApi, ledger: Path) -> dict[str, Any]:
    """Return attempts and tokens by the server's account and by the ledger, and if they agree."""
    with closing(Ledger(ledger, UNCAPPED)) as books:
        sums = books.of_run("run")
    told_in, told_out = claude.tokens()
    untold = sum(claude.tokens(told=False)) - told_in - told_out
    billed = {"attempts": len(claude.requests), "input": told_in, "output": told_out}
    booked = {"attempts": sums.attempts, "input": sums.input_tokens, "output": sums.output_tokens}
    return {
        "billed": {**billed, "untold": untold},
        "booked": {**booked, "set_aside": sums.uncertain_tokens},
        "agree": booked == billed and sums.uncertain_tokens >= untold,
    }


def share_slower(before: Sequence[float], after: Sequence[float]) -> dict[str, Any]:
    """Return by which share updates take longer, by pairs: median, quartiles and range."""
    ratios = sorted(b / a - 1.0 for a, b in zip(before, after, strict=True))
    # The number of values below the true median is binomial, nearly normal from 20 values on.
    rank = max(0, round(len(ratios) / 2 - 0.98 * len(ratios) ** 0.5))
    quartiles = statistics.quantiles(ratios)
    return {
        "median": round(statistics.median(ratios), 4),
        "median_95": [round(ratios[rank], 4), round(ratios[-1 - rank], 4)],
        "quartiles": [round(quartiles[0], 4), round(quartiles[2], 4)],
        "range": [round(ratios[0], 4), round(ratios[-1], 4)],
    }


def sound_answer(number: int = 0) -> Any:
    """Return an answer of Claude with three candidates; no two have a program in common."""
    programs = [GOOD.replace("0.1", f"0.{100 + 3 * number + each}") for each in range(3)]
    return message(answer_text(*map(written, "abc", programs)))
