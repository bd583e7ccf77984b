"""The learner's HTTP, as seen by whoever started it: status, events, commands."""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from websim.service.errors import UserError

READ_TIMEOUT_S = 5.0
"""How long an answer to a question may take."""

COMMAND_TIMEOUT_S = 60.0
"""How long a command may take: it is applied when the present update ends."""


class LearnerUnreachableError(Exception):
    """The learner does not answer: it has ended, or is about to; ask its supervisor."""


class LearnerApi:
    """Questions and commands to a running learner."""

    def __init__(self, url: str, token: str = "") -> None:
        """Talk to the learner at an address, with a token where it wants one."""
        self.url = url
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str) -> Any:  # noqa: ANN401 (whatever JSON the learner answers)
        """Return what it answers to a question."""
        return self._request("GET", path, None, READ_TIMEOUT_S)

    def status(self) -> dict[str, Any]:
        """Return `GET /v1/run`: state, steps, speed, return and so on."""
        status: dict[str, Any] = self._request("GET", "/v1/run", None, READ_TIMEOUT_S)
        return status

    def events(self, after: int) -> list[dict[str, Any]]:
        """Return the records of the event stream whose number `n` is beyond `after`."""
        answer = self._request("GET", f"/v1/events?after={after}", None, READ_TIMEOUT_S)
        records: list[dict[str, Any]] = answer
        return records

    def command(self, kind: str, **values: object) -> dict[str, Any]:
        """Give a command; returns when it has taken effect, with the update at which it did."""
        body = {"kind": kind, **values}
        answer: dict[str, Any] = self._request("POST", "/v1/run/commands", body, COMMAND_TIMEOUT_S)
        return answer

    def _request(
        self, method: str, path: str, body: dict[str, object] | None, timeout_s: float
    ) -> Any:  # noqa: ANN401 (whatever JSON the learner answers)
        data = None if body is None else json.dumps(body).encode()
        try:
            request = urllib.request.Request(
                self.url + path, method=method, data=data, headers=self._headers
            )
            if request.type not in ("http", "https"):
                raise ValueError(request.type)
            with urllib.request.urlopen(request, timeout=timeout_s) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            raise UserError(f"the learner refuses: {_detail(text)}") from None
        except (OSError, http.client.HTTPException) as error:
            raise LearnerUnreachableError(str(error)) from None
        except ValueError:
            # No URL, as HOST:PORT alone is none, or what answers there is no learner.
            raise UserError(
                f"{self.url} is not a learner's address", "Write http://HOST:PORT."
            ) from None


def _detail(body: str) -> str:
    """Return the text of an error answer; of a body that does not fit, each field with its why."""
    try:
        detail = json.loads(body)["detail"]
        return detail if isinstance(detail, str) else "; ".join(map(_problem, detail))
    except (ValueError, KeyError, TypeError):
        return body[:300]


def _problem(problem: dict[str, Any]) -> str:
    """Put one of them as `difficulty: must be less than or equal to 1`."""
    # The body and the kind of command come first: whoever gave it knows both.
    where = problem["loc"][2:] or problem["loc"][-1:]
    message = problem["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    return f"{'.'.join(map(str, where))}: {message}"
