"""What the adapter writes down: the hash-chained log, the journal, and words for people."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from websim.service.adaptation_log import Row
from websim_learner.adaptation.chain import AdaptationLog
from websim_learner.adaptation.rows import as_values
from websim_learner.adaptation.state import AdaptState
from websim_learner.advance import Advance
from websim_learner.ledger import Ledger
from websim_learner.records import AdaptationEvent, AdaptationRecord, TrialRecord

MAX_PROMPT = 65_536
"""Characters of a system prompt that the log keeps; reward-gen's have some 10,000."""


class LazyLog:
    """The log, made when the first row is written: a run that does not adapt has none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: AdaptationLog | None = None

    def open(self) -> None:
        """Open a log that is there already.

        Nobody else may work on the run by then: what looks like the end that a kill cut short,
        and is dropped, may be a row that another learner is about to write.

        Raises:
            UserError: a row is broken or was changed.
        """
        if self.path.exists():
            self._log = AdaptationLog(self.path)

    @property
    def position(self) -> int:
        """Number of rows."""
        return self._log.position if self._log is not None else 0

    @property
    def head_sha256(self) -> str:
        """Digest of the newest row, and so of all; empty without one."""
        return self._log.head_sha256 if self._log is not None else ""

    def append(
        self, kind: str, update: int, env_steps: int, adaptation: int, values: dict[str, Any]
    ) -> None:
        """Write a row; it is on disk then."""
        if self._log is None:
            self._log = AdaptationLog(self.path)
        self._log.append(kind, update, env_steps, adaptation, values)

    def holds(self, kind: str, name: str, value: str) -> bool:
        """Return whether a row of a kind has a value, in whatever life it was written."""
        rows = self.rows(0, self.position)
        return any(row["kind"] == kind and row["values"].get(name) == value for row in rows)

    def rows(self, after: int, limit: int) -> list[Row]:
        """Return rows with n > `after`, at most `limit`."""
        return self._log.rows(after, limit) if self._log is not None else []

    def go_back(self, position: int, update: int, env_steps: int, head_sha256: str) -> None:
        """Tell that a life of the run begins where there were `position` rows.

        Raises:
            UserError: there are fewer rows, or others.
        """
        if self._log is None and position:
            self._log = AdaptationLog(self.path)
        if self._log is not None:
            self._log.go_back(position, update, env_steps, head_sha256)

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()


class Books:
    """The books of a run's adaptations."""

    def __init__(self, log: LazyLog, ledger: Ledger, state: AdaptState) -> None:
        self.state = state
        self.trying = ""
        """What is done with candidates just now, for people; empty while there are none."""
        self._log = log
        self._ledger = ledger

    @property
    def when(self) -> tuple[int, int]:
        """Updates and env steps done."""
        return self._ledger.updates, self._ledger.env_steps

    @property
    def adapting(self) -> str:
        """What is going on, for people; empty when nothing is."""
        if self._ledger.state in ("finished", "stopped", "failed"):
            return ""
        if self.trying:
            return self.trying
        if self.state.asked_goal is not None:
            return f'asking how "{self.state.asked_goal}" is measured'
        if self.state.asked is not None:
            return f"candidates are being written: {self.state.asked.sentence}"
        return ""

    @property
    def _adaptation(self) -> int:
        """The number of the adaptation whose candidates are tried, else of the newest."""
        proposal = self.state.proposal
        return self.state.adaptations if proposal is None else proposal.adaptation

    def row(
        self, kind: str, values: msgspec.Struct | dict[str, Any], adaptation: int | None = None
    ) -> None:
        """Append a row to the log; it is on disk when this returns.

        Args:
            kind: of the row.
            values: what it tells.
            adaptation: that it is part of, 0 for none; None: the one under way, else the newest.
        """
        update, env_steps = self.when
        plain = as_values(values) if isinstance(values, msgspec.Struct) else values
        number = self._adaptation if adaptation is None else adaptation
        self._log.append(kind, update, env_steps, number, plain)
        self._note_head()

    def note_prompt(self, text: str) -> str:
        """Keep what an author is told with every question in a row "prompt", once a run.

        Returns:
            The SHA-256 of the whole text; of a longer one its first MAX_PROMPT characters are kept.
        """
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not self._log.holds("prompt", "sha256", digest):
            self.row("prompt", {"sha256": digest, "text": text[:MAX_PROMPT]})
        return digest

    def forget_fitness(self) -> None:
        """Forget the fitness of the last evaluation: another measure judges from now on."""
        self._ledger.forget_fitness()

    def journal(self, kind: str, values: dict[str, Any]) -> None:
        """Note what came from outside, before it takes effect."""
        self._ledger.journal(kind, values)

    def note_fork(self, advance: Advance) -> None:
        """Note what a trial's update took, and steps that were not simulated for it."""
        self._ledger.clock.note_phases(advance)
        if advance.skipped_steps:
            self._ledger.mark_skipped(advance.skipped_steps, "a trial")

    def tell(
        self,
        event: AdaptationEvent,
        message: str,
        **values: Any,  # noqa: ANN401 - JSON values
    ) -> None:
        """Tell everybody who listens."""
        update, env_steps = self.when
        self._ledger.reporter.publish(
            AdaptationRecord(
                update=update,
                env_steps=env_steps,
                adaptation=self._adaptation,
                event=event,
                message=message,
                values=values,
            )
        )

    def tell_curve(
        self, adaptation: int, contender: str, steps: int, means: Mapping[str, float | None]
    ) -> None:
        """Tell how a contender does, once one of its episodes has ended.

        Args:
            adaptation: whose trial it is.
            contender: its name.
            steps: training env steps of its fork so far.
            means: of its training episodes, as EpisodeStatistics has them.
        """
        if means["return_mean"] is None:
            return
        update, env_steps = self.when
        self._ledger.reporter.publish(
            TrialRecord(
                update=update,
                env_steps=env_steps,
                adaptation=adaptation,
                contender=contender,
                trial_env_steps=steps,
                return_mean=means["return_mean"],
                fitness_mean=means["fitness_mean"],
            )
        )

    def go_back(self, position: int, head_sha256: str) -> None:
        """Say that rows beyond this position are about to be written once more.

        Raises:
            UserError: the rows before it are not those that there were.
        """
        self._log.go_back(position, *self.when, head_sha256)
        self._note_head()

    def _note_head(self) -> None:
        self.state.log_rows = self._log.position
        self.state.log_sha256 = self._log.head_sha256
