"""What the adapter knows, as data: it goes into checkpoints as JSON and is shown to people."""

from typing import Any, Literal

import msgspec

from websim_learner.adaptation.goal import Goal
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference
from websim_learner.adaptation.probation import Blocks
from websim_learner.adaptation.signals import Trigger, TriggerState
from websim_learner.control import AdaptMode

MAX_REWARDS = 64
"""Rewards that a run remembers; the oldest that came to nothing are forgotten first."""

MAX_POINTS = 64
"""Evaluations since the last change that triggers look back on."""

Origin = Literal["task", "person", "claude", "library", "replay"]
Outcome = Literal[
    "in_force", "candidate", "proposed", "adopted", "lost", "refused", "rolled_back", "failed"
]


class RewardEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A reward of the run and what became of it."""

    id: str
    """"task" or the program's; of a text that is no program, a name within the run."""
    name: str
    origin: Origin
    outcome: Outcome
    source: str | None
    hypothesis: str = ""
    reason: str = ""
    """Why it is where it is."""
    adaptation: int = 0
    update: int = 0
    goal: int = 0
    """Number of the goal it was written for; gains under another goal say nothing."""
    fitness_gain: float | None = None
    """Over the incumbent's control group."""
    fitness_gain_low: float | None = None
    """Lower confidence bound of it."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A reward that is to be tried."""

    name: str
    source: str
    origin: Origin
    hypothesis: str = ""
    refusal: str = ""
    """Why reward-gen's gate refused it; empty for one that is to be tried."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Candidates of one adaptation, journaled: the trial that follows depends on them alone."""

    adaptation: int
    candidates: tuple[Candidate, ...]
    diagnosis: str = ""
    reason: str = ""
    """Why there are none, where there are none."""
    ranges: dict[str, tuple[float, float]] = {}
    """Of knobs, where another environment is proposed."""
    refused: tuple[Candidate, ...] = ()
    """What was written besides and failed at reward-gen's gate: no trial, but the next author is
    told."""
    unanswered: bool = False
    """Whether nobody has answered."""
    understood: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()
    """Words of the goal that the candidates leave out."""
    failures: tuple[str, ...] = ()
    """Who else gave no answer, in sentences for people."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a person's yes."""

    adaptation: int
    what: Literal["goal", "reward", "environment"]
    sentence: str
    names: tuple[str, ...] = ()
    """Candidates to choose from; their policies are kept until there is an answer."""
    goal: Goal | None = None
    points: dict[str, EvalPoint] = {}
    """The last evaluation of each."""
    ranges: dict[str, tuple[float, float]] = {}
    """Of knobs, for "environment"."""
    difficulty: float | None = None
    task: str = ""
    """Another task for some of the envs, for "environment"."""
    share: float = 0.0
    """Of the envs, that it gets."""
    before: "Waiting | None" = None
    """What waited when this was put before it: it waits again once this is answered."""


class AdaptState(msgspec.Struct, kw_only=True):
    """Everything the adapter goes on from, but for policies and trajectories."""

    mode: AdaptMode = "off"
    follows_goal: bool = False
    """Whether the next goal turns adapting on, which nobody has said a word about."""
    goal: Goal = Goal()
    asked: Trigger | None = None
    """What candidates are being written for."""
    asked_goal: str | None = None
    """Words whose measure is being asked for."""
    goal_target: float | None = None
    proposal: Proposal | None = None
    waiting: Waiting | None = None
    adaptations: int = 0
    """Number of the present or last adaptation."""
    points: list[EvalPoint] = []
    baseline: EvalPoint | None = None
    """The evaluation from just before the last adoption, while that is on probation."""
    preference: Preference | None = None
    """Of the reward in force, while it is on probation."""
    falls: Blocks = []
    """Terminations since the adoption that is on probation."""
    triggers: TriggerState = msgspec.field(default_factory=TriggerState)
    rewards: list[RewardEntry] = []
    undo: list[str] = []
    """Ids of the rewards that the kept policies go back to, oldest first."""
    difficulty: float = 0.0
    """The last one that was set; knobs may have been turned by name since."""
    ranges: dict[str, tuple[float, float]] = {}
    """Of knobs that were turned."""
    at_difficulty: list[float] = []
    """What evaluations with these ranges gave, since they changed, the oldest first."""
    measure_lost_at: int | None = None
    """Updates done when the goal's measure failed: no evaluation made then is taken in."""
    stats: dict[str, float] = {}
    """Of the last update: value_loss and so on."""
    log_rows: int = 0
    """Rows of adaptations.jsonl."""
    log_sha256: str = ""
    """Digest of the newest of them."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, for a checkpoint."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    def entry(self, reward_id: str) -> RewardEntry | None:
        """Return the newest reward of that id."""
        return next((each for each in reversed(self.rewards) if each.id == reward_id), None)

    def note(self, reward_id: str, **changes: object) -> None:
        """Change what is known of a reward."""
        for index in range(len(self.rewards) - 1, -1, -1):
            if self.rewards[index].id == reward_id:
                self.rewards[index] = msgspec.structs.replace(self.rewards[index], **changes)
                return

    def add(self, entry: RewardEntry) -> None:
        """Remember a reward; one of the same id is replaced."""
        self.rewards = [each for each in self.rewards if each.id != entry.id] + [entry]
        while len(self.rewards) > MAX_REWARDS:
            kept = ("in_force", "proposed", "adopted")
            forgotten = next(
                (each for each in self.rewards if each.outcome not in kept), self.rewards[0]
            )
            self.rewards.remove(forgotten)
