"""Shows a run's progress: a bar on a terminal, now and then a line where output is kept."""

import sys
import termios
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PLAIN_INTERVAL_S = 10.0
"""Seconds between two lines of progress where output is no terminal."""

LOCAL_FLAGS = 3
"""Index of the local flags among a terminal's attributes."""


class Display(Protocol):
    """Where progress is shown; a context manager."""

    def update(self, status: Mapping[str, Any]) -> None:
        """Show the learner's `GET /v1/run`."""

    def note(self, text: str) -> None:
        """Say something once."""

    def __enter__(self) -> "Display":
        """Begin to show."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""


def make_display() -> Display:
    """Return the display that suits stdout."""
    console = Console(highlight=False)
    return BarDisplay(console) if console.is_terminal else PlainDisplay(console)


class BarDisplay:
    """A bar that fills, with steps, speed, return and the time it will take."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[steps]}"),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[episode_return]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            expand=True,
            transient=True,
            refresh_per_second=4,
        )
        self._bar: TaskID = self._progress.add_task(
            "starting", total=None, steps="", speed="", episode_return=""
        )

    def update(self, status: Mapping[str, Any]) -> None:
        """Show the learner's `GET /v1/run`."""
        self._progress.update(self._bar, description=str(status["state"]))
        if "env_steps" not in status:
            return
        values = _values(status)
        self._progress.update(
            self._bar,
            completed=status["env_steps"],
            total=status.get("total_steps"),
            steps=values.steps,
            speed=values.speed,
            episode_return=values.episode_return,
        )

    def note(self, text: str) -> None:
        """Say something above the bar."""
        self._progress.console.print(text, markup=False, soft_wrap=True)

    def __enter__(self) -> "BarDisplay":
        """Begin to show."""
        self._terminal = _without_control_echo()
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self._progress.stop()
        if self._terminal is not None:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, self._terminal)


def _without_control_echo() -> list[Any] | None:
    """Keep the terminal from writing ^C into the bar, which would leave pieces of it behind.

    Returns:
        The terminal's attributes before that; None when stdin is no terminal.
    """
    if not sys.stdin.isatty():
        return None
    before = termios.tcgetattr(sys.stdin)
    attributes = termios.tcgetattr(sys.stdin)
    attributes[LOCAL_FLAGS] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)
    return before


class PlainDisplay:
    """A line at the start, at every change of state, and every few seconds."""

    def __init__(self, console: Console, interval_s: float = PLAIN_INTERVAL_S) -> None:
        self._console = console
        self._interval_s = interval_s
        self._began_s = time.monotonic()
        self._last_s = float("-inf")
        self._last_state = ""

    def update(self, status: Mapping[str, Any]) -> None:
        """Show the learner's `GET /v1/run`, if it is time for a line."""
        now_s = time.monotonic()
        state = str(status["state"])
        if state == self._last_state and now_s - self._last_s < self._interval_s:
            return
        self._last_s, self._last_state = now_s, state
        values = _values(status)
        elapsed_s = int(now_s - self._began_s)
        parts = [f"{elapsed_s // 60:02d}:{elapsed_s % 60:02d}", state]
        parts += [text for text in (values.steps, values.speed, values.episode_return) if text]
        self.note("  ".join(parts))

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False, soft_wrap=True)

    def __enter__(self) -> "PlainDisplay":
        """Begin to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: lines stand for themselves."""


class _Values:
    """A status in words."""

    def __init__(self, steps: str, speed: str, episode_return: str) -> None:
        self.steps = steps
        self.speed = speed
        self.episode_return = episode_return


def _values(status: Mapping[str, Any]) -> _Values:
    env_steps, total_steps = status.get("env_steps"), status.get("total_steps")
    speed, episode_return = status.get("steps_per_s"), status.get("return_mean")
    steps = ""
    if env_steps is not None:
        of_total = f" of {short(total_steps)}" if total_steps else ""
        steps = f"{short(env_steps)}{of_total} steps"
    if status.get("state") == "adapting" and (doing := status.get("adapting")):
        # The run's own steps stand still until the trial has ended.
        return _Values(str(doing).partition(":")[0], "", "")
    return _Values(
        steps,
        f"{speed:,.0f}/s" if speed else "",
        "" if episode_return is None else f"return {episode_return:,.1f}",
    )


def short(count: float) -> str:
    """Return a number in a few characters: 950, 12.3k, 3.00M, 1.25G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= limit:
            value = count / limit
            return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}{unit}"
    return f"{count:g}"
