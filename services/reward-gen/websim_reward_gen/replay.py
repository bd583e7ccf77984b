"""Recordings: what a provider answered, as JSON lines, and a provider that answers from them."""

import contextlib
import fcntl
import json
import os
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from websim.service.errors import UserError
from websim.service.logs import get_logger
from websim_reward_gen.answers import FailureKind, ProviderKind
from websim_reward_gen.counts import Counts
from websim_reward_gen.lines import append_line, whole_size
from websim_reward_gen.proposal import (
    Ask,
    GoalAsk,
    GoalProposal,
    Proposal,
    Provider,
    ProviderFailure,
)

log = get_logger(__name__)

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

_BEGINNING = b'{"request_sha256":'
"""Of every line that is written here."""


class RecordingProvider:
    """Another provider whose answers are kept in a file, as far as that takes them.

    A recording is a convenience: what cannot be written down is answered all the same.
    """

    def __init__(self, provider: Provider, path: Path, counts: Counts) -> None:
        """Record a provider.

        Args:
            provider: who answers.
            path: the file to append to; its directory is created.
            counts: what /metrics reports.

        Raises:
            UserError: the file cannot be used, or ends in something that is no recorded answer.
        """
        self.name: ProviderKind = provider.name
        self.corrects = provider.corrects
        self._provider = provider
        self._path = path
        self._counts = counts
        self._told = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _mend(path)
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
        try:
            with _opened(self._path) as descriptor:
                append_line(descriptor, line.model_dump_json().encode())
        except OSError as error:
            self._counts.not_recorded += 1
            # Once for each time that the file takes no more: a full disk stays full for a while.
            if not self._told:
                log.warning(
                    "answers are not recorded",
                    file=str(self._path),
                    error=(error.strerror or str(error)).lower(),
                )
            self._told = True
        else:
            if self._told:
                log.info("answers are recorded again", file=str(self._path))
            self._told = False


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
        # Within a line JSON may hold other ends of lines, such as U+2028, as they are.
        for number, text in enumerate(_read(path).split("\n"), 1):
            if not text.strip():
                continue
            try:
                line = _LINE.validate_python(json.loads(text))
            except (ValueError, RecursionError) as error:
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


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a recording for appending; no other service appends to it meanwhile."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _mend(path: Path) -> None:
    """Make a recording ready to be gone on with: one whose last line has no end gets one.

    Raises:
        UserError: what stands there is neither an answer nor the beginning of one, as a crash
            leaves: the file is somebody else's.
    """
    with _opened(path) as descriptor:
        size = whole_size(descriptor)
        last = os.pread(descriptor, os.fstat(descriptor).st_size - size, size)
        if not last:
            return
        try:
            _LINE.validate_json(last)
        except ValidationError:
            if not (last.startswith(_BEGINNING) or _BEGINNING.startswith(last)):
                raise UserError(
                    f"--record {path} is no recording: its last line is no recorded answer",
                    "Name another file.",
                ) from None
            os.ftruncate(descriptor, size)
        else:
            os.write(descriptor, b"\n")


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


def _first(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
