"""Adoption and rollback: reward, policy and optimiser change together, between two updates."""

from dataclasses import replace

from websim.service.errors import UserError
from websim_learner.adaptation.core import AdapterCore
from websim_learner.adaptation.guards import peak_of
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference
from websim_learner.adaptation.rows import By
from websim_learner.adaptation.signals import after_restored, after_rollback, without_adoption
from websim_learner.adaptation.state import RewardEntry
from websim_learner.adaptation.trend import mean_of
from websim_learner.policy_state import PolicyState
from websim_learner.rewards import TASK_REWARD_ID, Reward

SMALLER = 0.5
"""Times the steps before, by which a policy that is put back goes on learning."""

LEAST_STEP_SHARE = 0.125
"""However often: it is to go on learning."""


class Adoptions(AdapterCore):
    """Lets the incumbent go on under another reward, and takes that back."""

    @property
    def spare(self) -> str | None:
        """Source of what takes over where the present reward fails; None: the task's own does.

        It is the reward from before the last adoption.
        """
        return self.policies.undo[-1].reward_source if self.policies.undo else None

    def adopt_reward(self, reward: str, force: bool, name: str = "") -> str:
        """Adopt a reward without a trial; the guards watch what comes of it.

        Args:
            reward: id of a known one, or a program.
            force: adopt it although it prefers worse behaviour.
            name: what people call a program that is not known yet; empty for "by hand".
        """
        entry = self.state.entry(reward)
        source = entry.source if entry is not None else reward
        preferred, forced = None, False
        if reward != TASK_REWARD_ID:
            if source is None or (entry is None and "def " not in source):
                raise UserError(
                    f"there is no reward {reward[:60]}", "`websim rewards list` lists them."
                )
            checked = self._checked(source, force=force, untried=True)
            forced = not checked.accepted
            # A preference that a person overrules takes nothing back; lost fitness does, and soon.
            preferred = None if forced else checked.preference
        source = None if reward == TASK_REWARD_ID else source
        # What cannot be run is refused before the journal has it: the next life would run it.
        made = self._branch.make_reward(source)
        named = {"name": name} if name else {}
        self.books.journal("adopt", {"source": source, "forced": forced, **named})
        return self._judged(
            lambda: self._adopt_source(made, preferred, overruled=forced, name=name)
        )

    def _adopt_source(
        self, reward: Reward, preferred: Preference | None, *, overruled: bool, name: str
    ) -> str:
        """Go on with the present policy under another reward."""
        policy = replace(self._branch.policy_state(), reward_source=reward.source)
        baseline = self._baseline()
        self._remember_by_hand(reward, name)
        self._adopt(
            policy, baseline, preferred, "a person adopts it", "person", reward, adaptation=0
        )
        self._begin_probation(overruled=overruled)
        return self._branch.reward.id

    def _remember_by_hand(self, reward: Reward, name: str = "") -> None:
        if self.state.entry(reward.id) is None:
            self.state.add(RewardEntry(
                id=reward.id, name=name or "by hand", origin="person", outcome="candidate",
                source=reward.source, goal=self.state.goal.n,
            ))  # fmt: skip

    def _adopt(
        self,
        policy: PolicyState,
        baseline: EvalPoint,
        preferred: Preference | None,
        why: str,
        by: By,
        reward: Reward | None = None,
        adaptation: int | None = None,
    ) -> None:
        state = self.state
        before = self._branch.reward.id
        self.policies.adopt(self._branch, policy, reward)
        after = self._branch.reward.id
        state.note(before, outcome="adopted")
        state.note(after, outcome="in_force", reason=why, update=self._ledger.updates)
        state.undo = [*state.undo, before][-len(self.policies.undo) :]
        state.points, state.falls = [], []
        if state.goal.by_fitness:
            # Where a person judges there is no probation: no number overrules their yes.
            state.baseline, state.preference = baseline, preferred
        fitness = mean_of(baseline.fitness)
        values = {
            "reward_id": after, "before": before, "by": by, "why": why, "fitness": fitness
        }  # fmt: skip
        self.books.row("adopted", values, adaptation)
        self.books.tell("adopted", f"reward {after} is in force: {why}", **values)

    def roll_back(self, reward: str) -> str:
        """Take back the last adoption on a person's word.

        Args:
            reward: the one that the person saw in force: a guard may have taken it back since.
                Empty where they take back whatever is.

        Raises:
            UserError: nothing was adopted, or another reward is in force.
        """
        if not self.policies.undo:
            undone = any(entry.outcome == "rolled_back" for entry in self.state.rewards)
            remedy = "No reward was adopted so far."
            if undone:
                remedy = "What was adopted has been taken back: see `websim rewards list`."
            raise UserError("there is nothing to take back", remedy)
        in_force = self._branch.reward.id
        if reward not in ("", in_force):
            raise UserError(
                f"{reward[:60]} is not in force, {in_force} is", "See `websim rewards list`."
            )
        made = self._branch.make_reward(self.policies.undo[-1].reward_source)
        self.books.journal("rollback", {})
        return self._roll_back("a person takes it back", "person", made)

    def _roll_back(self, why: str, by: By, reward: Reward | None = None) -> str:
        state = self.state
        undone = self._branch.reward.id
        self.policies.roll_back(self._branch, reward)
        after = self._branch.reward.id
        state.note(undone, outcome="rolled_back", reason=why)
        state.note(after, outcome="in_force", update=self._ledger.updates)
        state.undo = state.undo[:-1]
        state.baseline = state.preference = None
        state.points = []
        state.triggers = after_rollback(state.triggers, self._ledger.env_steps)
        values = {"reward_id": after, "undone": undone, "by": by, "why": why}
        self.books.row("rolled_back", values)
        self.books.tell("rolled_back", f"{undone} is taken back, {after} is in force: {why}")
        return after

    def require_off(self) -> None:
        """Refuse a reward that passes no gate where the run adapts: guards hold losses against it.

        Raises:
            UserError: the run adapts.
        """
        if self.state.mode != "off":
            raise UserError(
                "this run adapts: set_reward would go round its gate and its books",
                "Use `websim rewards adopt FILE` (adopt_reward), with --force whatever it prefers.",
            )

    def _restore_peak(self, why: str) -> int | None:
        """Put the best policy since the last change back, under the same reward, if it is kept.

        It goes on by smaller steps: those that were taken have led away from it.

        Returns:
            How often it was put back by now; None where it is not kept.
        """
        state = self.state
        best, peak = peak_of(state.points), self.policies.peak
        if best is None or peak is None or best.env_steps != self.policies.peak_env_steps:
            return None
        share = max(LEAST_STEP_SHARE, SMALLER * self._branch.algorithm.step_share)
        self._branch.take_over(replace(peak, step_share=share))
        self.policies.times_put_back += 1
        # What learning goes on from is worth what it was, and where it led is no trend of it.
        state.points = [best]
        state.triggers = after_restored(state.triggers)
        why = f"{why} It learns on by {share:g} of the learning rate."
        values = {
            "peak_env_steps": best.env_steps, "fitness": mean_of(best.fitness),
            "by": "guard", "why": why, "step_share": share,
        }  # fmt: skip
        self.books.row("restored", values)
        told = f"the policy of {best.env_steps:,} steps is put back: {why}"
        self.books.tell("restored", told, **values)
        return self.policies.times_put_back

    def note_reward(self) -> None:
        """Take note that a person has set the branch's present reward, without an adoption."""
        reward = self._branch.reward
        self._remember_by_hand(reward)
        self._put_in_force(reward.id, "a person sets it", self._ledger.updates)

    def _put_in_force(self, reward_id: str, reason: str, update: int) -> None:
        """Write down what is in force without an adoption: nothing is on probation."""
        state = self.state
        for entry in state.rewards:
            if entry.outcome == "in_force":
                state.note(entry.id, outcome="adopted")
        state.note(reward_id, outcome="in_force", reason=reason, update=update)
        state.baseline = state.preference = None
        state.points = []
        state.triggers = without_adoption(state.triggers)

    def note_failure(self, failed: str, why: str, update: int) -> None:
        """Take note that the branch's present reward has taken over from one that failed.

        Args:
            failed: id of the reward that gives no numbers any more.
            why: for people.
            update: updates that were done before the present reward judged.
        """
        after = self._branch.reward.id
        if self.state.entry(after) is None:
            self._remember_first()
        self._put_in_force(after, "", update)
        self.note_late_failure(failed, why)

    def note_late_failure(self, failed: str, why: str) -> None:
        """Take note that a reward failed that is in force no more; what is in force stays."""
        state, after = self.state, self._branch.reward.id
        state.note(failed, outcome="failed", reason=why)
        values = {"reward_id": after, "undone": failed, "why": why}
        self.books.row("failed", values)
        self.books.tell("failed", f"{failed} failed, {after} is in force: {why}")
