"""What the adapter writes down: the hash-chained log, the journal, and words for people."""

from typing import Any

import msgspec

from websim_learner.adaptation.chain import AdaptationLog
from websim_learner.adaptation.state import AdaptState
from websim_learner.ledger import Ledger
from websim_learner.records import AdaptationRecord


class Books:
    """The books of a run's adaptations."""

    def __init__(self, log: AdaptationLog, ledger: Ledger, state: AdaptState) -> None:
        self.state = state
        self.adapting = ""
        """What is going on, for people; empty when nothing is."""
        self._log = log
        self._ledger = ledger

    @property
    def when(self) -> tuple[int, int]:
        """Updates and env steps done."""
        return self._ledger.updates, self._ledger.env_steps

    def row(self, kind: str, values: msgspec.Struct | dict[str, Any]) -> None:
        """Append a row to the log; it is on disk when this returns."""
        update, env_steps = self.when
        plain: dict[str, Any] = msgspec.to_builtins(values)
        self._log.append(kind, update, env_steps, self.state.adaptations, plain)
        self.state.log_rows = self._log.position

    def journal(self, kind: str, values: dict[str, Any]) -> None:
        """Note what came from outside, before it takes effect."""
        self._ledger.journal(kind, values)

    def tell(self, event: str, message: str, **values: Any) -> None:  # noqa: ANN401 - JSON values
        """Tell everybody who listens."""
        update, env_steps = self.when
        self._ledger.reporter.publish(
            AdaptationRecord(
                update=update,
                env_steps=env_steps,
                adaptation=self.state.adaptations,
                event=event,
                message=message,
                values=values,
            )
        )

    def go_back(self, position: int) -> None:
        """Say that rows beyond this position are about to be written once more."""
        self._log.go_back(position)
        self.state.log_rows = self._log.position
