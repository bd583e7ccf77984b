"""One question to the Messages API: deadline, retries, budget, and every failure by its kind.

The SDK's own retries are off: each attempt is reserved in the ledger before it is sent and booked
before its answer is read. An attempt that ended without a word about its cost keeps its worst case.
"""

import asyncio
import functools
import json
import re
import time
from dataclasses import dataclass, replace
from typing import Any, cast

import anthropic
import httpx2
from pydantic import SecretStr

from websim_reward_gen.answers import Exchange, FailureKind, Usage, add_usage
from websim_reward_gen.ledger import Ledger, OverBudget, Reservation
from websim_reward_gen.prices import NANO_USD, Price
from websim_reward_gen.proposal import ProviderFailure
from websim_reward_gen.settings import RewardGenSettings

RETRIED: frozenset[FailureKind] = frozenset({"rate", "overload", "timeout", "network"})

BACKOFF_S = 0.5
"""First pause between attempts; it doubles."""

MAX_BACKOFF_S = 8.0

MIN_ATTEMPT_S = 5.0
"""An attempt with less time than this is not sent: it would be cut off, and paid for."""

OVERHEAD_TOKENS = 2000
"""More than what the API adds to a prompt of ours (roles, the schema's instructions)."""

MAX_TOKENS = 10**9
"""More than any attempt takes: a larger count is none."""

_COUNTS = (
    "input_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
)
"""Of the API's usage; those of the cache may be missing, and are 0 then."""

_KINDS: dict[int, FailureKind] = {
    400: "bad_request",
    401: "auth",
    402: "budget",
    403: "auth",
    408: "timeout",
    429: "rate",
    504: "timeout",
}


_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
"""JSON can escape them, but no text that is sent on can hold them."""


@dataclass(frozen=True)
class Question:
    """What is sent."""

    system: tuple[str, ...]
    """Blocks that stay the same from question to question; each is a cached prefix."""
    user: str
    schema: dict[str, Any]
    """JSON Schema of the answer."""


@dataclass(frozen=True)
class Reply:
    """What came back."""

    text: str
    stop_reason: str
    message_id: str
    usage: Usage


@dataclass(frozen=True)
class _Failed:
    """An attempt that failed."""

    kind: FailureKind
    message: str
    billed: bool
    """Whether it may have cost something that nobody told."""
    retry_after_s: float | None = None
    text: str = ""
    """Of an answer that is of no use."""
    stop_reason: str = ""
    """Why that ended; empty where there was no answer."""


class ClaudeClient:
    """Asks one model, within its budget."""

    def __init__(
        self, settings: RewardGenSettings, key: SecretStr, price: Price, ledger: Ledger
    ) -> None:
        """Set up the connection; nothing is sent."""
        self.model = settings.model
        self._settings = settings
        self._key = key
        self._price = price
        self._ledger = ledger

    async def ask(self, run: str, question: Question, since_s: float) -> Reply:
        """Return the reply to a question.

        Args:
            run: whose budget it counts against.
            question: what to send.
            since_s: from when the deadline counts, on the clock of time.monotonic.

        Raises:
            ProviderFailure: there is none; says of which kind.
        """
        deadline_s = self._settings.deadline_s
        give_up_s = since_s + deadline_s
        if give_up_s - time.monotonic() < MIN_ATTEMPT_S:
            message = f"not asked: the {deadline_s:g} s for the request are all but over"
            raise ProviderFailure("timeout", message)
        spent = Usage()
        pause_s = BACKOFF_S
        # A client per question: its connections end with the question, whatever becomes of it.
        async with self._connect() as connection:
            attempt = 0
            while True:
                attempt += 1
                outcome, usage = await self._attempt(connection, run, question, give_up_s, spent)
                spent = usage
                if isinstance(outcome, Reply):
                    return replace(outcome, usage=spent)
                wait_s = outcome.retry_after_s
                wait_s = pause_s if wait_s is None else wait_s
                pause_s = min(2.0 * pause_s, MAX_BACKOFF_S)
                left_s = give_up_s - time.monotonic() - wait_s
                last = attempt >= self._settings.max_attempts or left_s < MIN_ATTEMPT_S
                if outcome.kind not in RETRIED or last:
                    tail = f" (attempt {attempt})" if attempt > 1 else ""
                    message, reason = self._clean(outcome.message) + tail, outcome.stop_reason
                    said = (self.exchange(question, outcome.text, reason),) if reason else ()
                    raise ProviderFailure(outcome.kind, message, spent, said)
                await asyncio.sleep(wait_s)

    def exchange(self, question: Question, text: str, stop_reason: str) -> Exchange:
        """Return a question with its answer, for the log."""
        return Exchange(
            model=self.model,
            system="\n\n".join(question.system),
            prompt=question.user,
            response=text,
            stop_reason=stop_reason,
        )

    def _connect(self) -> anthropic.AsyncAnthropic:
        try:
            # Plain http is for loopback alone: a proxy would read the key. Through one, https is
            # a tunnel.
            client = anthropic.DefaultAsyncHttpxClient(mounts={"http://": None})
        except (ImportError, ValueError) as error:
            # Of an address that holds a password nothing is quoted.
            message = f"the proxy that the environment names cannot be used: {type(error).__name__}"
            raise ProviderFailure("network", message) from None
        return anthropic.AsyncAnthropic(
            api_key=self._key.get_secret_value(),
            base_url=self._settings.base_url,
            timeout=self._settings.attempt_timeout_s,
            max_retries=0,
            open_telemetry=False,
            http_client=client,
        )

    async def _attempt(
        self,
        connection: anthropic.AsyncAnthropic,
        run: str,
        question: Question,
        give_up_s: float,
        spent: Usage,
    ) -> tuple[Reply | _Failed, Usage]:
        """Send once; return what came of it, and what all attempts together cost."""
        reservation = self._reserve(run, question, spent)
        worst = Usage(attempts=1, usd=reservation.nano_usd / NANO_USD)
        left_s = give_up_s - time.monotonic()
        try:
            async with asyncio.timeout(min(left_s, self._settings.attempt_timeout_s)):
                response = await self._send(connection, question)
        except TimeoutError:
            failed = _Failed("timeout", "no answer within the time allowed", billed=True)
        except anthropic.AnthropicError as error:
            failed = _failure(error)
        except (httpx2.HTTPError, OSError) as error:
            failed = _Failed("network", f"the connection failed: {type(error).__name__}", True)
        except (ValueError, TypeError) as error:
            failed = _Failed("bad_request", f"not sent: {type(error).__name__}: {error}", False)
        else:
            return self._read(response, reservation, spent, worst)
        if failed.billed:
            return failed, add_usage(spent, worst)
        self._ledger.book(reservation, 0, 0, 0)
        return failed, add_usage(spent, Usage(attempts=1))

    async def _send(
        self, connection: anthropic.AsyncAnthropic, question: Question
    ) -> httpx2.Response:
        raw = await connection.messages.with_raw_response.create(
            model=self.model,
            max_tokens=self._settings.max_output_tokens,
            system=[
                {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
                for text in question.system
            ],
            messages=[{"role": "user", "content": question.user}],
            output_config={
                "effort": self._settings.effort,
                "format": {"type": "json_schema", "schema": question.schema},
            },
        )
        return raw.http_response

    def _reserve(self, run: str, question: Question, spent: Usage) -> Reservation:
        # No token is shorter than a byte.
        parts = (*question.system, question.user, json.dumps(question.schema))
        most_in = sum(len(part.encode()) for part in parts) + OVERHEAD_TOKENS
        most_out = self._settings.max_output_tokens
        worst = self._price.nano_usd(0, most_out, cache_write=most_in)
        try:
            return self._ledger.reserve(run, worst, most_in + most_out)
        except OverBudget as error:
            raise ProviderFailure("budget", str(error), spent) from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            message = f"not asked, since the ledger cannot be written: {reason}"
            raise ProviderFailure("budget", message, spent) from None

    def _read(
        self, response: httpx2.Response, reservation: Reservation, spent: Usage, worst: Usage
    ) -> tuple[Reply | _Failed, Usage]:
        """Book what a response says it cost, before anything else is made of it.

        One that does not say so in the API's own words keeps its worst case.
        """
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
        usage = body.get("usage") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(usage, dict):
            kind = response.headers.get("content-type", "of no type")[:60]
            message = f"the answer is no message of the API, but {kind}"
            return _Failed("invalid", message, billed=True), add_usage(spent, worst)
        counts = [_count(usage, name) for name in _COUNTS]
        if None in counts:
            spent = add_usage(spent, worst)
            return _judge(body, spent), spent
        fresh, read, written, output = (each or 0 for each in counts)
        cost = self._price.nano_usd(fresh, output, read, written)
        self._ledger.book(reservation, fresh + read + written, output, cost)
        cost_of_it = Usage(
            attempts=1,
            input_tokens=fresh + read + written,
            output_tokens=output,
            usd=cost / NANO_USD,
        )
        spent = add_usage(spent, cost_of_it)
        return _judge(body, spent), spent

    def _clean(self, message: str) -> str:
        """Return a message without the key, which a server may have echoed."""
        return message.replace(self._key.get_secret_value(), "[key]")


def _judge(body: dict[str, Any], spent: Usage) -> Reply | _Failed:
    """Return the text of a message, or why it has none: only a turn that ended is an answer."""
    reason, content = _text(body.get("stop_reason")), body.get("content")
    # Thinking may come first: blocks are told apart by type, never by place.
    texts = [
        block.get("text", "")
        for block in (content if isinstance(content, list) else [])
        if isinstance(block, dict) and block.get("type") == "text"
    ]
    text = _text("".join(each for each in texts if isinstance(each, str)))
    failed = functools.partial(_Failed, billed=False, text=text, stop_reason=reason)
    if reason == "refusal":
        details = body.get("stop_details")
        category = details.get("category") if isinstance(details, dict) else None
        return failed("refusal", f"the model declined (category {_text(category)})")
    if reason in ("max_tokens", "model_context_window_exceeded"):
        return failed("truncated", f"the answer is cut off ({reason})")
    if reason != "end_turn":
        return failed("truncated", f"the answer did not end (stop reason {reason})")
    if not text:
        return failed("invalid", "the answer holds no text")
    return Reply(text, reason, _text(body.get("id", ""))[:100], spent)


def _failure(error: anthropic.AnthropicError) -> _Failed:
    """Return the kind of an error of the SDK; its body is quoted only where it helps."""
    if isinstance(error, anthropic.APITimeoutError):
        return _Failed("timeout", "no answer within the time allowed", billed=True)
    if isinstance(error, anthropic.APIConnectionError):
        cause = error.__cause__
        unsent = isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout)
        return _Failed("network", f"the connection failed: {type(cause).__name__}", not unsent)
    if not isinstance(error, anthropic.APIStatusError):
        return _Failed("invalid", f"{type(error).__name__}", billed=True)
    status = error.status_code
    kind = _KINDS.get(status) or ("overload" if status >= 500 else "bad_request")
    described = _description(error.body)
    # The API does not bill errors; of what a gateway says in its place nothing is known.
    billed = status >= 500 and described is None
    text = f"status {status}"
    if described and kind == "bad_request":
        text = f"{text}: {described}"
    return _Failed(kind, text, billed, _retry_after_s(error.response.headers))


def _description(body: object) -> str | None:
    """Return the API's own description of an error; None for a body that is not the API's."""
    if not isinstance(body, dict):
        return None
    inner = cast(dict[str, object], body).get("error")
    if not isinstance(inner, dict):
        return None
    return _text(inner.get("message", ""))[:200]


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if 0.0 <= seconds < 86_400.0:
            return seconds
    return None


def _text(value: object) -> str:
    return _LONE_SURROGATES.sub("\ufffd", str(value))


def _count(usage: dict[str, Any], name: str) -> int | None:
    """Return a count of tokens; None where nobody can tell it."""
    value = usage.get(name)
    if value is None and name.startswith("cache_"):
        return 0
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS
    return value if is_count else None
