"""What is answered over HTTP: candidates with verdicts, goals with their fitness, failures."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from websim.programs import Reason
from websim_reward_gen.bodies import Action

Tier = Literal["schema", "language", "dry_run"]

GateReason = Reason | Literal["schema", "unchanging", "scale", "time", "repeated", "untried"]
"""A refusal of the language, or: an answer without the parts it must have; a result that does not
depend on the inputs; results too large; too slow; a program that was tried or is in force; one
that could not be tried, for which its author can do nothing."""

ProviderKind = Literal["claude", "library", "replay"]

Accumulate = Literal["sum", "last", "max"]
"""How an episode's fitness is made of its steps'."""

FailureKind = Literal[
    "auth",
    "budget",
    "rate",
    "overload",
    "timeout",
    "network",
    "bad_request",
    "truncated",
    "refusal",
    "invalid",
]
"""Why a provider gave no proposal."""


class Answer(BaseModel):
    """Frozen; attribute docstrings describe it in OpenAPI."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class IssueView(Answer):
    """One thing that is wrong with a program, and what is allowed instead."""

    reason: GateReason
    message: str
    line: int
    """1-based; 0 without a place."""
    column: int


class ScaleView(Answer):
    """Size of a result over made-up ordinary inputs."""

    minimum: float
    maximum: float
    mean: float
    std: float


class Verdict(Answer):
    """What the gate says about a program."""

    accepted: bool
    tier: Tier
    """The tier that refused it; the last one for an accepted program."""
    issues: tuple[IssueView, ...] = ()
    """Why it is refused; empty when accepted."""
    program_id: str | None = None
    """Known once the language accepted it."""
    fields: tuple[str, ...] = ()
    """Fields it reads."""
    components: tuple[str, ...] = ()
    scales: dict[str, ScaleView] = {}
    """Of "total" and of each "component <name>", where they are finite."""
    elapsed_ms: float = 0.0

    @property
    def is_untried(self) -> bool:
        """Whether it says nothing about the program, since there was no sandbox for its trial."""
        return any(issue.reason == "untried" for issue in self.issues)

    @property
    def message(self) -> str:
        """All issues as lines, for whoever wrote the program."""
        return "\n".join(
            f"{issue.reason}: " + (f"line {issue.line}: " if issue.line else "") + issue.message
            for issue in self.issues
        )


class Provenance(Answer):
    """Where a candidate comes from."""

    provider: ProviderKind
    model: str = ""
    round: int = 0
    """0 as first written, 1 as corrected after the gate's message."""
    request_sha256: str
    """Names what was asked, without run and provider: the key of a recording."""
    message_id: str = ""
    """The provider's own name for its response."""


class Candidate(Answer):
    """A reward that was written for the request."""

    name: str
    hypothesis: str
    """What it should bring about, and why."""
    expected_failure: str = ""
    """How it may be gamed or fail, in its author's words."""
    program: str
    weights: dict[str, float]
    """The program's lines `<name>_weight = <number>`; see `with_weights`."""
    verdict: Verdict
    provenance: Provenance


class EnvChange(Answer):
    """New bounds for one knob, inside those allowed."""

    name: str
    low: float
    high: float
    reason: str


class Failure(Answer):
    """A provider that gave no proposal, and who stood in."""

    provider: ProviderKind
    kind: FailureKind
    message: str
    fallback: Literal["library"] = "library"


class Usage(Answer):
    """What the request cost; zero without Claude."""

    attempts: int = 0
    input_tokens: int = 0
    """Cached and cache-writing ones included."""
    output_tokens: int = 0
    usd: float = 0.0
    """Attempts whose cost is unknown (a timeout, a cut connection) count with their worst case."""


def add_usage(first: Usage, second: Usage) -> Usage:
    """Return what two things cost together."""
    return Usage(
        attempts=first.attempts + second.attempts,
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        usd=round(first.usd + second.usd, 9),
    )


class Exchange(Answer):
    """One prompt and its response, for the log of who decided what on which grounds."""

    model: str
    system: str
    """What comes before every prompt: the rules and the task."""
    prompt: str
    response: str
    stop_reason: str


class RewardAnswer(Answer):
    """What `POST /v1/rewards` answers."""

    request_sha256: str
    provider: ProviderKind
    """Who wrote the candidates."""
    diagnosis: str
    action: Action
    candidates: tuple[Candidate, ...]
    """Accepted ones first, at most as many as asked for; then the refused, with reasons."""
    env_changes: tuple[EnvChange, ...] = ()
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    """Words of the description that nothing here stands for."""
    failures: tuple[Failure, ...] = ()
    """Providers that failed before this one answered."""
    usage: Usage = Usage()
    exchanges: tuple[Exchange, ...] = ()


class GoalAnswer(Answer):
    """How a goal is measured: shown to the person, and fixed once the goal is set."""

    kind: Literal["task", "program", "none"]
    """The task's own fitness, a program, or no number at all: a person judges."""
    program: str | None = None
    program_id: str | None = None
    accumulate: Accumulate | None = None
    per_horizon: bool = False
    """Divided by the nominal horizon: an early end then freezes it."""
    unit: str = ""
    description: str
    """In words; for `none`, why there is no number."""
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    """Words that the measure leaves out."""
    provider: ProviderKind = "library"
    """Who said it."""
    failures: tuple[Failure, ...] = ()
    usage: Usage = Usage()
    exchanges: tuple[Exchange, ...] = ()


class CheckAnswer(Answer):
    """What `POST /v1/checks` answers."""

    verdict: Verdict
    weights: dict[str, float]
