"""A connection that is cut loses what was in flight; the session asks again and goes on."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from websim.client import make_vec


class CutProxy:
    """Forwards TCP to the client port; `cut` drops every connection with what it carries."""

    def __init__(self, target: str) -> None:
        host, port = target.removeprefix("tcp://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for side in (source, sink):
            side.close()

    def cut(self) -> None:
        pairs, self._pairs = self._pairs, []
        for side in pairs:
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.close()
        self.cut()


@contextmanager
def proxied(address: str) -> Iterator[CutProxy]:
    proxy = CutProxy(address)
    try:
        yield proxy
    finally:
        proxy.close()


def test_a_cut_connection_costs_time_but_no_step_and_no_bit(fleet):
    def run(address: str, cut=lambda: None) -> list[np.ndarray]:
        env = make_vec("HalfCheetah-v5", 64, seed=4, fleet=address)
        rng = np.random.default_rng(0)
        trace = [env.reset()[0]]
        for step in range(30):
            action = rng.uniform(-1, 1, (64, 6)).astype(np.float32)
            for shard, span in enumerate(env.shards):
                env.send(shard, action[span.first_env_id : span.first_env_id + span.num_envs])
            if step in (10, 20):
                cut()
            rows = [env.recv() for _ in env.shards]
            trace += [row.obs.copy() for row in sorted(rows, key=lambda row: row.shard)]
        env.close()
        return trace

    with proxied(fleet.client_address) as proxy:
        disturbed = run(proxy.address, proxy.cut)
    undisturbed = run(fleet.client_address)
    assert all(np.array_equal(a, b) for a, b in zip(disturbed, undisturbed, strict=True))
