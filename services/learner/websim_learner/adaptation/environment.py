"""The environment side: knobs by hand, a difficulty that follows success, ranges that are proposed.

Fitness is always measured with nominal physics; success at the present difficulty decides whether
that is raised or lowered. Ranges take effect from each environment's next episode on.
"""

import msgspec

from websim.client.knobs import Knobs, as_ranges
from websim.service.errors import UserError
from websim.tasks.knobs import ranges_at
from websim_learner.adaptation.adoption import Adoptions
from websim_learner.adaptation.curriculum import (
    STEP,
    Level,
    Ranges,
    advice,
    followed,
    harder,
    towards,
)
from websim_learner.adaptation.examiner import point_of
from websim_learner.adaptation.rows import EnvironmentValues
from websim_learner.adaptation.state import Waiting
from websim_learner.adaptation.triggers import progress

MAX_VALUES = 8
"""Of the present difficulty that are remembered."""


class Environments(Adoptions):
    """Turns the knobs of the incumbent's environments."""

    def turn(self, wanted: Knobs, difficulty: float | None) -> str:
        """Turn knobs on a person's word.

        Args:
            wanted: ranges of some knobs; the others keep theirs.
            difficulty: sets all knobs instead; None: these ranges.

        Raises:
            UserError: the task has no knobs, not these, or a range is wider than it allows.
        """
        knobs = self.task.knobs
        if not knobs:
            raise UserError(f"{self.task.id} has no knobs", "Its task file may name some.")
        if difficulty is not None:
            wanted = ranges_at(knobs, difficulty)
        ranges = as_ranges(knobs, wanted)
        self.books.journal("knobs", {"ranges": ranges, "difficulty": difficulty})
        return self._turn(ranges, difficulty, "a person turns them")

    def _turn(self, ranges: Ranges, difficulty: float | None, why: str) -> str:
        state = self.state
        for branch in self._branches:
            branch.turn_knobs(ranges)
        state.ranges = {**state.ranges, **ranges}
        if difficulty is not None:
            state.difficulty = difficulty
        state.at_difficulty = []
        text = f"difficulty {state.difficulty:g}" if difficulty is not None else _in_words(ranges)
        values = {"ranges": dict(ranges), "difficulty": difficulty, "why": why}
        self.books.row("knobs", values)
        self.books.tell("knobs", f"{text}: {why}", **values)
        return text

    def _watch_difficulty(self) -> None:
        """Measure the policy at the present difficulty, and raise or lower that by success."""
        state, asked = self.state, self._asked()
        if not state.difficulty or asked is None:
            return
        state.at_difficulty = [*state.at_difficulty, self._value_at(state.ranges)][-MAX_VALUES:]
        match advice(state.at_difficulty, asked):
            case "harder":
                self._make_harder(asked, "the present difficulty is mastered")
            case "easier":
                lower = max(0.0, round(state.difficulty - STEP, 6))
                ranges = ranges_at(self.task.knobs, lower)
                self._change(ranges, lower, "the present difficulty is too hard")

    def _make_harder(self, asked: float, why: str) -> None:
        """Go to the hardest difficulty at which the policy keeps its share of what is asked."""
        levels = harder(self.task.knobs, self.state.difficulty)
        level = self._measured(levels, asked) if levels else None
        if level is None or level.difficulty is None:
            self.books.tell("kept", f"{why}; nothing harder can be followed yet")
            self.state.at_difficulty = []
            return
        self._change(level.ranges, level.difficulty, why)

    def _try_ranges(self, wanted: Ranges, why: str) -> str:
        """Go as far towards proposed ranges as the policy keeps a share of what it reaches now."""
        try:
            wanted = as_ranges(self.task.knobs, wanted)
        except UserError as error:
            self.books.tell("refused", f"ranges of knobs: {error}")
            return f"the ranges are refused: {error.message}"
        asked = self._value_at(self.state.ranges)
        level = self._measured(towards(self.task.knobs, self.state.ranges, wanted), asked)
        if level is None:
            return "the policy cannot follow the ranges that were proposed"
        self._change(level.ranges, None, why)
        return f"the environment changes: {_in_words(level.ranges)}"

    def _measured(self, levels: list[Level], asked: float) -> Level | None:
        """Measure levels up to the first that the policy fails; return the last one it keeps."""
        done: list[Level] = []
        for level in levels:
            done.append(msgspec.structs.replace(level, value=self._value_at(level.ranges)))
            if followed([each.value or 0.0 for each in done], asked) < len(done):
                break
        kept = followed([each.value or 0.0 for each in done], asked)
        self.books.row("environment", EnvironmentValues(levels=done, asked=asked, kept=kept))
        return done[kept - 1] if kept else None

    def _change(self, ranges: Ranges, difficulty: float | None, why: str) -> None:
        """Turn knobs, or ask for a yes."""
        if self.state.mode != "approve":
            self._turn(ranges, difficulty, why)
            return
        if self.state.waiting is not None:
            return
        self.state.adaptations += 1
        self.state.at_difficulty = []
        text = _in_words(ranges) if difficulty is None else f"difficulty {difficulty:g}"
        self._wait(Waiting(
            adaptation=self.state.adaptations, what="environment", sentence=f"{text}: {why}",
            ranges=dict(ranges), difficulty=difficulty,
        ))  # fmt: skip

    def _asked(self) -> float | None:
        """Return what is asked of the policy: the goal's target, or success; None: nothing."""
        if not self.state.points:
            return None
        return progress(self.state.points[-1], self.state.goal.target, self._settings)[1]

    def _value_at(self, ranges: Ranges) -> float:
        """Return what the present policy reaches with knobs within ranges."""
        update, env_steps = self.books.when
        with self._ledger.clock.stopped():
            evaluation = self.examiner.examine(self._branch, ranges=ranges)
        point = point_of(evaluation, self._branch, update, env_steps, self.state.stats)
        return progress(point, self.state.goal.target, self._settings)[0]


def _in_words(ranges: Ranges) -> str:
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in ranges.items())
