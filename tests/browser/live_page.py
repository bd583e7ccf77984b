"""A running stack, and what is asked of a page that watches it."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image
from playwright.sync_api import Page, WebSocketRoute

START_S = 120.0
STOP_S = 20.0
NUM_ENVS = 64
"""Of the stack that tests share: few, so that an update takes a second while a page is drawn."""

MANY_ENVS = 1024
"""As many as a page is to show at once, at least."""

DIALOG = "dialog.popup[open]"
ROBOT = f"{DIALOG} .view-box:not(:has(.veil))"
"""The pop-up, and its picture once it shows something."""

COMMAND_S = 90.0
"""A command takes effect when the update under way has ended; its sender is told after a minute."""


RECORD_TEXTS = """
    window.texts = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        window.texts.push(String(text));
        return draw.call(this, text, ...rest);
    };
"""
"""Has a page note in `window.texts` what it writes onto canvases."""


@dataclass
class Stack:
    """A running `websim up`."""

    url: str
    process: subprocess.Popen[str]
    run_dir: Path


EVALUATED_OFTEN = {"WEBSIM_LEARNER_EVAL_EVERY_STEPS": "50000"}
"""For a run without an end, in which evaluations would be far apart."""


def start_stack(
    run_dir: Path, *options: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Stack:
    log = run_dir.with_suffix(".log")
    command = [
        str(Path(sys.executable).with_name("websim")), "up", "--free-ports", "--no-browser",
        "--workers", "1", "--run-dir", str(run_dir), *options,
    ]  # fmt: skip
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, text=True, env={**os.environ, **environment}
        )
    give_up_s = time.monotonic() + START_S
    while not (found := re.search(r"^watch it on (http://\S+)", log.read_text(), re.MULTILINE)):
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


def get(stack: Stack, path: str) -> Any:
    with urllib.request.urlopen(f"{stack.url}/api/v1/{path}", timeout=20) as answer:
        return json.load(answer)


def send(stack: Stack, kind: str, **values: object) -> None:
    """Have a command applied, as the page does."""
    body = json.dumps({"kind": kind, **values}).encode()
    request = urllib.request.Request(
        f"{stack.url}/api/v1/run/commands", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=COMMAND_S) as answer:
        assert answer.status == 200


def train_on(stack: Stack, num_envs: int) -> None:
    """Let the run go on with so many environments, and wait until pages are told of them."""
    send(stack, "set_num_envs", num_envs=num_envs)

    def told() -> bool:
        status = get(stack, "status")
        shown = [each for each in status["sessions"] if each["session"] == status["session"]]
        return [each["num_envs"] for each in shown] == [num_envs]

    wait_for(told, f"{num_envs} environments")


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


def tell_status(page: Page, **values: object) -> None:
    """Let a page be told another status than the true one, from its next load on."""

    def meet(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if isinstance(message, str) and '"status"' in message:
                told = json.loads(message)
                if told["type"] == "status":
                    told["status"] |= values
                    message = json.dumps(told)
            route.send(message)

        server.on_message(pass_on)

    page.route_web_socket("**/api/v1/live", meet)
    page.route(
        "**/api/v1/status",
        lambda route: route.fulfill(json=route.fetch().json() | values),
    )


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


def robot(page: Page) -> Image.Image:
    """What the pop-up shows, as pixels."""
    return Image.open(io.BytesIO(page.locator(".popup canvas").screenshot())).convert("RGB")


def wait_for_robot(page: Page) -> Image.Image:
    page.wait_for_selector(".popup .veil", state="detached")
    wait_for(lambda: len(robot(page).getcolors(1 << 24)) > 40, "the pop-up shows nothing")
    return robot(page)


def stand_still(page: Page) -> None:
    """Wait until frames that were on their way have come."""
    page.evaluate(
        """async () => {
            let seq = -1;
            while (seq !== window.__websim.stats().seq) {
                seq = window.__websim.stats().seq;
                await new Promise(resolve => setTimeout(resolve, 700));
            }
        }"""
    )


def reaction_ms(page: Page, act: Callable[[], None], selector: str, text: str = "") -> float:
    """Do something by key or mouse; return how soon after that there is an element with a text.

    The page's own clock tells, from the input event to the frame that shows it.
    """
    page.evaluate(
        """([selector, text]) => {
            window.reaction = null;
            let began = null;
            for (const kind of ['keydown', 'pointerdown'])
                addEventListener(kind, (event) => (began ??= event.timeStamp), {capture: true});
            const look = () => {
                const found = document.querySelector(selector);
                if (began !== null && found !== null && found.textContent.includes(text))
                    window.reaction = performance.now() - began;
                else requestAnimationFrame(look);
            };
            look();
        }""",
        [selector, text],
    )
    act()
    until(page, "window.reaction !== null")
    return float(page.evaluate("window.reaction"))


def soonest(limit: float, measure: Callable[[], float], tries: int = 5) -> float:
    """Return the first of some measured times that is below a limit, else the least of them.

    What else runs on the machine can make one of them late, not all; what is slow is so each time.
    """
    least = measure()
    for _ in range(tries - 1):
        if least < limit:
            break
        least = min(least, measure())
    return least


def outcome(page: Page) -> str:
    """Return what the page says has become of an action, whether it took effect or was refused."""
    said = page.locator(".outcome.done, .outcome.failed").first
    said.wait_for(timeout=COMMAND_S * 1000)
    return said.inner_text()


def settle(page: Page) -> None:
    """Wait until what opens or closes by and by has done so."""
    page.evaluate(
        """() => Promise.allSettled(document.getAnimations()
            .filter(each => each.effect.getComputedTiming().endTime < 10_000)
            .map(each => each.finished))"""
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


@contextlib.contextmanager
def serve_dashboard(place: Path, *options: str) -> Iterator[str]:
    """Start a dashboard by itself, whose history is in a directory, and yield its address."""
    ready, log, stderr = (place / name for name in ("ready", "dashboard.jsonl", "stderr"))
    with stderr.open("w") as said:
        process = subprocess.Popen([
            sys.executable, "-X", "faulthandler", "-m", "websim_dashboard", "--http-port", "0",
            *options,
            "--history", str(place / "history.sqlite"),
            "--ready-file", str(ready), "--log-file", str(log),
        ], stderr=said)  # fmt: skip
    try:
        give_up_s = time.monotonic() + START_S
        while not ready.exists():
            assert process.poll() is None, stderr.read_text()
            assert time.monotonic() < give_up_s
            time.sleep(0.1)
        yield str(json.loads(ready.read_text())["http_url"])
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # it says what each thread is at
            process.wait()
            told = f"{log.read_text()}\n{stderr.read_text()}"
            raise AssertionError(f"the dashboard does not stop\n{told}") from None


def kill_dashboard(stack: Stack) -> None:
    pids = [p for p, line in child_pids(stack.process.pid).items() if "websim_dashboard" in line]
    assert len(pids) == 1, child_pids(stack.process.pid)
    os.kill(pids[0], signal.SIGKILL)
