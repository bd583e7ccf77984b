"""The learner's client of reward-gen: one question at a time, answered while training goes on.

A thread of its own waits for the answer and does nothing else; the trainer asks `poll` between two
updates. Every wait ends: at the answer, at a deadline, or within moments of `close`.
"""

import io
import re
import threading
import time
from dataclasses import dataclass
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import socket
from typing import Literal, cast
from urllib.parse import urlsplit

import msgspec

from websim.service.errors import UserError
from websim_learner.adaptation.answers import Answer, Path, read_answer, read_refusal

CONNECT_TIMEOUT_S = 3.0
"""How long a connection may take, and how long the question may take to be sent."""

ANSWER_TIMEOUT_S = 200.0
"""How long one try may take: of a request Claude has at most 180 s, corrections included, and
reward-gen's own verdicts and library take moments."""

DEADLINE_S = 600.0
"""How long a question may take, every try included."""

JOIN_S = 2.0
"""How long `close` waits for the thread, which may be in the resolver, where nothing ends it."""

FIRST_BACKOFF_S = 0.5
"""Wait before the second try; doubles with every further one."""

MAX_BACKOFF_S = 10.0
"""Longest wait between two tries."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""A longer answer is refused; one with eight candidates and every exchange is far below."""

LOOK_UP_S = 0.2
"""How often a wait looks whether it should end."""

FailureKind = Literal["unreachable", "denied", "refused", "invalid"]
"""Nobody answers in time; it takes no questions from here; it does not take this question; what it
answers is not an answer."""

ABOUT_THE_QUESTION = (400, 413, 422)
"""Statuses by which a question itself is refused: asked again it is refused again."""


@dataclass(frozen=True)
class Answered:
    """reward-gen has answered."""

    path: Path
    body: Answer


@dataclass(frozen=True)
class AuthorFailed:
    """There is no answer to the question; another question may be asked."""

    kind: FailureKind
    message: str
    """For people, in a line."""


class _Unanswered(Exception):
    """This try brought no answer; another may."""


class _Failed(Exception):
    """No try brings an answer."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Author:
    """Asks a reward-gen. For one thread, which asks, polls and closes.

    Attributes:
        banner: That reward-gen does not answer and why, for people; empty while it does.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Prepare; nothing is sent before the first question.

        Args:
            url: Where reward-gen listens, as in `http://127.0.0.1:8090`.
            token: What it asks for (`websim keys`); empty sends none.
            deadline_s: Seconds for one question, every try included.

        Raises:
            UserError: The address cannot be used.
        """
        self._secure, self._host, self._port = _parse(url)
        self._url = url
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._deadline_s = deadline_s
        self._closing = threading.Event()
        self._unwanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._outcome: Answered | AuthorFailed | None = None
        self.banner = ""

    @property
    def busy(self) -> bool:
        """Whether a question has been asked whose outcome nobody has polled yet."""
        return self._thread is not None

    def ask(self, path: Path, body: dict[str, object]) -> None:
        """Send a question; `poll` tells what comes of it.

        Args:
            path: What is asked.
            body: See requests.py.
        """
        if self.busy or self._closing.is_set():
            raise RuntimeError("an author takes one question at a time, until it is closed")
        # Written here, not in the thread: the body may be made of what the trainer changes.
        data = msgspec.json.encode(body)
        self._unwanted.clear()
        # A daemon: in the resolver nothing ends it, and a learner that fails closes nothing.
        self._thread = threading.Thread(
            target=self._run, args=(path, data), name="author", daemon=True
        )
        self._thread.start()

    def poll(self) -> Answered | AuthorFailed | None:
        """Return the outcome of the question, once; None while there is none. Never waits."""
        if self._thread is None or self._outcome is None:
            return None
        outcome, self._outcome, self._thread = self._outcome, None, None
        return outcome

    def give_up(self) -> None:
        """Try no further: an answer that is under way is still waited for, it may be paid for."""
        self._unwanted.set()

    def close(self) -> None:
        """Give up a question that is open and end the thread, within moments."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self, path: Path, data: bytes) -> None:
        give_up_s = time.monotonic() + self._deadline_s
        outcome: Answered | AuthorFailed = AuthorFailed("unreachable", "the question was lost")
        try:
            outcome = Answered(path, self._persist(path, data, give_up_s))
            self.banner = ""
        except _Failed as failure:
            if failure.kind != "unreachable":
                self.banner = ""
            outcome = AuthorFailed(failure.kind, str(failure))
        finally:
            # Whatever happened: nobody waits for a thread that has ended.
            self._outcome = outcome

    def _persist(self, path: Path, data: bytes, give_up_s: float) -> Answer:
        """Try until there is an answer, none can come, or time is up."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                return self._try(path, data, give_up_s)
            except _Unanswered as error:
                reason = str(error)
            problem = f"reward-gen does not answer: {reason}"
            left_s = give_up_s - time.monotonic()
            if left_s <= backoff_s or self._unwanted.is_set():
                self.banner = problem
                remedy = f"Is it running at {self._url}?"
                raise _Failed("unreachable", f"{problem}; given up. {remedy}")
            self.banner = f"{problem}; trying again"
            self._pause(backoff_s)
            if self._unwanted.is_set():
                raise _Failed("unreachable", problem)
            backoff_s = min(2 * backoff_s, MAX_BACKOFF_S)

    def _try(self, path: Path, data: bytes, give_up_s: float) -> Answer:
        connect_s = min(CONNECT_TIMEOUT_S, max(LOOK_UP_S, give_up_s - time.monotonic()))
        make = HTTPSConnection if self._secure else HTTPConnection
        connection = make(self._host, self._port, timeout=connect_s)
        try:
            connection.request("POST", path, data, self._headers)
            until_s = min(give_up_s, time.monotonic() + ANSWER_TIMEOUT_S)
            reader = _Reader(connection.sock, self._closing, until_s)
            # HTTPResponse takes from a socket nothing but this way to read it.
            response = HTTPResponse(cast(socket, reader), method="POST")
            try:
                response.begin()
                body = _read_all(response)
            finally:
                response.close()
        except (OSError, HTTPException) as error:
            raise _Unanswered(_in_words(error)) from None
        finally:
            connection.close()
        return _judge(path, response.status, body)

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0.0:
            _end_if_over(self._closing)
            if self._unwanted.is_set():
                return
            self._closing.wait(min(left_s, LOOK_UP_S))
        _end_if_over(self._closing)


class _Reader(io.RawIOBase):
    """Reads a socket so that no wait outlasts the deadline or the one who waits."""

    def __init__(self, sock: socket, closing: threading.Event, give_up_s: float) -> None:
        self._sock, self._closing, self._give_up_s = sock, closing, give_up_s
        sock.settimeout(LOOK_UP_S)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what HTTPResponse reads."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            _end_if_over(self._closing)
            if time.monotonic() >= self._give_up_s:
                raise _Unanswered("no answer in time")
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                continue


def _end_if_over(closing: threading.Event) -> None:
    if closing.is_set():
        raise _Failed("unreachable", "the question was given up: the run ends")


def _read_all(response: HTTPResponse) -> bytes:
    # Without a length nobody can tell a whole answer from one that was cut, in its head even.
    if response.length is None and not response.chunked:
        raise _Unanswered("its answer was cut off")
    body = response.read(MAX_ANSWER_BYTES + 1)
    if len(body) > MAX_ANSWER_BYTES:
        limit = MAX_ANSWER_BYTES // 1024**2
        raise _Failed("invalid", f"reward-gen's answer is longer than {limit} MiB")
    # A read of so many bytes says nothing when fewer come than were announced.
    if response.length:
        raise _Unanswered("its answer was cut off")
    return body


def _judge(path: Path, status: int, body: bytes) -> Answer:
    if status == 429 or status >= 500:
        raise _Unanswered(f"HTTP {status}, {read_refusal(body)}")
    if status in (401, 403):
        raise _Failed(
            "denied",
            f"reward-gen wants a token: {read_refusal(body)}. Name it by --reward-gen-token-file.",
        )
    if 400 <= status < 500:
        kind: FailureKind = "refused" if status in ABOUT_THE_QUESTION else "denied"
        raise _Failed(kind, f"reward-gen refuses the question: {read_refusal(body)}")
    if status != 200:
        raise _Failed("invalid", f"reward-gen answers with HTTP {status}, which is no answer")
    try:
        return read_answer(path, body)
    except ValueError as error:
        raise _Failed("invalid", f"reward-gen's answer is not of its form: {error}") from None


def _in_words(error: OSError | HTTPException) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    if isinstance(error, BadStatusLine) and not isinstance(error, ConnectionError):
        return "what it says is not HTTP"
    return "its answer was cut off"


def _parse(url: str) -> tuple[bool, str, int | None]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    usable = re.fullmatch(r"[A-Za-z0-9.:_-]+", host) and not parts.path.strip("/")
    if parts.scheme not in ("http", "https") or not usable:
        raise UserError(
            f"--reward-gen {url} is no address of a service", "As in http://127.0.0.1:8090."
        )
    return parts.scheme == "https", host, port
