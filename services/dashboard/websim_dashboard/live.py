"""The WebSocket: what a page says, and the tasks that serve it."""

import asyncio
import contextlib
from collections.abc import Coroutine

from fastapi import FastAPI, WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.websockets import WebSocketDisconnect

from websim.service.logs import get_logger
from websim_dashboard.access import POLICY_VIOLATION, role_of, session_of
from websim_dashboard.broadcast import Broadcast
from websim_dashboard.hub import Hub
from websim_dashboard.messages import Ack, ClientMessage, ErrorMessage, Subscribe
from websim_dashboard.sessions import Sessions
from websim_dashboard.viewer import TooSlow, Viewer

log = get_logger(__name__)

MAX_ERRORS = 20
"""Messages of one page that may be wrong before it is cut off."""

TRY_AGAIN_LATER = 1013
"""Close code of a WebSocket that is welcome another time."""

_client_message: TypeAdapter[Subscribe | Ack] = TypeAdapter(ClientMessage)


def add_live_route(app: FastAPI, hub: Hub, broadcast: Broadcast, sessions: Sessions) -> None:
    """Add the WebSocket /api/v1/live."""

    @app.websocket("/api/v1/live")
    async def live(socket: WebSocket) -> None:
        role = role_of(socket)
        if role is None:
            await socket.close(POLICY_VIOLATION, "a token is needed: log in with one")
            return
        await socket.accept()
        if hub.full:
            # A page is told why only what ends a connection that it had.
            await _close(socket, TRY_AGAIN_LATER, "too many pages are open")
            return
        viewer = hub.join(role)
        try:
            await broadcast.welcome(viewer)
            await _serve(socket, viewer, sessions.over(session_of(socket)))
            await _close(socket, POLICY_VIOLATION, "the session is over: log in again")
        except TooSlow:
            await _close(socket, TRY_AGAIN_LATER, "this page does not keep up: connect again")
        except _NotUnderstood:
            await _close(socket, POLICY_VIOLATION, "too many messages were not understood")
        except TimeoutError:
            await _close(socket, TRY_AGAIN_LATER, "this page takes nothing")
        except WebSocketDisconnect:
            pass
        finally:
            hub.leave(viewer)


class _NotUnderstood(Exception):
    """The page keeps saying what is no message."""


async def _serve(socket: WebSocket, viewer: Viewer, over: Coroutine[None, None, None]) -> None:
    """Send and listen until one of both fails; return when the session is over."""
    work = (viewer.send(socket), _listen(socket, viewer), over)
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(socket: WebSocket, viewer: Viewer) -> None:
    errors = 0
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        try:
            said = _client_message.validate_json(message.get("text") or message.get("bytes") or b"")
        except ValidationError as error:
            errors += 1
            if errors > MAX_ERRORS:
                raise _NotUnderstood from None
            viewer.say(ErrorMessage(message=_describe(error)).model_dump_json())
            continue
        if isinstance(said, Ack):
            viewer.ack(said.seq)
        else:
            viewer.subscribe(said)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code, reason)


def _describe(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]
