"""Bearer tokens on HTTP: the one place where a request's right to ask is checked.

A token file has one token per line, after its role: `view TOKEN` may read, `control TOKEN` may
command too. Several tokens of a role are all good, so that one can be replaced by the next.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from websim.service.errors import UserError
from websim.service.files import check_secret

Role = Literal["view", "control"]

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What supervisors and Prometheus ask for; it needs no token."""

READING_METHODS = frozenset({"GET", "HEAD"})
"""What a view token may do."""

MIN_TOKEN_CHARS = 32
"""A shorter token could be guessed."""


@dataclass(frozen=True)
class Tokens:
    """The tokens that are good, as SHA-256 digests, with their roles."""

    roles: tuple[tuple[bytes, Role], ...] = field(repr=False)

    def role_of(self, token: str) -> Role | None:
        """Return a token's role; None when it is not good. Takes the same time for any token."""
        digest = hashlib.sha256(token.encode()).digest()
        found: Role | None = None
        for known, role in self.roles:
            if hmac.compare_digest(known, digest):
                found = role
        return found


def load_tokens(path: Path) -> Tokens:
    """Read a token file, to tell who may ask.

    Raises:
        UserError: It is missing, not kept secret, or not a token file; says what to do.
    """
    digests = [(hashlib.sha256(token.encode()).digest(), role) for role, token in _read(path)]
    return Tokens(tuple(digests))


def load_token(path: Path) -> str:
    """Read a token file, to ask: return its first control token, else its first view token.

    Raises:
        UserError: It is missing, not kept secret, or not a token file; says what to do.
    """
    roles = _read(path)
    return next((token for role, token in roles if role == "control"), roles[0][1])


def _read(path: Path) -> list[tuple[Role, str]]:
    """Return the roles and tokens of a file, at least one."""
    check_secret(path)
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path} cannot be read as a token file") from None
    roles: list[tuple[Role, str]] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        roles.append(_parse(words, f"{path}, line {number}"))
    if not roles:
        raise UserError(f"{path} holds no token", "`websim keys` makes token files.")
    return roles


def _parse(words: list[str], where: str) -> tuple[Role, str]:
    if len(words) == 2:
        for role in get_args(Role):
            if words[0] == role and len(words[1]) >= MIN_TOKEN_CHARS:
                return role, words[1]
    # The line itself is not shown: it may hold a token.
    raise UserError(
        f"{where} is not `view TOKEN` or `control TOKEN`",
        f"A token is one word of at least {MIN_TOKEN_CHARS} characters.",
    )


class TokenCheck:
    """ASGI middleware that lets only requests with a good token through."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 without a good token, 403 to a view token that would command.

        A websocket, which has no method, could carry commands.
        """
        if scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        role = self._tokens.role_of(token.strip()) if scheme.lower() == "bearer" else None
        if role is None:
            detail = "bring a token: the header `Authorization: Bearer TOKEN`"
            refusal = JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})
        elif role == "view" and scope.get("method") not in READING_METHODS:
            detail = "this token may view, and commands take a control token"
            refusal = JSONResponse({"detail": detail}, 403)
        else:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refusal(scope, receive, send)
