"""A running stack, and what is asked of a page that watches it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

START_S = 120.0
NUM_ENVS = 1024


@dataclass
class Stack:
    """A running `websim up`."""

    url: str
    process: subprocess.Popen[str]
    run_dir: Path


def start_stack(run_dir: Path, *options: str) -> Stack:
    log = run_dir.with_suffix(".log")
    command = [
        str(Path(sys.executable).with_name("websim")), "up", "--free-ports", "--no-browser",
        "--workers", "1", "--run-dir", str(run_dir), *options,
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, text=True)
    give_up_s = time.monotonic() + START_S
    while not (found := re.search(r"watch it on (http://\S+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up_s, log.read_text()
        time.sleep(0.1)
    url = found.group(1)
    # The address is told when the page is served; training begins a little later.
    while '"state":"training"' not in _status(url):
        assert time.monotonic() < give_up_s, log.read_text()
        time.sleep(0.2)
    return Stack(url, process, run_dir)


def _status(url: str) -> str:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/status", timeout=5) as answer:
            return str(answer.read(), "utf-8")
    except OSError:
        return ""


def stop_stack(stack: Stack) -> None:
    stack.process.send_signal(signal.SIGINT)
    try:
        stack.process.wait(90)
    except subprocess.TimeoutExpired:
        stack.process.kill()
        raise


def stats(page: Page) -> dict[str, float]:
    """What the page measures of itself."""
    return page.evaluate("window.__websim.stats()")


def until(page: Page, expression: str, timeout: float = 60_000) -> None:
    """Wait until an expression holds. Asked from here: the page's policy forbids it to evaluate."""
    wait_for(lambda: page.evaluate(expression), expression, timeout / 1000)


def drawn(page: Page, envs: int) -> None:
    """Wait until so many environments are drawn."""
    until(page, f"window.__websim !== undefined && window.__websim.stats().drawnEnvs >= {envs}")


def picture(page: Page, selector: str = ".grid canvas") -> str:
    """A digest of what a canvas shows."""
    return page.evaluate(
        """async (selector) => {
            await new Promise(requestAnimationFrame);
            const text = document.querySelector(selector).toDataURL();
            let hash = 0;
            for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0;
            return String(hash);
        }""",
        selector,
    )


def wait_for(check: Callable[[], object], what: str, deadline_s: float = 60.0) -> None:
    give_up_s = time.monotonic() + deadline_s
    while not check():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.05)


def child_pids(pid: int) -> dict[int, str]:
    """Command lines of the processes that a process started."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid:
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it ended meanwhile
    return found


def kill_dashboard(stack: Stack) -> None:
    pids = [p for p, line in child_pids(stack.process.pid).items() if "websim_dashboard" in line]
    assert len(pids) == 1, child_pids(stack.process.pid)
    os.kill(pids[0], signal.SIGKILL)
