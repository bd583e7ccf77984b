"""What a person says to the adaptation: a goal, a question, yes and no, and whether it adapts."""

from dataclasses import replace
from typing import Any

import msgspec

from websim.service.errors import UserError
from websim_learner.adaptation.gate import check_fitness
from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.guards import WORSE_THAN_BEFORE, has_outgrown
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.rows import By, YesValues
from websim_learner.adaptation.signals import Trigger
from websim_learner.adaptation.state import Waiting
from websim_learner.adaptation.unmeasured import Unmeasured
from websim_learner.adaptation.verdicts import goes_on
from websim_learner.rewards import Reward


class Steered(Unmeasured):
    """Does what a person says, and what their words lead to; each is journaled first."""

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
        adapts = self.state.follows_goal
        if measure is not None:
            told = "the goal is set"
            self._apply_goal(measure, "person", adapts=adapts)
        else:
            told = "asking how it is measured"
            self._ask_goal(description, target)
            # No kill before the answer makes a person say it twice.
            asked = {"description": description, "target": target, "adapts": adapts}
            self.books.journal("goal_asked", asked)
            self._adapt_with_goal(adapts)
        if adapts:
            return f"{told}; the run adapts from now on"
        only = self.state.mode == "off"
        return f"{told}; it is only measured until the run adapts" if only else told

    def _adapt_with_goal(self, adapts: bool) -> None:
        """Adapt from now on, where a goal turns that on."""
        if adapts:
            self._set_mode("auto", trying=False)

    def _ask_goal(self, description: str, target: float | None) -> None:
        self.questions.ask_goal(description, self._branch.client.task)
        self.state.asked_goal, self.state.goal_target = description, target
        self.books.tell("goal_asked", f'asking how "{description}" is measured')

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
        self._apply_goal(goal, "author")

    def _refuse_goal(self, message: str) -> None:
        """Go on for the goal there is: whoever was asked does not take the one in words."""
        words, self.state.asked_goal = self.state.asked_goal, None
        told = f'the goal "{words}" is not set: {message}'
        self.books.row("unanswered", {"path": "/v1/goals", "kind": "refused", "message": told})
        self.books.tell("unanswered", told)

    def _apply_goal(self, goal: Goal, by: By, *, adapts: bool = False) -> None:
        """Judge by another goal from now on; results so far stay with theirs."""
        goal = msgspec.structs.replace(goal, n=self.state.goal.n + 1)
        self.examiner.set_goal(goal, self._branch.client.task)
        # Its measure may have waited under a number, since an answer that is in no journal.
        more = {"adaptation": self.state.adaptations, "by": by, "adapts": adapts}
        self.books.journal("goal", msgspec.to_builtins(goal) | more)
        self._adapt_with_goal(adapts)
        self._begin_goal(goal, by)

    def _begin_goal(self, goal: Goal, by: By, what: str = "goal") -> None:
        """Go on for a goal; what was asked, to be tried or proposed for the one before is void.

        Args:
            goal: with its measure.
            by: whose measure it is, or who has said yes to it.
            what: was changed, for people.
        """
        state = self.state
        state.waiting = None
        self._answered("", f"the {what} was changed before a person chose")
        self._want_no_candidates()
        state.asked_goal = None
        self._judge_by(goal, by, task=self._branch.client.task.id if what == "task" else None)
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
        self._begin_goal(goal, "person", "task")

    def ask(self, reason: str) -> str:
        """Ask for candidates now."""
        self._require_idle()
        if self.state.asked is not None:
            raise UserError("candidates are being written", "Wait for them.")
        self.books.journal("ask", {"reason": reason})
        self._pull(Trigger(kind="manual", what="ask", sentence=reason or "a person asks"))
        return f"adaptation {self.state.adaptations}"

    def _pull(self, trigger: Trigger) -> None:
        self.books.tell("trigger", f"{trigger.kind}: {trigger.sentence}")
        if trigger.kind == "guard" and self._puts_back(trigger):
            return
        if trigger.kind == "guard" and self.policies.undo and self.state.baseline is not None:
            self._roll_back(trigger.sentence, "guard")
        elif trigger.kind == "target_reached":
            self._make_harder(trigger.numbers["target"], trigger.sentence)
        elif trigger.kind != "guard" or self._may_ask:
            self.state.adaptations += 1
            self.state.asked = trigger
            self.questions.ask_rewards(self.state, self._branch)

    def _puts_back(self, trigger: Trigger) -> bool:
        """Put the best policy since the last change back, where no more than that is called for."""
        state, what = self.state, trigger.what
        outgrown = (
            what not in WORSE_THAN_BEFORE
            and state.baseline is not None
            and has_outgrown(state.points, state.baseline, self._settings)
        )
        if what != "collapsed" and not outgrown:
            return False
        times = self._restore_peak(trigger.sentence)
        # Once may be chance; a reward that leads away from the same place again is at fault, unless
        # the one before has led to less.
        return outgrown or times == 1

    @property
    def _may_ask(self) -> bool:
        """Whether another adaptation is left to the run, and there is time for its trial."""
        cap = self._settings.max_adaptations
        return self.state.triggers.adaptations < cap and self._trial_fits

    def approve(self, adaptation: int, name: str) -> str:
        """Say yes to what waits."""
        waiting = self._waiting(adaptation)
        if waiting.goal is not None:
            self._apply_goal(waiting.goal, "person")
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
        made = self._branch.make_reward(self.policies.proposed[chosen].reward_source)
        self.books.journal("approve", {"adaptation": adaptation, "name": chosen, "compared": True})
        return self._judged(lambda: self._approve(chosen, reward=made))

    def _approve(self, chosen: str, *, compared: bool = True, reward: Reward | None = None) -> str:
        """Let a yes take effect.

        Args:
            chosen: name of the candidate; empty for an environment.
            compared: whether the policy of its trial has to be surely better than the one in
                training, to take its place; journals that do not say so were written without.
            reward: the candidate's, where it is made already.
        """
        waiting = self.state.waiting
        if waiting is not None and waiting.what == "environment":
            self.state.waiting = waiting.before
            why = "a person says yes"
            if waiting.task:
                return self._give(waiting.task, waiting.share, why, "person")
            return self._turn(waiting.ranges, waiting.difficulty, why, "person")
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
        self._answered(chosen, "a person chose otherwise")
        self._adopt(policy, baseline, None, why, "person", reward)
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
        values = {"adaptation": adaptation, "what": what, "by": "person", "why": why}
        self.books.row("rejected", values)
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
        self.state.mode, self.state.follows_goal = mode, False
