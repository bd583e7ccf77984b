"""A loopback server that answers a question in every wrong way there is; for the author's tests."""

import contextlib
import json
import socket
import threading

GOAL = json.dumps({"kind": "none", "description": "no number says it"})


def reply(status, body, *, content="application/json", length=None, head=""):
    """Return the bytes of an HTTP answer; `length` announces another one than it has."""
    data = body if isinstance(body, bytes) else body.encode()
    announced = len(data) if length is None else length
    start = f"HTTP/1.1 {status} X\r\nContent-Type: {content}\r\nContent-Length: {announced}\r\n"
    return f"{start}{head}\r\n".encode() + data


class HostileServer:
    """Answers each connection with the next of the scripted bytes, the last one for ever.

    None hangs: the question is read and nothing is said. A list is sent piece by piece, slowly.
    """

    def __init__(self, *script, port=0):
        self.script = list(script)
        self.questions = []
        self._over = threading.Event()
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._over.set()
        self._threads[0].join()
        self._listener.close()
        for connection in self._connections:
            # Whatever its thread waits for in it ends now; one that is over refuses.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _serve(self):
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._answer, args=(connection,)))
                self._threads[-1].start()

    def _answer(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5.0)
            self.questions.append(_read_request(connection))
            said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if said is None:
                self._over.wait(30.0)
            for piece in said if isinstance(said, list) else [said or b""]:
                connection.sendall(piece)
                if isinstance(said, list) and self._over.wait(0.05):
                    return


def _read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += _receive(connection)
    return lines[0], headers, json.loads(body)


def _receive(connection):
    """Return some bytes; a client that goes away in the middle of a question is an error."""
    if not (data := connection.recv(65536)):
        raise ConnectionResetError
    return data
