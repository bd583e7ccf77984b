"""Sockets with the options of docs/protocol.md. A socket belongs to the thread that made it."""

from collections.abc import Sequence
from typing import Any

import zmq

from websim.wire.codec import MAX_ARRAYS, MAX_MESSAGE_BYTES

QUEUE_MESSAGES = 4096
"""Bound of the messages queued for one peer: a replay of all shards of a worker fits."""

MAX_FRAMES = MAX_ARRAYS + 3
"""Frames of a message that are kept: identity, header, arrays, and one by which too many show."""


def make_socket(context: "zmq.Context[Any]", kind: int) -> "zmq.Socket[bytes]":
    """Make a socket that never blocks a shutdown and notices dead peers.

    Args:
        context: shared by the process' threads.
        kind: zmq.ROUTER, zmq.DEALER or zmq.SUB.
    """
    socket: zmq.Socket[bytes] = context.socket(kind)
    set_bounds(socket)
    socket.set(zmq.SNDHWM, QUEUE_MESSAGES)
    socket.set(zmq.RCVHWM, QUEUE_MESSAGES)
    if kind != zmq.SUB:  # telemetry.py says why not
        socket.set(zmq.HEARTBEAT_IVL, 1000)
        socket.set(zmq.HEARTBEAT_TIMEOUT, 3000)
        socket.set(zmq.HEARTBEAT_TTL, 3000)
    if kind == zmq.ROUTER:
        # An unreachable peer is an error to act on, not a silent loss.
        socket.set(zmq.ROUTER_MANDATORY, 1)
        # A peer whose connection was cut may be back before the end of the old one is noticed: by
        # default its new connection would be taken for a stranger's and never be heard.
        socket.set(zmq.ROUTER_HANDOVER, 1)
    else:
        socket.set(zmq.RECONNECT_IVL, 50)
        socket.set(zmq.RECONNECT_IVL_MAX, 250)
        socket.set(zmq.CONNECT_TIMEOUT, 3000)
    if kind == zmq.DEALER:
        # Nothing queues for an endpoint that is not there.
        socket.set(zmq.IMMEDIATE, 1)
    return socket


def set_bounds(socket: "zmq.Socket[bytes]") -> None:
    """Bound a socket's messages and its waits; it never blocks a shutdown."""
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.set(zmq.HANDSHAKE_IVL, 5000)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 30)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 10)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)


# Plain ints: combining pyzmq's enums costs more than the call they are for.
_NOBLOCK = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)


def receive(socket: "zmq.Socket[bytes]") -> list[zmq.Frame] | None:
    """Take one message without copying it; None when there is none.

    Frames beyond MAX_FRAMES are dropped: no decoder accepts so many.
    """
    events = socket.getsockopt(_EVENTS)
    if not (isinstance(events, int) and events & _POLLIN):
        return None
    frame = socket.recv(_NOBLOCK, copy=False)
    frames = [frame]
    while frame.more:
        frame = socket.recv(_NOBLOCK, copy=False)
        if len(frames) < MAX_FRAMES:
            frames.append(frame)
    return frames


def send(socket: "zmq.Socket[bytes]", frames: Sequence[Any], *, copy: bool = True) -> None:
    """Send one message without waiting.

    Args:
        socket: where to.
        frames: bytes, arrays or received frames.
        copy: False passes received frames on as they are; nothing may write to them.

    Raises:
        zmq.Again: the queue is full, or a DEALER is not connected.
        zmq.ZMQError: with errno EHOSTUNREACH, a ROUTER's peer is gone.
    """
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        socket.send(frame, _NOBLOCK if index == last else _MORE, copy=copy)
