"""A goal whose measure gives no numbers any more: the run goes on, and a person judges."""

import msgspec

from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.adaptation.rows import By, as_values
from websim_learner.adaptation.signals import after_goal
from websim_learner.adaptation.tryouts import Tryouts


class Unmeasured(Tryouts):
    """Lets a run go on without its goal's measure, in every life of it from the same place on."""

    def lose_measure(self, why: str, within: str = "") -> None:
        """Let a person judge from now on, until the goal is set again.

        Args:
            why: for people.
            within: "evaluation": the one that is due, or what that led to; a life that replays
                this evaluates without the measure, and decides nothing by it. "command": one that
                is journaled just before; a life that replays it does it without the measure.

        Raises:
            MeasureFailed: the journal is ahead, by which it did not fail here.
        """
        if self._ledger.ahead and within != "evaluation":
            raise MeasureFailed(why, "Go on with the run to try again.")
        self.books.journal("measure_failed", {"why": why, "within": within})
        self._lose_measure(why)

    def lose_measure_again(self) -> None:
        """Lose it before the evaluation that is due, where the journal says so."""
        ahead, updates = self._ledger.ahead, self._ledger.updates
        for entry in list(ahead):
            here = entry.kind == "measure_failed" and entry.update == updates
            if here and entry.values["within"] == "evaluation":
                self._lose_measure(entry.values["why"])
                ahead.remove(entry)

    def lose_measure_within(self) -> None:
        """Lose it before the entry that is to take effect again, where it was lost within that."""
        for entry in self._ledger.ahead[1:2]:
            if entry.kind == "measure_failed" and entry.values["within"] == "command":
                self._lose_measure(entry.values["why"])
                self._ledger.ahead.remove(entry)

    def _lose_measure(self, why: str) -> None:
        """Keep what is asked, to be tried or waits for a yes: a person judges that too."""
        state = self.state
        if state.goal.kind != "program":
            return  # A life that was cut short has lost it already.
        goal = msgspec.structs.replace(state.goal.without_measure(why), n=state.goal.n + 1)
        self.examiner.set_goal(goal, self._branch.client.task)
        state.measure_lost_at, _ = self.books.when
        self._judge_by(goal, "run")
        self.books.tell("goal", f'goal: "{goal.description}", {goal.trouble}')

    def _judge_by(self, goal: Goal, by: By, task: str | None = None) -> None:
        """Forget what was seen by another measure, and what was made of it.

        Args:
            goal: to judge by from now on.
            by: who decided that.
            task: what the run trains on from now on, where that was changed.
        """
        state = self.state
        state.goal, state.points, state.at_difficulty = goal, [], []
        state.baseline, state.preference = None, None
        state.triggers = after_goal(state.triggers)
        self.bank.clear()
        self._probed = False
        self.books.forget_fitness()
        changed = {} if task is None else {"task": task}
        self.books.row("goal", as_values(goal) | {"by": by} | changed)
