"""HTTP to the services behind: learner, orchestrator and reward-gen."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx2

TIMEOUT_S = 5.0
"""How long an answer to a question may take."""

COMMAND_TIMEOUT_S = 75.0
"""How long a command may take: the learner applies it when the present update ends, and says after
a minute that it still waits."""

CONNECTIONS = 16
"""To one service at the same time; more requests wait for their turn."""


class Unreachable(Exception):
    """A service does not answer; the text says why, for people."""


class Answer:
    """What a service answered, as it came."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body


class Upstream:
    """One service behind. Belongs to the loop that uses it first."""

    def __init__(self, name: str, url: str, token: str = "") -> None:
        """Prepare to ask; nothing is asked yet.

        Args:
            name: as in "learner".
            url: its HTTP.
            token: bearer token, where it wants one.
        """
        self.name = name
        self.url = url
        self.outcomes: Counter[str] = Counter()
        """Requests by how they ended: answered, refused, unreachable."""
        self._client = httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=TIMEOUT_S,
            limits=httpx2.Limits(max_connections=CONNECTIONS),
            # A proxy from the environment has no business between services.
            trust_env=False,
        )

    async def ask(
        self, method: str, path: str, body: bytes | None = None, timeout_s: float | None = None
    ) -> Answer:
        """Return whatever it answers.

        Args:
            method: GET or POST.
            path: what is asked.
            body: JSON, if any.
            timeout_s: how long the answer may take; None: as its method usually may.

        Raises:
            Unreachable: it does not.
        """
        if timeout_s is None:
            timeout_s = COMMAND_TIMEOUT_S if method == "POST" else TIMEOUT_S
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = await self._client.request(
                method, path, content=body, headers=headers, timeout=timeout_s
            )
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            self.outcomes["unreachable"] += 1
            raise Unreachable(f"the {self.name} at {self.url} {_reason(error)}") from None
        self.outcomes["answered" if response.is_success else "refused"] += 1
        return Answer(response.status_code, response.content)

    async def get(self, path: str) -> Any:  # noqa: ANN401 (whatever JSON it answers)
        """Return what it answers to a question.

        Raises:
            Unreachable: it does not answer, or refuses to.
        """
        answer = await self.ask("GET", path)
        if answer.status != httpx2.codes.OK:
            if answer.status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
                raise Unreachable(
                    f"the {self.name} at {self.url} wants another token: see --upstream-token-file"
                )
            raise Unreachable(f"the {self.name} refuses {path}: {_text(answer.body)}")
        return httpx2.Response(200, content=answer.body).json()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "does not answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "does not listen"
    return "broke off" if isinstance(error, httpx2.NetworkError | httpx2.ProtocolError) else "fails"


def _text(body: bytes) -> str:
    return body[:300].decode(errors="replace")


def outcomes(upstreams: Mapping[str, Upstream]) -> list[tuple[tuple[str, str], int]]:
    """Return the counts of all requests by service and outcome."""
    return [
        ((name, outcome), count)
        for name, upstream in upstreams.items()
        for outcome, count in list(upstream.outcomes.items())
    ]
