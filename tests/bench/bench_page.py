"""What an open page costs training: nobody looks, a page elsewhere looks, a browser here draws it.

Run it by hand: `python tests/bench/bench_page.py [TASK]`. The ways take turns within one run of
`websim up` on 1,024 environments; figures are medians over the rounds of each round's ratio to its
unwatched block: of env steps per second of training time (evaluations excluded), and of the CPU
time that the stack's processes take per env step, which others on the machine disturb less; and
what of a core the dashboard's own process takes, which is all there is while nobody looks. A page
elsewhere is a socket that takes and acknowledges all figures: drawing is another machine's work.
"""

import json
import re
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import sync_playwright
from websockets.sync.client import connect

ROUNDS = 8
BLOCK_S = 12.0
SETTLE_S = 3.0
"""After a page has been opened or closed."""
START_S = 120.0
TARGET = 0.05
"""Of training's steps per second, with one page open."""


@dataclass(frozen=True)
class Block:
    """One way's block."""

    steps_per_s: float
    """Env steps per second of training time."""
    cpu_s: float
    """CPU seconds of all processes of the stack per million env steps."""
    dashboard_cores: float
    """CPU seconds of the dashboard's process per second of wall-clock."""


@dataclass(frozen=True)
class Stack:
    """A running `websim up`."""

    url: str
    metrics: Path
    process: psutil.Process

    def cpu_s(self) -> float:
        """CPU seconds of its processes so far."""
        times = [each.cpu_times() for each in self.process.children(recursive=True)]
        return float(sum(each.user + each.system for each in times))

    def dashboard_cpu_s(self) -> float:
        """CPU seconds of the dashboard's process so far."""
        [dashboard] = [
            each for each in self.process.children() if "websim_dashboard" in each.cmdline()
        ]
        times = dashboard.cpu_times()
        return float(times.user + times.system)


def main() -> None:
    """Print a line for each way."""
    task = sys.argv[1] if len(sys.argv) > 1 else "HalfCheetah-v5"
    ways = {"nobody": nobody, "a page elsewhere": elsewhere, "a browser here": browser}
    blocks: dict[str, list[Block]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as place, training(task, Path(place)) as stack:
        time.sleep(2 * SETTLE_S)
        for index in range(ROUNDS):
            names = list(ways)
            for name in names[index % 3 :] + names[: index % 3]:
                with ways[name](stack.url):
                    time.sleep(SETTLE_S)
                    blocks[name].append(measure(stack))
    print(f"{task}, 1,024 envs, {ROUNDS} rounds of {BLOCK_S:g} s, target {TARGET:.0%}")
    for name, measured in blocks.items():
        pairs = list(zip(measured, blocks["nobody"], strict=True))
        lost = spread([1.0 - own.steps_per_s / unwatched.steps_per_s for own, unwatched in pairs])
        more = spread([own.cpu_s / unwatched.cpu_s - 1.0 for own, unwatched in pairs])
        speed = statistics.median(each.steps_per_s for each in measured)
        cpu_s = statistics.median(each.cpu_s for each in measured)
        dashboard = statistics.median(each.dashboard_cores for each in measured)
        print(
            f"{name:17} {speed:8,.0f} env steps/s, lost {lost}; "
            f"stack {cpu_s:.1f} CPU s/M steps, {more} more; "
            f"the dashboard itself {dashboard:.4f} of a core"
        )


def spread(ratios: list[float]) -> str:
    """Tell the median and the range of ratios."""
    return f"{statistics.median(ratios):.1%} ({min(ratios):.1%} to {max(ratios):.1%})"


def measure(stack: Stack) -> Block:
    """Let the stack train for the next block."""
    first, first_cpu_s = last_row(stack.metrics), stack.cpu_s()
    began_s, dashboard_s = time.monotonic(), stack.dashboard_cpu_s()
    time.sleep(BLOCK_S)
    spent_s = stack.dashboard_cpu_s() - dashboard_s
    dashboard_cores = spent_s / (time.monotonic() - began_s)
    last, last_cpu_s = last_row(stack.metrics), stack.cpu_s()
    env_steps = last["env_steps"] - first["env_steps"]
    return Block(
        env_steps / (last["wall_s"] - first["wall_s"]),
        (last_cpu_s - first_cpu_s) / env_steps * 1e6,
        dashboard_cores,
    )


def last_row(metrics: Path) -> dict[str, float]:
    """Return the last whole row."""
    rows = metrics.read_text().rsplit("\n", 2)
    return dict(json.loads(rows[-2]))


@contextmanager
def training(task: str, place: Path) -> Iterator[Stack]:
    """Train for as long as the block lasts."""
    log, run_dir = place / "up.log", place / "run"
    command = [str(Path(sys.executable).with_name("websim")), "up", "--free-ports", "--no-browser"]
    command += ["--task", task, "--total-steps", "500000000", "--run-dir", str(run_dir)]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        give_up_s = time.monotonic() + START_S
        metrics = run_dir / "metrics.jsonl"
        while not (metrics.exists() and metrics.read_text().count("\n") > 1):
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise SystemExit(f"websim up does not train: {log.read_text()}")
            time.sleep(0.2)
        told = re.search(r"watch it on (http://\S+)", log.read_text())
        assert told is not None
        yield Stack(told.group(1), metrics, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60.0)


@contextmanager
def nobody(_: str) -> Iterator[None]:
    """Look at nothing."""
    yield


@contextmanager
def elsewhere(url: str) -> Iterator[None]:
    """Take all figures at 30 Hz as a page does."""
    with urllib.request.urlopen(f"{url}/api/v1/status", timeout=10) as answer:
        session = json.load(answer)["session"]
    with connect(url.replace("http", "ws") + "/api/v1/live", proxy=None) as socket:
        figures = {"session": session, "max_hz": 30}
        socket.send(json.dumps({"type": "subscribe", "figures": figures, "pose": None}))

        def take() -> None:
            with suppress(Exception):  # the block is over
                for data in socket:
                    if isinstance(data, bytes):
                        seq = struct.unpack_from("<I", data, 4)[0]
                        socket.send(json.dumps({"type": "ack", "seq": seq}))

        reader = threading.Thread(target=take)
        reader.start()
        yield
    reader.join(10.0)


@contextmanager
def browser(url: str) -> Iterator[None]:
    """Open the page in a browser on this machine."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = opened.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(url)
        yield
        opened.close()


if __name__ == "__main__":
    main()
