"""The HTTP side of a service: health, metrics and control, in a thread beside the main loop.

On loopback a request whose Host header names anything else is refused (DNS rebinding), and nothing
else is asked for unless there are tokens. Listening elsewhere takes tokens (see tokens.py).
"""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.types import ASGIApp, Lifespan

from websim.service.errors import UserError
from websim.service.hosts import is_loopback
from websim.service.tokens import TokenCheck, Tokens, load_tokens

MAX_BODY_BYTES = 1024 * 1024
"""Requests carry commands, never bulk data."""

MAX_WEBSOCKET_BYTES = 64 * 1024
"""What a browser says on a WebSocket is small."""

MAX_PROBLEMS = 8
"""What is told of a body that does not fit, at most."""

ALIVE_WITHIN_S = 5.0
"""A main loop that has not turned for this long is not alive."""

START_DEADLINE_S = 10.0
"""How long the server may take until it answers."""

STOP_DEADLINE_S = 2
"""How long open requests may take to end when the server stops (whole seconds)."""

LOOPBACK_NAMES = ["127.0.0.1", "localhost", "::1", "[::1]"]


class Pulse:
    """Tells whether a loop still turns: the loop beats, `/healthz` asks."""

    def __init__(self, within_s: float = ALIVE_WITHIN_S) -> None:
        self._within_s = within_s
        self._last_s = time.monotonic()

    def beat(self) -> None:
        """Note that the loop has turned."""
        self._last_s = time.monotonic()

    def alive(self) -> bool:
        """Return whether the last beat is recent."""
        return time.monotonic() - self._last_s <= self._within_s


class HttpServer:
    """A running HTTP server."""

    def __init__(self, url: str, server: uvicorn.Server, thread: threading.Thread) -> None:
        self.url = url
        """Where it answers, as in `http://127.0.0.1:8092`."""
        self._server = server
        self._thread = thread

    def stop(self) -> None:
        """Stop answering; waits a little for open requests. Does nothing when called again."""
        self._server.should_exit = True
        self._thread.join(STOP_DEADLINE_S + 1.0)


def make_app(title: str, version: str, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application a service adds its routes to.

    No telemetry leaves it, bodies are bounded, and there is no documentation page (it would load
    scripts from elsewhere); `/openapi.json` is served. Who may ask is decided by `serve_http`.
    What is in the lifespan's context runs in the server's loop, from its start to its stop.
    """
    app = FastAPI(
        title=title,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},
        max_body_size=MAX_BODY_BYTES,
    )
    app.add_exception_handler(RequestValidationError, _refuse)
    return app


def _refuse(_: Request, error: Exception) -> Response:
    """Say what does not fit, without the input: it may hold what JSON cannot carry back."""
    problems = error.errors() if isinstance(error, RequestValidationError) else ()
    detail = [
        {"loc": list(each["loc"]), "msg": each["msg"], "type": each["type"]}
        for each in problems[:MAX_PROBLEMS]
    ]
    return JSONResponse({"detail": detail}, 422)


def add_health(
    app: FastAPI,
    *,
    alive: Callable[[], bool],
    ready: Callable[[], str | None],
    registry: CollectorRegistry,
) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`.

    Args:
        app: The service's application.
        alive: Whether the main loop turns (see `Pulse`).
        ready: Why the service cannot do its work just now; None when it can.
        registry: What `/metrics` reports (see `websim.service.metrics.make_registry`).
    """

    @app.get("/healthz", tags=["health"])
    def healthz() -> Response:
        """Answer 200 while the main loop turns, 503 when it does not."""
        if alive():
            return Response("ok\n", media_type="text/plain")
        return Response("the main loop does not turn\n", 503, media_type="text/plain")

    @app.get("/readyz", tags=["health"])
    def readyz() -> Response:
        """Answer 200 when the service can do its work, otherwise 503 and the reason."""
        reason = ready()
        if reason is None:
            return Response("ready\n", media_type="text/plain")
        return Response(f"{reason}\n", 503, media_type="text/plain")

    @app.get("/metrics", tags=["health"])
    def metrics() -> Response:
        """Answer the metrics of docs/metrics.md in Prometheus's text format."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def serve_http(
    app: FastAPI,
    host: str,
    port: int,
    token_file: Path | None = None,
    check: Callable[[ASGIApp, Tokens], ASGIApp] = TokenCheck,
    guard: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> HttpServer:
    """Serve an application from a daemon thread.

    Args:
        app: What to serve (see `make_app`).
        host: Address to listen on; beyond loopback it takes tokens.
        port: Port to listen on; 0 takes a free one.
        token_file: Tokens that requests must bring, but for health and metrics; None asks for none.
        check: Middleware that lets those in who bring one.
        guard: Middleware around all other: no answer goes out but through it.

    Raises:
        UserError: The address takes tokens, cannot be used, or is taken; or the tokens cannot be
            read.
    """
    _restrict(app, host, token_file, check)
    listener = _listen(host, port)
    bound_port = listener.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(
            guard(app),
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_DEADLINE_S,
            ws_max_size=MAX_WEBSOCKET_BYTES,
            # Pictures hardly shrink, and every viewer would pay for it.
            ws_per_message_deflate=False,
        )
    )

    def serve() -> None:
        # uvicorn leaves signals alone outside the main thread.
        with listener:
            server.run(sockets=[listener])

    thread = threading.Thread(target=serve, name="http", daemon=True)
    thread.start()
    give_up_s = time.monotonic() + START_DEADLINE_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > give_up_s:
            raise RuntimeError(f"the HTTP server of {app.title} did not start")
        time.sleep(0.005)
    shown = f"[{host}]" if ":" in host else host
    return HttpServer(f"http://{shown}:{bound_port}", server, thread)


def _restrict(
    app: FastAPI, host: str, token_file: Path | None, check: Callable[[ASGIApp, Tokens], ASGIApp]
) -> None:
    """Have an application serve only those who may ask."""
    if token_file is not None:
        tokens = load_tokens(token_file)
        app.add_middleware(lambda inner: check(inner, tokens))
    elif not is_loopback(host):
        raise UserError(
            f"--http-host {host} is not a loopback address, so anybody could command this service",
            "Add --token-file FILE (`websim keys DIR` makes one), or use 127.0.0.1.",
        )
    if is_loopback(host):
        # Elsewhere names are many, and a page that rebinds one of them has no token.
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=list(LOOPBACK_NAMES), www_redirect=False
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named: with it, an answer's
    # body waits up to 40 ms for the asker's delayed acknowledgement of its head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}",
            "Stop what uses it, or choose another port with --http-port (0 takes a free one).",
        ) from None
    return listener
