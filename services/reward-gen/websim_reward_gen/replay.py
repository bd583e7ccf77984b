"""Recordings: what a provider answered, as JSON lines, and a provider that answers from them."""

import json
from collections import defaultdict, deque
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from websim.service.errors import UserError
from websim_reward_gen.answers import FailureKind, ProviderKind
from websim_reward_gen.proposal import (
    Ask,
    GoalAsk,
    GoalProposal,
    Proposal,
    Provider,
    ProviderFailure,
)

MAX_RECORDING_BYTES = 64 * 1024 * 1024

ANY_REQUEST = "*"
"""In place of a request's hash: answers requests that no other line is for, in order."""


class FailureLine(BaseModel):
    """A failure that was recorded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FailureKind
    message: str = ""


class Line(BaseModel):
    """One line of a recording: what was asked, and the proposal, the goal or the failure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_sha256: str
    proposal: Proposal | None = None
    goal: GoalProposal | None = None
    failure: FailureLine | None = None


_LINE = TypeAdapter(Line)


class RecordingProvider:
    """Another provider whose answers are kept in a file."""

    def __init__(self, provider: Provider, path: Path) -> None:
        """Record a provider.

        Args:
            provider: who answers.
            path: the file to append to; its directory is created.
        """
        self.name: ProviderKind = provider.name
        self.corrects = provider.corrects
        self._provider = provider
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise UserError(
                f"--record {path}: {(error.strerror or str(error)).lower()}", "Name another file."
            ) from None

    async def propose(self, ask: Ask) -> Proposal:
        """Return what the provider answers, and keep it."""
        try:
            proposal = await self._provider.propose(ask)
        except ProviderFailure as failure:
            kept = FailureLine(kind=failure.kind, message=str(failure))
            self._write(Line(request_sha256=ask.sha256, failure=kept))
            raise
        self._write(Line(request_sha256=ask.sha256, proposal=proposal))
        return proposal

    async def measure(self, ask: GoalAsk) -> GoalProposal:
        """Return what the provider says of a goal, and keep it."""
        try:
            goal = await self._provider.measure(ask)
        except ProviderFailure as failure:
            kept = FailureLine(kind=failure.kind, message=str(failure))
            self._write(Line(request_sha256=ask.sha256, failure=kept))
            raise
        self._write(Line(request_sha256=ask.sha256, goal=goal))
        return goal

    def _write(self, line: Line) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")


class ReplayProvider:
    """Answers each request as it was answered when it was recorded."""

    name: ProviderKind = "replay"
    corrects = True

    def __init__(self, path: Path) -> None:
        """Read a recording.

        Raises:
            UserError: the file cannot be read, or a line is not one of a recording.
        """
        self._lines: dict[str, deque[Line]] = defaultdict(deque)
        for number, text in enumerate(_read(path).splitlines(), 1):
            if not text.strip():
                continue
            try:
                line = _LINE.validate_python(json.loads(text))
            except (ValueError, ValidationError) as error:
                raise UserError(
                    f"--replay {path} line {number} is no recorded answer: {_first(error)}",
                    "Remove it, or record again with --record.",
                ) from None
            self._lines[line.request_sha256].append(line)

    async def propose(self, ask: Ask) -> Proposal:
        """Return the next recorded answer to this request.

        Raises:
            ProviderFailure: none is left, or the answer was a failure.
        """
        proposal = self._next(ask.sha256).proposal
        if proposal is None:
            raise ProviderFailure("invalid", "the recorded line holds no rewards")
        return proposal

    async def measure(self, ask: GoalAsk) -> GoalProposal:
        """Return the next recorded answer to this goal.

        Raises:
            ProviderFailure: none is left, or the answer was a failure.
        """
        goal = self._next(ask.sha256).goal
        if goal is None:
            raise ProviderFailure("invalid", "the recorded line holds no goal")
        return goal

    def _next(self, sha256: str) -> Line:
        lines = self._lines.get(sha256) or self._lines.get(ANY_REQUEST)
        if not lines:
            raise ProviderFailure("invalid", f"no recorded answer is left for {sha256}")
        line = lines.popleft()
        if line.failure is not None:
            raise ProviderFailure(line.failure.kind, line.failure.message)
        return line


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_RECORDING_BYTES:
            raise UserError(f"--replay {path} is larger than {MAX_RECORDING_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"--replay {path}: {(error.strerror or str(error)).lower()}", "Name a recording."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"--replay {path} is not text", "Name a recording.") from None


def _first(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
