"""What tests of questions to reward-gen share: an author whose answers come when a test says."""

from judging import AskedAuthor

from websim_learner.adaptation import answers
from websim_learner.adaptation.answers import (
    Exchange,
    Failure,
    GoalAnswer,
    Issue,
    Provenance,
    RewardAnswer,
    Usage,
    Verdict,
)
from websim_learner.adaptation.author import Answered
from websim_learner.control import Ask, SetGoal

BACKWARDS = SetGoal(kind="set_goal", description="run backwards while juggling", target=0.5)

ASK = Ask(kind="ask", reason="stuck")

NOTHING = "def reward(state, action):\n    return 0.0 * state.x\n"
"""A reward that says nothing: the first evaluation asks for another one."""

MEASURED = GoalAnswer(
    kind="program",
    program="def fitness(state, action):\n    return -state.x\n",
    accumulate="max",
    unit="m",
    description="net displacement backwards",
    understood=("run backwards",),
    not_understood=("juggling",),
    provider="library",
    failures=(Failure(provider="claude", kind="refusal", message="the model declined"),),
    usage=Usage(attempts=1, usd=0.25),
    exchanges=(Exchange(model="m", system="the rules", prompt="asked", response="said"),),
)


def written(name, program, *issues):
    verdict = Verdict(
        accepted=not issues, issues=tuple(Issue(reason=r, message=m) for r, m in issues)
    )
    provenance = Provenance(provider="library")
    return answers.Candidate(name=name, program=program, verdict=verdict, provenance=provenance)


def wrote(*candidates, **more):
    return Answered("/v1/rewards", RewardAnswer(**{
        "request_sha256": "", "provider": "library", "diagnosis": "it stagnates",
        "action": "new_reward", "candidates": candidates, **more,
    }))  # fmt: skip


class Scripted(AskedAuthor):
    """Stands for the client of a reward-gen: the n-th answer comes at the n-th update named."""

    def __init__(self, *script):
        super().__init__()
        self._script, self.now = list(script), lambda: 0

    def poll(self):
        if self.busy and self._script and self.now() >= self._script[0][0]:
            self.outcome = self._script.pop(0)[1]
        return super().poll()


def said(h, event):
    told = [each for each in h.run.stream.after(0, 10_000) if hasattr(each, "event")]
    return [each.message for each in told if each.event == event]
