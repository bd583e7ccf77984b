"""What reward-gen answers, as data: its HTTP is the specification (docs/rewards.md).

Read by author.py. Names that are new here are ignored; a wrong type makes the answer invalid.
Nothing is trusted beyond its type: a program is checked again by whoever evaluates it.
"""

from typing import Literal

import msgspec

Path = Literal["/v1/rewards", "/v1/goals"]

MAX_TOLD = 300
"""Characters of a refusal that are passed on."""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a program, and what is allowed instead."""

    reason: str
    message: str
    line: int = 0
    """1-based; 0 without a place."""
    column: int = 0


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Size of a result over made-up ordinary inputs."""

    minimum: float
    maximum: float
    mean: float
    std: float


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What reward-gen's gate says about a program."""

    accepted: bool
    tier: str = ""
    """The tier that refused it; the last one for an accepted program."""
    issues: tuple[Issue, ...] = ()
    program_id: str | None = None
    fields: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    scales: dict[str, Scale] = {}
    """Of "total" and of each "component <name>"."""

    @property
    def message(self) -> str:
        """All issues as lines, for whoever wrote the program."""
        return "\n".join(
            f"{issue.reason}: " + (f"line {issue.line}: " if issue.line else "") + issue.message
            for issue in self.issues
        )


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a candidate comes from."""

    provider: str
    model: str = ""
    round: int = 0
    """0 as first written, 1 as corrected after the gate's message."""
    request_sha256: str = ""
    message_id: str = ""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A reward that was written for the question."""

    name: str
    hypothesis: str = ""
    """What it should bring about, and why."""
    expected_failure: str = ""
    """How it may be gamed or fail, in its author's words."""
    program: str
    weights: dict[str, float] = {}
    """The program's lines `<name>_weight = <number>`."""
    verdict: Verdict
    provenance: Provenance


class EnvChange(msgspec.Struct, frozen=True, kw_only=True):
    """New bounds for one knob."""

    name: str
    low: float
    high: float
    reason: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A provider that gave no proposal, and who stood in."""

    provider: str
    kind: str
    message: str
    fallback: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer cost."""

    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and its response, for the log of who decided what on which grounds."""

    model: str
    system: str = ""
    """What comes before every prompt: the same for all of a task."""
    prompt: str
    response: str
    stop_reason: str = ""


class RewardAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates for a goal, and what to change."""

    request_sha256: str
    provider: str
    diagnosis: str
    action: Literal["reweight", "new_reward", "env_change", "none"]
    candidates: tuple[Candidate, ...]
    """Accepted ones first; then the refused, with reasons."""
    env_changes: tuple[EnvChange, ...] = ()
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    usage: Usage = Usage()
    exchanges: tuple[Exchange, ...] = ()


class GoalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a goal in words is measured."""

    kind: Literal["task", "program", "none"]
    program: str | None = None
    program_id: str | None = None
    accumulate: Literal["sum", "last", "max"] | None = None
    per_horizon: bool = False
    unit: str = ""
    description: str
    """What the fitness measures; for `none`, why there is no number."""
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    provider: str = ""
    failures: tuple[Failure, ...] = ()
    usage: Usage = Usage()
    exchanges: tuple[Exchange, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a measure without its parts."""
        if self.kind == "program" and (self.program is None or self.accumulate is None):
            raise ValueError('kind "program" needs program and accumulate')


Answer = RewardAnswer | GoalAnswer

ANSWERS: dict[Path, type[RewardAnswer] | type[GoalAnswer]] = {
    "/v1/rewards": RewardAnswer,
    "/v1/goals": GoalAnswer,
}
"""Which of them answers what."""


def read_answer(path: Path, data: bytes) -> Answer:
    """Return an answer as what it is.

    Raises:
        ValueError: it is not of the form that belongs to the path; says where.
    """
    try:
        return msgspec.json.decode(data, type=ANSWERS[path])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None


class _Problem(msgspec.Struct):
    """One thing that FastAPI says about a body that does not fit."""

    msg: str
    loc: tuple[str | int, ...] = ()


class _Refusal(msgspec.Struct):
    detail: str | list[_Problem]


def read_refusal(body: bytes) -> str:
    """Return what an error answer says, in a line."""
    try:
        detail = msgspec.json.decode(body, type=_Refusal).detail
    except msgspec.DecodeError:
        text = body[:MAX_TOLD].decode(errors="replace")
        return " ".join(text.split()) or "without a word"
    if not isinstance(detail, str):
        problems = [f"{'.'.join(map(str, each.loc[1:]))}: {each.msg}" for each in detail]
        detail = "; ".join(problems)
    return " ".join(detail.split())[:MAX_TOLD]
