"""Candidates and what becomes of them: the gate, a trial beside the incumbent, and its decision."""

import msgspec

from websim_learner.adaptation.contest import CONTROL
from websim_learner.adaptation.environment import Environments
from websim_learner.adaptation.gate import Checked
from websim_learner.adaptation.goal import caveat
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.signals import after_adaptation
from websim_learner.adaptation.state import Candidate, Proposal, Waiting
from websim_learner.adaptation.trial import Outcome, TrialFailed

COST = (
    "A yes goes on with the policy of this trial: what the present one learns until then "
    "comes back with `websim rewards rollback` only."
)
"""What a late yes costs where no number says which policy is better."""


class TrialAbandoned(Exception):
    """A person ends the run while a trial is under way: its result is not waited for."""


class Tryouts(Environments):
    """Lets candidates be tried, and acts on what came of it."""

    def try_reward(self, source: str, name: str) -> str:
        """Try a person's reward beside the one in force; it goes before what is being written."""
        self._require_idle()
        checked = self._checked(source, force=True)
        candidate = Candidate(name=name, source=source, origin="person")
        proposal = Proposal(adaptation=self.state.adaptations + 1, candidates=(candidate,))
        self.books.journal("candidates", msgspec.to_builtins(proposal))
        self._take_candidates(proposal)
        return checked.program_id

    def _take_candidates(self, proposal: Proposal) -> None:
        """Keep candidates; their trial is held before the next update."""
        state = self.state
        if state.asked is not None and proposal.adaptation > state.adaptations:
            self._withdraw_question()
        state.asked, state.proposal = None, proposal
        state.adaptations = max(state.adaptations, proposal.adaptation)
        for each in proposal.refused:
            verdict = Checked(accepted=False, tier="language", message=each.refusal)
            self._remember(each, verdict, proposal.adaptation)
        self.books.row("answer", proposal)
        names = ", ".join(candidate.name for candidate in proposal.candidates) or proposal.reason
        left_out = caveat(proposal.not_understood, proposal.failures)
        said = f"{proposal.diagnosis or 'candidates'}: {names}"
        self.books.tell("candidates", f"{said}. {left_out}" if left_out else said)

    def _withdraw_question(self) -> None:
        """Want no answer to what candidates are being written for, and say so."""
        why = "the question for candidates is withdrawn: a person tries a reward of their own"
        self.books.row("unanswered", {"path": "/v1/rewards", "kind": "withdrawn", "message": why})
        self.books.tell("unanswered", why)
        self._want_no_candidates()

    def _follow_proposal(self) -> None:
        """Go towards the ranges that are proposed; no later life does it a second time."""
        proposal = self.state.proposal
        if proposal is None or not proposal.ranges:
            return
        reason = proposal.reason
        if self.state.mode != "off":
            done = self._try_ranges(proposal.ranges, proposal.diagnosis or "it is proposed")
            reason = reason or done
        self.state.proposal = msgspec.structs.replace(proposal, ranges={}, reason=reason)

    def _try(self, proposal: Proposal) -> None:
        known = self._known_behaviours()
        try:
            verdicts = self._trials.admit(
                proposal.candidates, self._branch, known, self.bank.trajectories
            )
        finally:
            self.books.trying = ""
        accepted = []
        for candidate in proposal.candidates:
            checked = verdicts[candidate.name]
            self._remember(candidate, checked, proposal.adaptation)
            if checked.accepted:
                accepted.append(candidate)
            else:
                self.books.tell("refused", f"{candidate.name}: {checked.message}")
        planned = self._trials.env_steps(self._branch, 1 + len(accepted))
        reason = proposal.reason or "no candidate passed the gate"
        left = self._ledger.total_steps - self._ledger.env_steps
        if accepted and planned > left:
            accepted = []
            reason = (
                f"a trial takes {planned:,} steps and {left:,} are left; "
                "go on with the run for more --total-steps, and ask again"
            )
        if not accepted:
            why = f"nothing is changed: {reason}"
            self._keep(why)
            self._end(why, answered=not proposal.unanswered)
            return
        before = self._ledger.state
        self._ledger.enter("adapting")
        try:
            env_steps = self._ledger.env_steps
            outcome = self._trials.hold(
                self._branch, accepted, env_steps, proposal.adaptation, self.state.ranges
            )
        except TrialFailed as failure:
            self._branch.count_steps(failure.env_steps)
            why = f"nothing is changed: {failure}"
            self._keep(why)
            self._end(why)
            return
        finally:
            self.books.trying = ""
            self._ledger.enter(before)
        self._branch.count_steps(outcome.env_steps)
        tried = {c.name: verdicts[c.name] for c in accepted}
        self._conclude(proposal.adaptation, outcome, tried)

    def _conclude(self, adaptation: int, outcome: Outcome, verdicts: dict[str, Checked]) -> None:
        """Adopt, propose, or keep the incumbent as its control group has trained on."""
        state, decision, sentence = self.state, outcome.decision, outcome.decision.sentence
        if state.mode == "off":
            sentence = f"{sentence} Adaptation was turned off meanwhile: nothing is adopted."
        control = outcome.policies.get(CONTROL)
        for name, checked in verdicts.items():
            best = name == decision.winner
            state.note(
                checked.program_id,
                outcome="lost",
                reason=sentence,
                fitness_gain=decision.gain_mean if best else None,
                fitness_gain_low=decision.gain_low if best else None,
            )
        if control is not None:
            # What the control group learned is not lost, whoever wins: it is what is gone back to.
            self._branch.take_over(control)
        left = [name for name in outcome.policies if name != CONTROL]
        adopted = False
        winner = decision.winner
        if state.mode == "off":
            self._keep(sentence)
        elif self._asks_first and left and (decision.promote or not state.goal.by_fitness):
            names = left if winner is None else [winner]
            self.policies.proposed = {name: outcome.policies[name] for name in names}
            for name in names:
                state.note(verdicts[name].program_id, outcome="proposed")
            asked = decision.sentence if state.goal.by_fitness else f"{decision.sentence} {COST}"
            self._wait(Waiting(
                adaptation=adaptation, what="reward", sentence=asked,
                names=tuple(names), points={n: outcome.points[n] for n in names},
            ))  # fmt: skip
        elif decision.promote and winner is not None:
            adopted = True
            self._adopt(
                outcome.policies[winner], outcome.points[CONTROL], verdicts[winner].preference,
                decision.sentence, "trial",
            )  # fmt: skip
        self._end(sentence, adopted)
        goes_on = winner if adopted and winner is not None else CONTROL
        if goes_on in outcome.points:
            self._begin_with(outcome.points[goes_on])

    def _begin_with(self, point: EvalPoint) -> None:
        """Let the policy that goes on be worth what its trial has measured: its best so far."""
        update, env_steps = self.books.when
        self.state.points = [msgspec.structs.replace(point, update=update, env_steps=env_steps)]
        self.policies.keep_peak(self._branch, env_steps)

    def _keep(self, why: str) -> None:
        """Write down that the reward in force stays, whatever its trial has shown."""
        self.books.row("kept", {"reward_id": self._branch.reward.id, "why": why})

    def _end(self, sentence: str, adopted: bool = False, answered: bool = True) -> None:
        state = self.state
        env_steps = self._ledger.env_steps
        state.triggers = after_adaptation(
            state.triggers, env_steps, adopted=adopted, answered=answered
        )
        # What was seen before says nothing of the policy that goes on from here.
        state.points = []
        self.books.trying = ""
        self.books.tell("ended", sentence)
        state.asked = state.proposal = None
