"""What tests of who judges an adaptation share: an author who answers when told to, and so on."""

from staging import sends

from websim_learner.adaptation import answers
from websim_learner.adaptation.answers import Provenance, RewardAnswer, Verdict
from websim_learner.adaptation.author import Answered
from websim_learner.control import SetAdapt, TryReward

OFF = SetAdapt(kind="set_adapt", mode="off")


def said(h):
    return [each.message for each in h.run.stream.after(0, 10_000) if hasattr(each, "event")]


def tries(source, name):
    return sends(TryReward(kind="try_reward", source=source, name=name))


class AskedAuthor:
    """Stands for the client of a reward-gen that answers when a test lets it."""

    def __init__(self):
        self.asked, self.busy, self.banner = [], False, ""
        self.outcome = None

    def ask(self, path, body):
        assert not self.busy
        self.asked.append((path, body))
        self.busy = True

    def answers(self, source):
        """Answer with a candidate."""
        candidate = answers.Candidate(
            name="written",
            program=source,
            verdict=Verdict(accepted=True),
            provenance=Provenance(provider="claude"),
        )
        body = RewardAnswer(
            request_sha256="",
            provider="claude",
            diagnosis="it stagnates",
            action="new_reward",
            candidates=(candidate,),
        )
        self.outcome = Answered("/v1/rewards", body)

    def poll(self):
        outcome, self.outcome = self.outcome, None
        self.busy = self.busy and outcome is None
        return outcome

    def give_up(self):
        pass

    def close(self):
        pass


def in_the_trial(h, call, do):
    """Do something when a trial has come to a call of what it does between two updates."""
    original, calls = h.run._trainer.orders.during_trial, []

    def watched():
        calls.append(1)
        if len(calls) == call:
            do(h)
        original()

    h.run._trainer.orders.during_trial = watched
