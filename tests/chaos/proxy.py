"""A TCP proxy that does to connections what bad networks do.

It runs in a thread of its own. What is carried is never changed: TCP delivers bytes in order or
breaks the connection, and so does this.
"""

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType

READ_BYTES = 65536

QUEUED_CHUNKS = 64
"""Bound of what one direction of a connection holds back; TCP tells the sender to wait."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER on, for 0 s: closing sends RST instead of FIN."""


@dataclass(frozen=True)
class Toxics:
    """What is done to everything that passes, in either direction."""

    latency_s: float = 0.0
    """Delay of every chunk."""
    jitter_s: float = 0.0
    """Up to this much more, drawn chunk by chunk; the order stays."""
    bytes_per_s: float = 0.0
    """Bandwidth of a direction of a connection; 0 is unlimited."""
    slice_bytes: int = 0
    """Pass on in pieces of this size at most; 0 leaves chunks whole."""
    reset_chance: float = 0.0
    """Chance, chunk by chunk, that the connection is reset instead."""


class Proxy:
    """Forwards TCP connections to a target on this machine; a context manager.

    Attributes:
        address: Where to connect instead, as in `tcp://127.0.0.1:40000`.
        toxics: What is done to what passes; may be replaced at any time.
    """

    def __init__(self, target: str, seed: int = 0, toxics: Toxics | None = None) -> None:
        """Listen on a free port.

        Args:
            target: tcp://HOST:PORT.
            seed: Keys jitter and resets.
            toxics: Nothing bad when not given.
        """
        host, port = target.removeprefix("tcp://").split(":")
        self._target = (host, int(port))
        self.toxics = toxics or Toxics()
        self._random = random.Random(seed)
        self._links: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._light = asyncio.Event()
        self._light.set()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset all connections, with what they carry; new ones are welcome."""
        self._loop.call_soon_threadsafe(self._cut)

    def darken(self, seconds: float) -> None:
        """Be a black hole for a while: nothing passes, no connection is refused or closed.

        What was held back is passed on afterwards, as when packets are sent again.
        """
        self._loop.call_soon_threadsafe(self._darken, seconds)

    def close(self) -> None:
        """End all connections and stop listening."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- in the proxy's thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._closing.wait()
        server.close()
        self._light.set()
        self._cut()
        # A link that was being made ends by itself, too: it looks whether this is over.
        await asyncio.gather(*self._handlers)
        await server.wait_closed()

    def _darken(self, seconds: float) -> None:
        self._light.clear()
        self._loop.call_later(seconds, self._light.set)

    def _cut(self) -> None:
        for link in self._links:
            for writer in link:
                _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            await self._link(reader, writer)
        except* OSError:
            pass
        finally:
            _reset(writer)
            self._handlers.discard(task)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection with one to the target until either ends."""
        await self._light.wait()
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        link = (writer, far_writer)
        self._links.add(link)
        try:
            if self._closing.is_set():
                return
            for side in link:
                raw = side.get_extra_info("socket")
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.TaskGroup() as group:
                for source, sink in ((reader, far_writer), (far_reader, writer)):
                    held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUED_CHUNKS)
                    group.create_task(self._take(source, held))
                    group.create_task(self._pass_on(held, sink))
        finally:
            self._links.discard(link)
            for side in link:
                _reset(side)

    async def _take(
        self, source: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        """Read chunks and say when each is due; the last is empty."""
        data = b" "
        while data:
            data = await source.read(READ_BYTES)
            toxics = self.toxics
            delay_s = toxics.latency_s + self._random.uniform(0.0, toxics.jitter_s)
            await held.put((self._loop.time() + delay_s, data))

    async def _pass_on(
        self, held: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter
    ) -> None:
        while True:
            due_s, data = await held.get()
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            await self._light.wait()
            toxics = self.toxics
            if not data or self._random.random() < toxics.reset_chance:
                raise ConnectionResetError
            size = toxics.slice_bytes or len(data)
            for start in range(0, len(data), size):
                piece = data[start : start + size]
                if toxics.bytes_per_s:
                    await asyncio.sleep(len(piece) / toxics.bytes_per_s)
                sink.write(piece)
                await sink.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once, with RST: what it carried is lost."""
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE
        )
    writer.transport.abort()
