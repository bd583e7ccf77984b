"""What goes wrong is said, and passes by itself."""

import json
import socket
import threading
import time

import pytest
from live_page import drawn, kill_dashboard, stats, until

pytestmark = pytest.mark.timeout(300)

SLOW_BYTES_PER_S = 125_000
"""1 Mbit/s."""


def test_a_killed_service_is_told_and_comes_back_without_a_reload(open_page, stack):
    page = open_page()
    drawn(page, 1)
    page.evaluate("window.loadedOnce = true")
    seq = stats(page)["seq"]
    began_s = time.monotonic()
    kill_dashboard(stack)
    page.locator(".banner").wait_for()
    assert time.monotonic() - began_s < 5.0
    assert "no connection" in page.locator(".chip.state").inner_text()
    # The supervisor starts it again; the page comes back with curves and all.
    page.locator(".banner").wait_for(state="detached", timeout=60_000)
    until(page, f"window.__websim.stats().seq !== {seq}")
    page.locator('[data-chart="loss"] .no-data').wait_for(state="detached")
    assert page.evaluate("window.loadedOnce") is True
    assert stats(page)["jsErrors"] == 0


def test_a_slow_network_lowers_the_rate_not_the_freshness(open_page, stack):
    with SlowWay(stack.url) as url:
        page = open_page(url)
        drawn(page, 1000)
        page.wait_for_timeout(3000)
        ages, seq = [], stats(page)["seq"]
        for _ in range(40):
            ages.append(stats(page)["frameAgeMs"])
            page.wait_for_timeout(100)
        ages.sort()
        assert ages[len(ages) // 2] < 1000
        assert ages[-1] < 2500, "frames pile up on their way"
        assert stats(page)["seq"] > seq
        assert stats(page)["fps"] < 20


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


@pytest.mark.parametrize("asked", ["goal", "rewards"])
def test_an_error_of_a_request_leaves_the_page_as_it_is(open_page, asked):
    page = open_page(live=False)
    page.route(
        f"**/api/v1/{asked}",
        lambda route: route.fulfill(status=502, body=json.dumps({"detail": "it is away"})),
    )
    page.reload()
    drawn(page, 1)
    assert stats(page)["jsErrors"] == 0
