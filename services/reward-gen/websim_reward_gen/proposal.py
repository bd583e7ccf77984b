"""The one interface between providers and the service: an ask in, a proposal or a failure out."""

import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Literal, Protocol

from websim_reward_gen.answers import (
    Accumulate,
    EnvChange,
    Exchange,
    FailureKind,
    ProviderKind,
    Usage,
)
from websim_reward_gen.bodies import Action, GoalRequest, RewardRequest

MAX_FAILURE_TEXT = 400


@dataclass(frozen=True)
class Refusal:
    """A candidate that goes back to its author with the gate's message."""

    name: str
    program: str
    message: str


@dataclass(frozen=True)
class Ask:
    """What a provider is asked."""

    request: RewardRequest
    refusals: tuple[Refusal, ...] = ()
    """Empty when asked first; else the candidates to correct, and nothing else is wanted."""
    since_s: float = field(default_factory=time.monotonic)
    """When the request came, on the clock of time.monotonic; a correction shares its deadline."""

    @property
    def sha256(self) -> str:
        """Names what is asked, whoever asks: the run and the provider are left out."""
        return _sha256("rewards", self.request, self.refusals)


@dataclass(frozen=True)
class Draft:
    """A candidate as its author wrote it, not judged yet."""

    name: str
    hypothesis: str
    program: str
    weights: dict[str, float] = field(default_factory=dict)
    """Other numbers for the weights of `program`; of the current program when that is empty."""
    expected_failure: str = ""


@dataclass(frozen=True)
class Proposal:
    """What a provider answers."""

    diagnosis: str
    action: Action
    drafts: tuple[Draft, ...]
    env_changes: tuple[EnvChange, ...] = ()
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    model: str = ""
    message_id: str = ""
    usage: Usage = field(default_factory=Usage)
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True)
class GoalAsk:
    """A goal to be measured."""

    request: GoalRequest
    refusals: tuple[Refusal, ...] = ()
    """The fitness to correct, when it was refused."""
    since_s: float = field(default_factory=time.monotonic)
    """When the request came; see Ask."""

    @property
    def sha256(self) -> str:
        """Names what is asked, whoever asks."""
        return _sha256("goal", self.request, self.refusals)


@dataclass(frozen=True)
class GoalProposal:
    """How a goal might be measured, not judged yet."""

    kind: Literal["task", "program", "none"]
    description: str
    program: str = ""
    accumulate: Accumulate = "sum"
    per_horizon: bool = True
    unit: str = ""
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    usage: Usage = field(default_factory=Usage)
    exchanges: tuple[Exchange, ...] = ()


class ProviderFailure(Exception):
    """There is no proposal to be had; ask another provider.

    Attributes:
        kind: the class of the failure.
        usage: what the attempts cost all the same.
        exchanges: what was asked and answered all the same.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        usage: Usage | None = None,
        exchanges: tuple[Exchange, ...] = (),
    ) -> None:
        super().__init__(message[:MAX_FAILURE_TEXT])
        self.kind: FailureKind = kind
        self.usage = usage or Usage()
        self.exchanges = exchanges


class Provider(Protocol):
    """Writes candidates."""

    name: ProviderKind
    corrects: bool
    """Whether it can be asked again with refusals."""

    async def propose(self, ask: Ask) -> Proposal:
        """Return candidates for a request, or corrected ones for its refusals.

        Raises:
            ProviderFailure: there are none.
        """

    async def measure(self, ask: GoalAsk) -> GoalProposal:
        """Return how a goal is measured, or a corrected fitness for its refusals.

        Raises:
            ProviderFailure: it cannot be said.
        """


def _sha256(what: str, request: RewardRequest | GoalRequest, refusals: tuple[Refusal, ...]) -> str:
    body = request.model_dump(mode="json", exclude={"run", "provider"})
    body["what"] = what
    body["refusals"] = [[each.name, each.program, each.message] for each in refusals]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
