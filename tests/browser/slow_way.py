"""A slow line between a page and its service."""

import socket
import threading
import time

SLOW_BYTES_PER_S = 125_000
"""1 Mbit/s."""


class SlowWay:
    """A way to the service that takes so many bytes a second from it, and no more."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._lock = threading.Lock()
        self._free_s = 0.0

    def __enter__(self) -> str:
        threading.Thread(target=self._accept, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.socket()
                # Little is kept on the way, as on a real line.
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
                far.connect(self._target)
            except OSError:
                return
            self._open += [near, far]
            threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, slow: bool) -> None:
        try:
            while data := source.recv(4096):
                if slow:
                    self._take_time(len(data))
                target.sendall(data)
        except OSError:
            pass
        finally:
            for each in (source, target):
                each.close()

    def _take_time(self, num_bytes: int) -> None:
        with self._lock:
            self._free_s = max(self._free_s, time.monotonic()) + num_bytes / SLOW_BYTES_PER_S
            until_s = self._free_s
        time.sleep(max(0.0, until_s - time.monotonic()))
