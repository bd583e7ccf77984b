"""The environment side: knobs, a difficulty that follows success, and another task where it ends.

Fitness is always measured with nominal physics; success at the present difficulty decides whether
that is raised or lowered. Ranges take effect from each environment's next episode on.
"""

from typing import Any

import msgspec

from websim.client.knobs import Knobs, as_ranges
from websim.service.errors import UserError
from websim.tasks.knobs import ranges_at
from websim_learner.adaptation.adoption import Adoptions
from websim_learner.adaptation.curriculum import (
    PAUSE,
    STEP,
    TASK_SHARE,
    Level,
    Ranges,
    advice,
    followed,
    harder,
    ranges_asked,
    towards,
)
from websim_learner.adaptation.examiner import point_of
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.rows import By, DifficultyValues, EnvironmentValues
from websim_learner.adaptation.state import Waiting
from websim_learner.adaptation.triggers import progress
from websim_learner.evaluation import Evaluation
from websim_learner.fleet import is_lost

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
        ranges = ranges_asked(self.task, wanted, difficulty)
        self.books.journal("knobs", {"ranges": ranges, "difficulty": difficulty})
        return self._turn(ranges, difficulty, "a person has set it so", "person")

    def _turn(self, ranges: Ranges, difficulty: float | None, why: str, by: By) -> str:
        state = self.state
        for branch in self._branches:
            branch.turn_knobs(ranges)
        state.ranges = {**state.ranges, **ranges}
        if difficulty is not None:
            state.difficulty = difficulty
        state.at_difficulty = []
        return self._tell_turned(ranges, difficulty, why, by)

    def _tell_turned(self, ranges: Ranges, difficulty: float | None, why: str, by: By) -> str:
        """Write down that knobs are turned; return how far."""
        text = f"difficulty {difficulty:g}" if difficulty is not None else _in_words(ranges)
        values = {"ranges": dict(ranges), "difficulty": difficulty, "by": by, "why": why}
        self.books.row("knobs", values)
        self.books.tell("knobs", f"{text}: {why}", **values)
        return text

    def _watch_difficulty(self) -> None:
        """Measure the policy at the present difficulty, and raise or lower that by success."""
        state, asked = self.state, self._asked()
        under_way = bool(state.difficulty or self.tasks.next_tasks)
        # What could not be followed when the target was reached may be by now.
        if asked is None or not (under_way or (state.triggers.reached and self.task.knobs)):
            return
        state.at_difficulty = [*state.at_difficulty, self._value_now()][-MAX_VALUES:]
        if not under_way and len(state.at_difficulty) < PAUSE:
            return
        said = advice(state.at_difficulty, asked)
        if said is not None:
            reached = DifficultyValues(values=state.at_difficulty, asked=asked, advice=said)
            self.books.row("difficulty", reached)
        match said:
            case "harder":
                self._make_harder(asked, "the present difficulty is mastered")
            case "easier":
                self._make_easier("the present difficulty is too hard")

    def _make_harder(self, asked: float, why: str) -> None:
        """Go to the hardest difficulty at which the policy keeps its share of what is asked.

        Harder before different: where it keeps it at none, some of the envs get another task.
        """
        self.state.at_difficulty = []
        knobs = self.task.knobs
        levels = harder(knobs, self.state.difficulty) if knobs else []
        level = self._measured(levels, asked) if levels else None
        if level is not None and level.difficulty is not None:
            self._change(level.ranges, level.difficulty, why)
        elif (task := self._next_task()) is not None:
            self._try_task(task, asked, why)
        elif knobs:
            self.books.tell("kept", f"{why}; nothing harder can be followed yet")

    def _make_easier(self, why: str) -> None:
        """Take the last task back that was given, or lower the difficulty."""
        self.state.at_difficulty = []
        given = [task for task in self.tasks.next_tasks if task in self.tasks.others]
        if given:
            self._share_out(given[-1], 0.0, why)
        elif self.state.difficulty:
            lower = max(0.0, round(self.state.difficulty - STEP, 6))
            self._change(ranges_at(self.task.knobs, lower), lower, why)

    def _next_task(self) -> str | None:
        """Return the task that some of the envs are given next; None: there is none left."""
        left = (task for task in self.tasks.next_tasks if task not in self.tasks.others)
        return next(left, None)

    def _try_task(self, task: str, asked: float, why: str) -> None:
        """Give a share of the envs another task, if the policy keeps what is asked there."""
        try:
            kept = self._measured([Level(difficulty=None, ranges={}, task=task)], asked)
        except MeasureFailed:
            raise
        except UserError as error:
            self._refused(task, error)
            return
        if kept is None:
            self.books.tell("kept", f"{why}; {task} cannot be followed yet")
        else:
            self._share_out(task, TASK_SHARE, why)

    def _share_out(self, task: str, share: float, why: str) -> None:
        """Give a share of the envs another task, 0 for none, or ask for a yes."""
        if self.state.mode == "approve":
            text = f"{share:.0%} of the environments get {task}" if share else f"no more of {task}"
            self._ask_for(f"{text}: {why}", task=task, share=share)
        else:
            self._give(task, share, why, "curriculum")

    def _give(self, task: str, share: float, why: str, by: By) -> str:
        self.state.at_difficulty = []
        try:
            text = self.tasks.give(task, share)
        except UserError as error:
            return self._refused(task, error)
        values = {"others": dict(self.tasks.others), "by": by, "why": why}
        self.books.row("tasks", values)
        self.books.tell("tasks", f"{text}: {why}", **values)
        return text

    def _try_ranges(self, wanted: Ranges, why: str) -> str:
        """Go as far towards proposed ranges as the policy keeps a share of what it reaches now."""
        try:
            wanted = as_ranges(self.task.knobs, wanted)
        except UserError as error:
            self.books.tell("refused", f"ranges of knobs: {error}")
            return f"the ranges are refused: {error.message}"
        if not self.state.goal.by_fitness:
            # No number says how far the policy follows; who judges is asked.
            self._change(wanted, None, why)
            return "the ranges wait for a yes"
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
            # Knobs that a level does not name stay as they are turned.
            turned = {**self.state.ranges, **level.ranges}
            value = self._value_in(level.task) if level.task else self._value_at(turned)
            done.append(msgspec.structs.replace(level, value=value))
            if followed([each.value or 0.0 for each in done], asked) < len(done):
                break
        kept = followed([each.value or 0.0 for each in done], asked)
        self.books.row("environment", EnvironmentValues(levels=done, asked=asked, kept=kept))
        return done[kept - 1] if kept else None

    def _change(self, ranges: Ranges, difficulty: float | None, why: str) -> None:
        """Turn knobs, or ask for a yes."""
        if not self._asks_first:
            # Only whoever writes names ranges without a difficulty.
            self._turn(ranges, difficulty, why, "author" if difficulty is None else "curriculum")
            return
        text = _in_words(ranges) if difficulty is None else f"difficulty {difficulty:g}"
        self._ask_for(f"{text}: {why}", ranges=dict(ranges), difficulty=difficulty)

    def _ask_for(self, sentence: str, **change: Any) -> None:  # noqa: ANN401 - fields of Waiting
        """Wait for a yes to a change of the environment, unless something waits already."""
        if self.state.waiting is not None:
            return
        self.state.adaptations += 1
        self.state.at_difficulty = []
        self._wait(Waiting(
            adaptation=self.state.adaptations, what="environment", sentence=sentence, **change
        ))  # fmt: skip

    def _refused(self, task: str, error: UserError) -> str:
        """Tell why a task cannot be had; the run goes on without, unless its envs are lost."""
        if is_lost(error):
            raise error
        self.books.tell("refused", f"{task}: {error}")
        return f"{task} is refused: {error.message}"

    def _asked(self) -> float | None:
        """Return what is asked of the policy: the goal's target, or success; None: nothing."""
        if not self.state.points:
            return None
        return progress(self.state.points[-1], self.state.goal.target, self._settings)[1]

    def _value_now(self) -> float:
        """Return what the present policy reaches in its own environments."""
        if self.state.ranges:
            return self._value_at(self.state.ranges)
        return self._value_of(self.state.points[-1])

    def _value_at(self, ranges: Ranges) -> float:
        """Return what the present policy reaches with knobs within ranges."""
        with self._ledger.clock.stopped():
            return self._value_seen(self.examiner.examine(self._branch, ranges=ranges))

    def _value_in(self, task: str) -> float:
        """Return what the present policy reaches in another task."""
        with self._ledger.clock.stopped():
            return self._value_seen(self.examiner.examine_elsewhere(self._branch, task))

    def _value_seen(self, evaluation: Evaluation) -> float:
        update, env_steps = self.books.when
        stats = self.state.stats
        return self._value_of(point_of(evaluation, self._branch, update, env_steps, stats))

    def _value_of(self, point: EvalPoint) -> float:
        return progress(point, self.state.goal.target, self._settings)[0]


def _in_words(ranges: Ranges) -> str:
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in ranges.items())
