"""The loop that adapts training: trigger, candidates, gate, trial, decision, and back if need be.

Called by the trainer between two updates. Everything here is a function of evaluations, which the
run's seed determines, and of what came from outside, which is journaled before it takes effect.
"""

from typing import Any

import msgspec

from websim_learner.adaptation.examiner import point_of, stats_of
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.guards import in_doubt, peak_of
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.adaptation.outlook import outlook
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.probation import (
    adopted_at,
    falls_more,
    is_over,
    looks_due,
    with_update,
)
from websim_learner.adaptation.questions import GoalRefused
from websim_learner.adaptation.rows import TriggerValues
from websim_learner.adaptation.signals import Trigger, after_trigger
from websim_learner.adaptation.state import MAX_POINTS, Proposal
from websim_learner.adaptation.steered import Steered
from websim_learner.adaptation.triggers import find_trigger, rearmed
from websim_learner.advance import Advance
from websim_learner.evaluation import Evaluation

PROBATION_EPISODES = 10
"""Of a look at a policy on probation where the one before has shown no loss."""


class Adapter(Steered):
    """Adapts one run: what the trainer calls."""

    def begin(self, goal: str | None, target: float | None, difficulty: float | None) -> None:
        """Go on where the state stands; a run that is new asks for its goal's measure.

        Args:
            goal: in words, of a run that is new.
            target: fitness at which that is reached.
            difficulty: by which its knobs are turned; None: by name, or not at all.
        """
        state = self.state
        self.examiner.set_goal(state.goal, self._branch.client.task)
        self.books.go_back(state.log_rows, state.log_sha256)
        if not state.rewards:
            self._remember_first()
            if state.ranges:
                # Its configuration has them: no later life needs a journal for it.
                self._tell_turned(state.ranges, difficulty, "given at the start", "person")
            if goal is None:
                state.goal = msgspec.structs.replace(state.goal, target=target)
            else:
                # The target is in the unit of a measure that is still to come.
                self._ask_goal(goal, target)
        elif state.asked_goal is not None:
            # Where a question of the life before is open still, this one is asked after it.
            if self.questions.anybody and not self.questions.busy:
                self._ask_goal(state.asked_goal, state.goal_target)
        elif state.asked is not None:
            self.questions.ask_rewards(state, self._branch)

    @property
    def on_probation(self) -> bool:
        """Whether the policy of an adoption is looked at."""
        return self.adapting and self.state.baseline is not None

    def wants_look(self) -> bool:
        """Return whether an adoption is on probation and it is time to look at its policy."""
        baseline = self.state.baseline
        if not self.adapting or baseline is None:
            return False
        now = self._ledger.env_steps - adopted_at(baseline, self.state.triggers)
        before, doubtful = now - self._branch.steps_per_update, self._doubtful
        due = looks_due(now, doubtful=doubtful) > looks_due(before, doubtful=doubtful)
        return due or falls_more(self.state.falls)

    @property
    def look_episodes(self) -> int | None:
        """Episodes of a look that is due; None: as many as an evaluation has."""
        return None if self._doubtful else PROBATION_EPISODES

    def leaves_doubt(self, look: Evaluation) -> bool:
        """Return whether a look at the incumbent shows what may be a loss: all episodes tell."""
        baseline = self.state.baseline
        if baseline is None:
            return False
        return in_doubt([self._point(look, whole=False)], baseline, self._settings)

    @property
    def _doubtful(self) -> bool:
        baseline = self.state.baseline
        if baseline is None:
            return False
        overruled = self.state.triggers.overruled
        return overruled or in_doubt(self.state.points, baseline, self._settings)

    def note_advance(self, advance: Advance) -> None:
        """Take note of an update of the incumbent."""
        state, env_steps = self.state, self._branch.steps_per_update
        state.stats = stats_of(advance)
        on_probation = state.baseline is not None
        falls = with_update(state.falls, advance.terminations, env_steps) if on_probation else []
        state.falls = falls

    def outlook(self, evaluation: Evaluation, *, whole: bool = True) -> dict[str, float | None]:
        """Return what an evaluation that is about to be noted says of the trend, for its record."""
        state = self.state
        if state.mode == "off":
            return {}
        return outlook([*state.points, self._point(evaluation, whole=whole)], self._settings)

    def note_evaluation(self, evaluation: Evaluation, *, whole: bool = True) -> None:
        """Take in an evaluation of the incumbent; pull a trigger where one is due.

        Args:
            evaluation: with nominal physics.
            whole: not a mere look at a policy on probation.
        """
        update, _ = self.books.when
        if self.state.mode == "off" or self.state.measure_lost_at == update:
            return
        try:
            self._take_in(evaluation, whole)
        except MeasureFailed as error:
            self.lose_measure(error.message, within="evaluation")

    def _take_in(self, evaluation: Evaluation, whole: bool) -> None:
        state = self.state
        _, env_steps = self.books.when
        point = self._point(evaluation, whole=whole)
        state.points = [*state.points, point][-MAX_POINTS:]
        if is_over(state.baseline, state.triggers, self._settings, env_steps):
            state.baseline = state.preference = None
            self.books.tell("kept", f"reward {self._branch.reward.id} has passed its probation")
        if state.goal.by_fitness and peak_of(state.points) is point:
            self.policies.keep_peak(self._branch, env_steps)
        for trajectory in evaluation.trajectories:
            self.bank.add(trajectory)
        busy = state.asked is not None or state.proposal is not None or state.waiting is not None
        # Nothing is changed for a goal that is about to be another one.
        busy = busy or state.asked_goal is not None
        if busy and state.baseline is None:
            return
        target, settings = state.goal.target, self._settings
        before = state.triggers = rearmed(state.triggers, state.points, target, settings)
        trigger = find_trigger(
            state.points, state.baseline, target, state.preference, before, settings, env_steps
        )
        if trigger is None and whole and not busy:
            self._watch_difficulty()
        if trigger is None or (busy and trigger.kind != "guard"):
            return
        needs_trial = trigger.kind != "target_reached" and trigger.what != "collapsed"
        if not self._trial_fits and not state.baseline and needs_trial:
            return  # no trial fits into what is left
        self.books.row(
            "trigger",
            TriggerValues(
                points=state.points,
                baseline=state.baseline,
                target=target,
                preference=state.preference,
                state=before,
                settings=settings,
                env_steps=env_steps,
                trigger=trigger,
            ),
        )
        state.triggers = after_trigger(state.triggers, trigger)
        self._pull(trigger)

    def _point(self, evaluation: Evaluation, *, whole: bool) -> EvalPoint:
        update, env_steps = self.books.when
        stats = self.state.stats
        return point_of(evaluation, self._branch, update, env_steps, stats, whole=whole)

    def tend(self, *, listen: bool = True) -> bool:
        """Do what can be done now: a trial that was to begin, an answer that has come.

        Args:
            listen: whether an answer may take effect already.

        Returns:
            Whether a trial was held.

        Raises:
            TrialAbandoned: it was not held to its end, because the run is to end.
        """
        answer = self.questions.poll(self.state, self._branch) if listen else None
        if isinstance(answer, Goal):
            self._take_goal(answer)
        elif isinstance(answer, GoalRefused):
            self.books.journal("goal_refused", {"message": answer.message})
            self._refuse_goal(answer.message)
        elif isinstance(answer, Proposal):
            self.books.journal("candidates", msgspec.to_builtins(answer))
            self._take_candidates(answer)
        try:
            return self._tend()
        except MeasureFailed as error:
            # What was begun is done anew by who judges now: a life that replays this does it once.
            self.lose_measure(error.message)
            return self._tend()

    def _tend(self) -> bool:
        self._follow_proposal()
        if self.state.proposal is None:
            return False
        # A kill in the trial costs no more than the trial.
        self._ledger.write_checkpoint()
        self._trying = True
        try:
            self._try(self.state.proposal)
        finally:
            self._trying = False
        return True

    def close(self) -> None:
        """Ask nothing any more."""
        self.questions.close()

    def replay(self, kind: str, values: dict[str, Any]) -> None:
        """Let an entry of the journal take effect once more."""
        self.lose_measure_within()
        match kind:
            case "goal":
                goal = msgspec.convert(values, Goal)
                # Older journals do not tell the number that its measure waited under.
                number = values.get("adaptation", 0)
                self.state.adaptations = max(self.state.adaptations, number)
                self.examiner.set_goal(goal, self._branch.client.task)
                self._adapt_with_goal(values.get("adapts", False))
                self._begin_goal(goal, values.get("by", "person"))
            case "goal_asked":
                # It is asked anew when the journal is behind, unless that holds what came of it.
                self.state.asked_goal = values["description"]
                self.state.goal_target = values["target"]
                self.questions.forget()
                self._adapt_with_goal(values.get("adapts", False))
            case "goal_refused":
                self._refuse_goal(values["message"])
            case "ask":
                self._pull(Trigger(kind="manual", what="ask", sentence=values["reason"]))
            case "candidates":
                self._take_candidates(msgspec.convert(values, Proposal))
            case "adopt":
                source = values["source"]
                # It has passed the gate of its time, whatever the present one says.
                preferred = None
                if source:
                    preferred = self._verdict(source, untried=True).preference
                forced = values.get("forced", False)
                if forced:
                    # Older journals do not say so: there, what was overruled spoke once more.
                    preferred = None
                name = values.get("name", "")
                reward = self._branch.make_reward(source)
                self._adopt_source(reward, preferred, overruled=forced, name=name)
            case "measure_failed":
                self._lose_measure(values["why"])
            case "rollback":
                self._roll_back("a person takes it back", "person")
            case "approve":
                self._approve(values["name"], compared=values.get("compared", False))
            case "reject":
                number, what = values["adaptation"], values.get("what", "")
                if what == "goal":
                    self._forget_goal(number)
                self._reject(number, what, values["reason"])
            case "knobs":
                ranges = msgspec.convert(values["ranges"], dict[str, tuple[float, float]])
                self._turn(ranges, values["difficulty"], "a person has set it so", "person")
            case "adapt_mode":
                self._set_mode(values["mode"], values.get("trying", False))
