"""clips/adaptation-N.json: what the contenders of a run's last trials look like, for people.

Written by the trainer's thread when a trial ends, read by HTTP threads. A run goes on without them:
a life that holds a trial again writes the same clips again.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from websim.service.files import write_atomic
from websim.wire.messages import FigureInfo
from websim_learner.adaptation.film import Clip

SHELF_NAME = "clips"

MAX_TRIALS = 8
"""Whose clips are kept; of a contender they take 30 KB at most."""


class Clips(msgspec.Struct, frozen=True, kw_only=True):
    """What the contenders that were left at the end of a trial look like."""

    task: str = ""
    figure: FigureInfo | None = None
    """How its figures are drawn; None where there are no clips."""
    clips: dict[str, Clip] = {}
    """By contender, the control first."""


class Shelf:
    """Keeps the clips of a run's last trials."""

    def __init__(self, directory: Path, warn: Callable[[str], object]) -> None:
        """Make ready; nothing is written yet.

        Args:
            directory: of the clips, made when there are any.
            warn: tells people that clips could not be kept.
        """
        self._directory = directory
        self._warn = warn

    def keep(
        self, adaptation: int, task: str, figure: FigureInfo | None, clips: Mapping[str, Clip]
    ) -> None:
        """Keep the clips of a trial, if there are any, and forget those of old ones.

        Trials of higher numbers are of a life that the run went back behind.
        """
        if figure is None or not clips:
            return
        kept = Clips(task=task, figure=figure, clips=dict(clips))
        try:
            self._directory.mkdir(exist_ok=True)
            write_atomic(self._path(adaptation), msgspec.json.encode(kept))
            numbers = self._numbers()
            held = sorted(number for number in numbers if number <= adaptation)
            for number in numbers - {*held[-MAX_TRIALS:]}:
                self._path(number).unlink(missing_ok=True)
        except OSError as error:
            # They are no part of the run: it goes on as it would have with them.
            self._warn(f"the clips of trial {adaptation} could not be kept: {error}")

    def read(self, adaptation: int) -> bytes:
        """Return the `Clips` of a trial as JSON; of one that has none, without any."""
        try:
            return self._path(adaptation).read_bytes()
        except OSError:
            return msgspec.json.encode(Clips())

    def _path(self, adaptation: int) -> Path:
        return self._directory / f"adaptation-{adaptation}.json"

    def _numbers(self) -> set[int]:
        names = (re.fullmatch(r"adaptation-(\d+)\.json", p.name) for p in self._directory.iterdir())
        return {int(name[1]) for name in names if name}
