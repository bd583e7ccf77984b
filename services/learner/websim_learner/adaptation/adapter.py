"""The loop that adapts training: trigger, candidates, gate, trial, decision, and back if need be.

Called by the trainer between two updates. Everything here is a function of evaluations, which the
run's seed determines, and of what came from outside, which is journaled before it takes effect.
"""

from dataclasses import replace
from typing import Any

import msgspec

from websim.service.errors import UserError
from websim_learner.adaptation.examiner import point_of, stats_of
from websim_learner.adaptation.gate import check_fitness
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.guards import peak_of
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.adaptation.outlook import outlook
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.probation import adopted_at, is_over, looks_due
from websim_learner.adaptation.questions import GoalRefused
from websim_learner.adaptation.rows import TriggerValues, YesValues
from websim_learner.adaptation.signals import Trigger, after_trigger
from websim_learner.adaptation.state import MAX_POINTS, Proposal, Waiting
from websim_learner.adaptation.triggers import find_trigger, rearmed
from websim_learner.adaptation.unmeasured import Unmeasured
from websim_learner.adaptation.verdicts import goes_on
from websim_learner.advance import Advance
from websim_learner.evaluation import Evaluation

PROBATION_EPISODES = 10
"""Of a look at a policy on probation: losses that count show in as many."""


class Adapter(Unmeasured):
    """Adapts one run: what the trainer calls, and what a person says."""

    def begin(self, goal: str | None, target: float | None) -> None:
        """Go on where the state stands; a run that is new asks for its goal's measure."""
        state = self.state
        self.examiner.set_goal(state.goal, self._branch.client.task)
        self.books.go_back(state.log_rows)
        if not state.rewards:
            self._remember_first()
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

    def wants_look(self) -> bool:
        """Return whether an adoption is on probation and it is time to look at its policy."""
        baseline = self.state.baseline
        if self.state.mode == "off" or baseline is None:
            return False
        now = self._ledger.env_steps - adopted_at(baseline, self.state.triggers)
        return looks_due(now) > looks_due(now - self._branch.steps_per_update)

    def note_advance(self, advance: Advance) -> None:
        """Take note of an update of the incumbent."""
        self.state.stats = stats_of(advance)

    def outlook(self, evaluation: Evaluation, *, whole: bool = True) -> dict[str, float | None]:
        """Return what an evaluation that is about to be noted says of the trend, for its record."""
        state = self.state
        if state.mode == "off":
            return {}
        update, env_steps = self.books.when
        point = point_of(evaluation, self._branch, update, env_steps, state.stats, whole=whole)
        return outlook([*state.points, point], self._settings)

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
        update, env_steps = self.books.when
        point = point_of(evaluation, self._branch, update, env_steps, state.stats, whole=whole)
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
        over = env_steps + self._trials.env_steps(self._branch, 2) > self._ledger.total_steps
        needs_trial = trigger.kind != "target_reached" and trigger.what != "collapsed"
        if over and not state.baseline and needs_trial:
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

    def set_goal(self, description: str, measure: Goal | None, target: float | None) -> str:
        """Begin to work towards another goal, or ask how it is measured.

        Args:
            description: in words.
            measure: how it is measured; None: as reward-gen says.
            target: fitness at which it is reached.

        Raises:
            UserError: nobody can say how it is measured, or the measure is refused.
        """
        if not description.strip():
            raise UserError("the goal is empty", "Say in words what is to be learned.")
        if measure is not None:
            self._apply_goal(measure)
            return "the goal is set"
        self._ask_goal(description, target)
        # No kill before the answer makes a person say it twice.
        self.books.journal("goal_asked", {"description": description, "target": target})
        return "asking how it is measured"

    def _ask_goal(self, description: str, target: float | None) -> None:
        self.questions.ask_goal(description, self._branch.client.task)
        self.state.asked_goal, self.state.goal_target = description, target
        self.books.tell("goal", f'asking how "{description}" is measured')

    def _take_goal(self, goal: Goal) -> None:
        self.state.asked_goal = None
        if goal.kind == "program":
            try:
                check_fitness(goal.program or "", self._branch.client.task)
            except UserError as error:
                # A neighbour's "checked" is not believed, and what it says ends no run.
                goal = goal.without_measure(error.message)
                self.books.tell("refused", f'"{goal.description}": {goal.trouble}')
        if self.state.mode == "approve":
            self.state.adaptations += 1
            sentence = f'"{goal.description}" is measured by: {goal.in_words}'
            self._wait(Waiting(
                adaptation=self.state.adaptations, what="goal", sentence=sentence, goal=goal
            ))  # fmt: skip
            return
        self._apply_goal(goal)

    def _refuse_goal(self, message: str) -> None:
        """Go on for the goal there is: whoever was asked does not take the one in words."""
        words, self.state.asked_goal = self.state.asked_goal, None
        told = f'the goal "{words}" is not set: {message}'
        self.books.row("unanswered", {"path": "/v1/goals", "kind": "refused", "message": told})
        self.books.tell("unanswered", told)

    def _apply_goal(self, goal: Goal) -> None:
        """Judge by another goal from now on; results so far stay with theirs."""
        goal = msgspec.structs.replace(goal, n=self.state.goal.n + 1)
        self.examiner.set_goal(goal, self._branch.client.task)
        self.books.journal("goal", msgspec.to_builtins(goal))
        self._begin_goal(goal)

    def _begin_goal(self, goal: Goal) -> None:
        """Go on for a goal; what was asked, to be tried or proposed for the one before is void."""
        state = self.state
        state.waiting = None
        self._answered("")
        self._want_no_candidates()
        state.asked_goal = None
        self._judge_by(goal)
        words = goal.description or "the task as it is"
        self.books.tell("goal", f'goal: "{words}", {goal.in_words}')
        if state.mode != "off" and goal.kind != "task":
            self._pull(Trigger(kind="manual", what="goal", sentence="a goal was set"))

    def change_task(self) -> None:
        """Work towards the own purpose of the task that the incumbent has by now.

        What was found for the task before stays with its goal: rewards keep their outcome there,
        and a question, a trial that was to come or a yes that is waited for come to nothing.
        """
        state, branch = self.state, self._branch
        state.goal_target = None
        state.ranges, state.difficulty, state.at_difficulty = {}, 0.0, []
        state.undo, self.policies.undo, self.policies.peak = [], [], None
        for entry in state.rewards:
            if entry.outcome == "in_force":
                state.note(entry.id, outcome="adopted", reason="the task was changed")
        if state.entry(branch.reward.id) is None:
            self._remember_first()
        state.note(branch.reward.id, outcome="in_force", reason="", update=self._ledger.updates)
        measure = f"the own fitness of {branch.client.task.id}"
        goal = Goal(n=state.goal.n + 1, fitness_description=measure)
        self.examiner.change_task(goal, branch.client.task)
        self._begin_goal(goal)

    def ask(self, reason: str) -> str:
        """Ask for candidates now."""
        self._require_on()
        if self.state.asked is not None or self.state.waiting is not None:
            raise UserError("an adaptation is under way", "Wait for it, or answer what it asks.")
        self.books.journal("ask", {"reason": reason})
        self._pull(Trigger(kind="manual", what="ask", sentence=reason or "a person asks"))
        return f"adaptation {self.state.adaptations}"

    def _pull(self, trigger: Trigger) -> None:
        self.books.tell("trigger", f"{trigger.kind}: {trigger.sentence}")
        if trigger.what == "collapsed" and self._restore_peak(trigger.sentence):
            return
        if trigger.kind == "guard" and self.policies.undo and self.state.baseline is not None:
            self._roll_back(trigger.sentence)
        elif trigger.kind == "target_reached":
            self._make_harder(trigger.numbers["target"], trigger.sentence)
        else:
            self.state.adaptations += 1
            self.state.asked = trigger
            self.books.adapting = f"candidates are being written: {trigger.sentence}"
            self.questions.ask_rewards(self.state, self._branch)

    def approve(self, adaptation: int, name: str) -> str:
        """Say yes to what waits."""
        waiting = self._waiting(adaptation)
        if waiting.goal is not None:
            self._apply_goal(waiting.goal)
            return "the goal is set"
        if waiting.what == "environment":
            self.books.journal("approve", {"adaptation": adaptation, "name": ""})
            return self._approve("")
        chosen = name or (waiting.names[0] if len(waiting.names) == 1 else "")
        if chosen not in waiting.names:
            raise UserError(
                f"adaptation {adaptation} has no candidate {name!r}",
                f"Choose from: {', '.join(waiting.names)}.",
            )
        self.books.journal("approve", {"adaptation": adaptation, "name": chosen, "compared": True})
        return self._judged(lambda: self._approve(chosen))

    def _approve(self, chosen: str, *, compared: bool = True) -> str:
        """Let a yes take effect.

        Args:
            chosen: name of the candidate; empty for an environment.
            compared: whether the policy of its trial has to be surely better than the one in
                training, to take its place; journals that do not say so were written without.
        """
        waiting = self.state.waiting
        if waiting is not None and waiting.what == "environment":
            self.state.waiting = waiting.before
            why = "a person says yes"
            if waiting.task:
                return self._give(waiting.task, waiting.share, why)
            return self._turn(waiting.ranges, waiting.difficulty, why)
        policy, why = self.policies.proposed[chosen], "a person says yes"
        baseline = self._baseline()
        tried = waiting.points.get(chosen) if waiting is not None and compared else None
        # Without a number nobody can say what training has been worth since.
        if (
            tried is not None
            and self.state.goal.by_fitness
            and self._stays(chosen, baseline, tried)
        ):
            why += "; the policy goes on from where it is by now"
            policy = replace(self._branch.policy_state(), reward_source=policy.reward_source)
        self._answered(chosen)
        self._adopt(policy, baseline, None, why)
        self._begin_probation()
        return self._branch.reward.id

    def _stays(self, chosen: str, present: EvalPoint, tried: EvalPoint) -> bool:
        """Return whether the policy in training goes on, under the reward that was chosen."""
        confidence = self._settings.loss_confidence
        stays = goes_on(present, tried, confidence)
        self.books.row("yes", YesValues(
            name=chosen, present=present, tried=tried, confidence=confidence, goes_on=stays
        ))  # fmt: skip
        return stays

    def reject(self, adaptation: int, reason: str) -> str:
        """Say no to what waits."""
        waiting = self._waiting(adaptation)
        what = waiting.what
        self.books.journal("reject", {"adaptation": adaptation, "what": what, "reason": reason})
        self._reject(adaptation, what, reason)
        return what

    def _forget_goal(self, adaptation: int) -> None:
        """Let a measure that the journal says no to wait where its answer did not come again."""
        state = self.state
        state.asked_goal = None
        if state.waiting is None or state.waiting.what != "goal":
            state.adaptations = max(state.adaptations, adaptation)
            state.waiting = Waiting(
                adaptation=adaptation, what="goal", sentence="", before=state.waiting
            )

    def _reject(self, adaptation: int, what: str, reason: str) -> None:
        why = f"a person says no{': ' + reason if reason else ''}"
        self._answered("", why)
        self.books.row("rejected", {"adaptation": adaptation, "what": what, "why": why})
        self.books.tell("rejected", why)

    def set_mode(self, mode: Any) -> str:  # noqa: ANN401 - AdaptMode, checked by its sender
        """Adapt by itself, after a yes, or not at all."""
        self.books.journal("adapt_mode", {"mode": mode, "trying": self._trying})
        self._set_mode(mode, self._trying)
        return str(mode)

    def _set_mode(self, mode: Any, trying: bool) -> None:  # noqa: ANN401 - AdaptMode
        """Adapt otherwise from now on.

        Args:
            mode: as `set_mode` takes it.
            trying: whether a trial was under way: it is held to its end in every life of the run,
                for its steps count.
        """
        if mode == "off" and not trying:
            self._want_no_candidates()
        else:
            # The environment was changed before the trial, under the former mode; a life that
            # replays this before it does so here.
            self._follow_proposal()
        self.state.mode = mode

    def replay(self, kind: str, values: dict[str, Any]) -> None:
        """Let an entry of the journal take effect once more."""
        self.lose_measure_within()
        match kind:
            case "goal":
                goal = msgspec.convert(values, Goal)
                self.examiner.set_goal(goal, self._branch.client.task)
                self._begin_goal(goal)
            case "goal_asked":
                # It is asked anew when the journal is behind, unless that holds what came of it.
                self.state.asked_goal = values["description"]
                self.state.goal_target = values["target"]
                self.questions.forget()
            case "goal_refused":
                self._refuse_goal(values["message"])
            case "ask":
                self._pull(Trigger(kind="manual", what="ask", sentence=values["reason"]))
            case "candidates":
                self._take_candidates(msgspec.convert(values, Proposal))
            case "adopt":
                source = values["source"]
                # It has passed the gate of its time, whatever the present one says.
                preferred = self._verdict(source).preference if source else None
                self._adopt_source(source, preferred)
            case "measure_failed":
                self._lose_measure(values["why"])
            case "rollback":
                self._roll_back("a person takes it back")
            case "approve":
                self._approve(values["name"], compared=values.get("compared", False))
            case "reject":
                number, what = values["adaptation"], values.get("what", "")
                if what == "goal":
                    self._forget_goal(number)
                self._reject(number, what, values["reason"])
            case "knobs":
                ranges = msgspec.convert(values["ranges"], dict[str, tuple[float, float]])
                self._turn(ranges, values["difficulty"], "a person turns them")
            case "adapt_mode":
                self._set_mode(values["mode"], values.get("trying", False))
