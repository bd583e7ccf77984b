"""A Messages API on loopback: a real HTTP server that answers as scripted and keeps its own books.

Each step says what the next request gets. `billed` is what a step costs by the server's account,
whether or not the client ever learns of it.
"""

import itertools
import json
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {
    "input_tokens": 1200,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 2500,
    "output_tokens": 900,
}


@dataclass(frozen=True)
class Step:
    """What one request gets."""

    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    behaviour: str = "answer"
    """answer, hang (no byte ever), drop (close at once), or cut (half of the body)."""
    usage: dict = field(default_factory=dict)
    """What it bills."""
    told: bool = True
    """Whether the client can know of it."""
    after_s: float = 0.0
    """How long it is thought about first."""


def message(text, *, stop_reason="end_turn", usage=USAGE, content=None, **more):
    """A step that answers with a message, thinking first, as the API does."""
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    blocks += [{"type": "text", "text": text}] if text else []
    body = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": blocks if content is None else content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
        **more,
    }
    return Step(200, json.dumps(body).encode(), {"content-type": "application/json"}, usage=usage)


def error(status, kind="api_error", text="no", **headers):
    """A step that answers with one of the API's errors."""
    body = {"type": "error", "error": {"type": kind, "message": text}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Step(status, json.dumps(body).encode(), {"content-type": "application/json", **named})


def html(status=200):
    """A step that answers with a page, as a captive portal or a gateway does."""
    page = b"<html><body>sign in</body></html>"
    return Step(status, page, {"content-type": "text/html"}, usage=USAGE, told=False)


def hang():
    return Step(behaviour="hang", usage=USAGE, told=False)


def drop():
    return Step(behaviour="drop", usage=USAGE, told=False)


def cut(text="half of it"):
    whole = message(text)
    return Step(200, whole.body, whole.headers, "cut", USAGE, told=False)


def faults(retry_after_s):
    """A step of each kind that is no answer, by name."""
    return {
        "rate": error(429, "rate_limit_error", retry_after=str(retry_after_s)),
        "overload": error(529, "overloaded_error"),
        "server_error": error(500),
        "page": html(),
        "hang": hang(),
        "cut_stream": cut(),
        "truncated": message('{"diagn', stop_reason="max_tokens"),
        "refused": message("", stop_reason="refusal", content=[]),
        "broken": message('{"diagnosis": 1}'),
    }


def with_faults(answer, num_steps, *, share=0.2, seed=0, retry_after_s=0.01):
    """Steps that answer but for a share of them, where kinds of faults take turns, shuffled."""
    kinds = itertools.cycle(faults(retry_after_s).values())
    num_faults = round(share * num_steps)
    steps = [answer] * (num_steps - num_faults) + list(itertools.islice(kinds, num_faults))
    random.Random(seed).shuffle(steps)
    return steps


class FakeMessagesApi:
    """The server; `requests` are the bodies it got, `keys` the authorisations."""

    def __init__(self):
        self.script = deque()
        self.requests = []
        self.keys = []
        self.billed = []
        self._over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def then(self, *steps):
        self.script.extend(steps)
        return self

    def tokens(self, *, told=True):
        """Input (cached included) and output tokens billed; with told, those the client knows."""
        usages = [step.usage for step in self.billed if step.told or not told]
        inputs = sum(n for usage in usages for k, n in usage.items() if k != "output_tokens")
        return inputs, sum(usage.get("output_tokens", 0) for usage in usages)

    def close(self):
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(api):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            assert self.path == "/v1/messages", self.path
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            api.requests.append(body)
            api.keys.append(self.headers.get("authorization", ""))
            step = api.script.popleft() if api.script else error(500, text="script is over")
            api.billed.append(step)
            api._over.wait(step.after_s)
            if step.behaviour == "hang":
                api._over.wait(30)
                self.close_connection = True
                return
            if step.behaviour == "drop":
                self.close_connection = True
                return
            self.send_response(step.status)
            for name, value in step.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(step.body)))
            self.end_headers()
            half = step.behaviour == "cut"
            self.wfile.write(step.body[: len(step.body) // 2] if half else step.body)
            self.close_connection = half

        def log_message(self, *_):
            pass

    return Handler
