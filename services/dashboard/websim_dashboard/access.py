"""Who may do what: tokens and cookies, the Origin of requests, and what a page may load.

Without a token file everybody who reaches the service may command: it then listens on loopback
only, where Origin and Host keep other sites' pages out. With one, a page exchanges a token for a
cookie, since browsers cannot put a token on a WebSocket.
"""

import hashlib
import hmac
import time
from typing import Literal
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from websim.service.tokens import READING_METHODS, Role, Tokens

COOKIE = "websim_session"
"""Begins a cookie's name; the port ends it, since browsers keep one set for all ports of a host."""

SESSION_S = 7 * 86_400
"""How long a cookie is good."""

API = "/api/"

LOGIN_PATHS = frozenset({"/api/v1/login", "/api/v1/logout", "/api/v1/access"})
"""What can be asked without a token."""

POLICY_VIOLATION = 1008
"""Close code of a WebSocket that is refused, or cut off for what it says."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer."""

ROLE = "websim.role"
"""Where a request carries what its sender may do."""

SESSION = "websim.session"
"""Where it carries the cookie that let it in; empty for a token."""


def role_of(connection: HTTPConnection) -> Role | None:
    """Return what the sender of a request may do; None: a token is needed first."""
    role: Role | None = connection.scope.get(ROLE, "control")
    return role


def session_of(connection: HTTPConnection) -> str:
    """Return the cookie that let a request in; empty where none was needed."""
    cookie: str = connection.scope.get(SESSION, "")
    return cookie


def is_encrypted(connection: HTTPConnection) -> bool:
    """Return whether the browser asks by TLS, also where a proxy ends it.

    The Origin of a command is the page's own by then: `Guard` has seen to it.
    """
    origin = connection.headers.get("origin", "")
    return connection.url.scheme == "https" or origin.startswith("https://")


def cookie_name(connection: HTTPConnection) -> str:
    """Return the name of the cookie for the port at which the page is asked for."""
    try:
        port = urlsplit(f"//{connection.headers.get('host', '')}").port
    except ValueError:
        # The Host is no host; no page of ours is asked for by it.
        port = None
    return COOKIE if port is None else f"{COOKIE}_{port}"


def make_cookie(token: str, now_s: float) -> str:
    """Return a cookie's value for a good token: when it ends, and a proof made with the token.

    It holds no secret, and outlives a restart of the service but not its token.
    """
    expires = str(int(now_s) + SESSION_S)
    return f"{expires}.{_proof(hashlib.sha256(token.encode()).digest(), expires)}"


def cookie_role(tokens: Tokens, cookie: str, now_s: float) -> Role | None:
    """Return the role of the token that a cookie was made with; None when it is not good."""
    expires, _, proof = cookie.partition(".")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 16):
        return None
    found: Role | None = None
    for digest, role in tokens.roles:
        if hmac.compare_digest(_proof(digest, expires).encode(), proof.encode()):
            found = role
    return found if now_s < int(expires) else None


def ends_unix_s(cookie: str) -> float:
    """Return when a good cookie's time is over."""
    return float(cookie.partition(".")[0])


def _proof(digest: bytes, expires: str) -> str:
    return hmac.new(digest, f"websim-dashboard {expires}".encode(), "sha256").hexdigest()


def is_own_origin(headers: Headers) -> bool:
    """Return whether a request comes from a page of this service, or from no page at all."""
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc == headers.get("host")


class SessionCheck:
    """ASGI middleware that lets in who brings a good token or cookie."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 without a good one where it is needed, 403 to a viewer that would command.

        The page itself is for everybody: it asks for the token. So are health and metrics. A
        WebSocket carries no commands.
        """
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        role, cookie = self._let_in(HTTPConnection(scope))
        scope[ROLE], scope[SESSION] = role, cookie
        scope["websim.tokens"] = self._tokens
        path: str = scope["path"]
        is_open = path in LOGIN_PATHS or not (path.startswith(API) or path == "/openapi.json")
        reads = scope["type"] == "websocket" or scope["method"] in READING_METHODS
        if role is None and not is_open:
            await refuse(scope, receive, send, 401, "a token is needed: log in with one")
        elif role == "view" and not (reads or path in LOGIN_PATHS):
            detail = "this token may view, and commands take a control token"
            await refuse(scope, receive, send, 403, detail)
        else:
            await self._app(scope, receive, send)

    def _let_in(self, connection: HTTPConnection) -> tuple[Role | None, str]:
        """Return the role of a request, and the cookie that gives it."""
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._tokens.role_of(token.strip()), ""
        cookie = connection.cookies.get(cookie_name(connection), "")
        role = cookie_role(self._tokens, cookie, time.time())
        return role, "" if role is None else cookie


class Guard:
    """ASGI middleware around all others: Origin on the way in, headers on the way out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 to commands and WebSockets from pages of other sites."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        reads = scope["type"] == "http" and scope["method"] in READING_METHODS
        if not reads and not is_own_origin(Headers(scope=scope)):
            detail = "pages of other sites may not command this service"
            await refuse(scope, receive, send_with_headers, 403, detail)
        else:
            await self._app(scope, receive, send_with_headers)


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: Literal[401, 403], detail: str
) -> None:
    """Answer that somebody may not."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": detail})
    else:
        await JSONResponse({"detail": detail}, status)(scope, receive, send)
