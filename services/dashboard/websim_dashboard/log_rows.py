"""What the page reads of the rows of a run's log of adaptations: sources of its types.

The service passes rows on as they come, with all that they hold; these declare the values that the
page makes its history of, by kind. `make docs` writes them into web/src/generated/messages.ts.
"""

from typing import Any

from pydantic import ConfigDict

from websim_dashboard.messages import Message


class Told(Message):
    """Base of what is told in a row; it may hold more than is read."""

    model_config = ConfigDict(extra="ignore")


class LogRow(Told):
    """A row of the log; `values` depends on the kind (docs/adaptation.md)."""

    n: int
    kind: str
    update: int
    env_steps: int
    adaptation: int
    values: dict[str, Any]


class GoalRow(Told):
    """Values of a row "goal"."""

    description: str
    kind: str
    """"none": a person judges."""
    fitness_description: str
    unit: str
    """Of a program's fitness."""
    task: str | None = None
    """What the run trains on from here on, where that was changed."""


class TriggerTold(Told):
    """Why something is to be changed."""

    kind: str
    sentence: str


class TriggerRow(Told):
    """Values of a row "trigger"."""

    trigger: TriggerTold | None


class CandidateTold(Told):
    """A reward that is to be tried."""

    name: str
    source: str
    origin: str
    hypothesis: str


class AnswerRow(Told):
    """Values of a row "answer"."""

    candidates: list[CandidateTold]
    diagnosis: str
    reason: str
    """Why there are no candidates, where there are none."""


class VerdictRow(Told):
    """Values of a row "verdict"."""

    name: str
    accepted: bool
    program_id: str | None
    reason: str


class FitnessTold(Told):
    """An evaluation's fitness by episode; "nan", "inf" and "-inf" are no numbers of JSON."""

    fitness: list[float | str]


class RoundsTold(Told):
    """How long the rounds of a trial are."""

    round_env_steps: list[int]


class RoundRow(Told):
    """Values of a row "round"."""

    round: int
    results: dict[str, FitnessTold | None]
    """Of every contender, the control included; null: it failed."""
    stay: list[str]
    settings: RoundsTold


class DecisionTold(Told):
    """The end of a trial."""

    promote: bool
    winner: str | None
    gain_mean: float | str | None
    gain_low: float | str | None
    sentence: str


class DecisionRow(Told):
    """Values of a row "decision"."""

    settings: RoundsTold
    decision: DecisionTold
    unit: str
    """Of the fitness; rows of earlier versions lack it."""
