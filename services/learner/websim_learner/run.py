"""One life of a run: its branches, books and trainer, put together from a configuration.

A run has as many lives as processes have worked on it, and one more each time the fleet loses its
envs for good; each goes on from the newest checkpoint, as if nothing had happened.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from websim.client import FleetRefused
from websim.service.adaptation_log import LOG_NAME
from websim.service.errors import UserError
from websim.service.http import Pulse
from websim_learner.adaptation.adapter import Adapter
from websim_learner.adaptation.author import Author
from websim_learner.adaptation.books import Books, LazyLog
from websim_learner.adaptation.examiner import Examiner
from websim_learner.adaptation.questions import Questions
from websim_learner.adaptation.shelf import SHELF_NAME, Shelf
from websim_learner.adaptation.signals import GROWTH_CONFIDENCE, TriggerSettings
from websim_learner.adaptation.state import AdaptState
from websim_learner.adaptation.trial import Trials
from websim_learner.adaptation.verdicts import TrialSettings
from websim_learner.adaptation.view import AdaptationView
from websim_learner.algorithms.state import Arrays
from websim_learner.branch import Branch
from websim_learner.checkpoint import Checkpoint, newest_checkpoint, remove_unfinished
from websim_learner.clock import RunClock
from websim_learner.control import Control
from websim_learner.failpoints import failpoint
from websim_learner.fleet import FleetClient, RunStopped, Waiter, is_lost
from websim_learner.journal import LIVES, is_stopped, to_replay
from websim_learner.ledger import Ledger
from websim_learner.pace import Pace
from websim_learner.records import EventStream, JournalEntry, RunState
from websim_learner.reporting import Reporter
from websim_learner.run_dir import RunConfig, RunDir
from websim_learner.stages import Stages
from websim_learner.status import StatusBoard
from websim_learner.trainer import Trainer

ROUND_ENV_STEPS = (50_000, 100_000)
"""Training of every contender in each round of a trial."""

MAX_LOSSES = 3
"""Times in a row that the envs may be lost before there is a newer checkpoint."""


class Run:
    """Everything one process of a run consists of, but for signals and HTTP.

    Attributes:
        control: takes commands.
        status: says how the run stands.
        stream: holds its records.
        reporter: knows its metrics.
        pulse: tells that the loop turns.
    """

    def __init__(
        self,
        config: RunConfig,
        run_dir: RunDir,
        open_training: Callable[[RunConfig, int], FleetClient],
        open_evaluation: Callable[[RunConfig, int, int], FleetClient],
        stop: Callable[[], bool] = lambda: False,
        *,
        open_other: Callable[[RunConfig, int], FleetClient] | None = None,
        open_group: Callable[[RunConfig, int, int, str], FleetClient] | None = None,
        author: Author | None = None,
    ) -> None:
        """Open the training session and put the policy where the run stands; write nothing yet.

        Args:
            config: what was asked.
            run_dir: where the run is, or will be, kept.
            open_training: opens the training session of a configuration with a seed.
            open_evaluation: opens an evaluation session of a configuration, so many envs and a
                seed, when it is first needed.
            stop: whether the process was told to stop.
            open_other: opens the session of envs that have another task than the run's own, of a
                configuration with a seed.
            open_group: opens a session of a configuration, so many envs and a seed, for a trial's
                contender of that name.
            author: asks reward-gen; None: there is none.

        Raises:
            UserError: there is no fleet, it refuses the task, or the checkpoint does not fit.
        """
        self._config = config
        self._run_dir = run_dir
        self._stop = stop
        self._losses = 0
        self._branches: list[Branch] = []
        self.pulse = Pulse()
        self.control = Control()
        self._trainer: Trainer | None = None
        self._pace = Pace(self._attend, self._resting)
        self._waiter = Waiter(self._heed)
        self._waiter.rest = self._pace.rest
        self._stages = stages = Stages(
            config,
            self._branches,
            open_training,
            open_other or open_training,
            self._waiter,
            self._pace,
            self.pulse.beat,
        )
        self._adapter: Adapter | None = None
        self._put_in_place()
        clock = RunClock()
        lives = sum(entry.kind in LIVES for entry in run_dir.journal())
        self.stream = EventStream(lives)
        self.reporter = Reporter(run_dir, self.stream, clock)
        self._ledger = Ledger(config, run_dir, self._branches, self.reporter, clock)
        examiner = Examiner(
            lambda num_envs, seed, task: open_evaluation(stages.config_of(task), num_envs, seed),
            self._waiter,
            config.eval_episodes,
            config.seed,
            lambda steps: self._ledger.mark_skipped(steps, "an evaluation"),
            clock.evaluating,
        )
        self.adaptation = AdaptState(
            mode=config.adapt,
            follows_goal=config.adapts_with_goal,
            difficulty=config.difficulty or 0.0,
            ranges=dict(stages.first_ranges),
        )
        self._log = LazyLog(run_dir.path / LOG_NAME)
        books = Books(self._log, self._ledger, self.adaptation)
        shelf = Shelf(run_dir.path / SHELF_NAME, self._ledger.warn)
        # The budget is one run's, and a directory may be another's tomorrow.
        known_as = "-".join(filter(None, (run_dir.path.name, run_dir.run_uuid[:8])))
        questions = Questions(known_as, author, books)
        trials = Trials(
            config,
            examiner,
            books,
            lambda num_envs, seed, contender: (
                open_group(stages.config, num_envs, seed, contender)
                if open_group
                else open_training(stages.config, seed)
            ),
            self._waiter,
            lambda: trainer.orders.during_trial(),
            TrialSettings(round_env_steps=ROUND_ENV_STEPS),
            shelf,
        )
        self._adapter = Adapter(
            self._branches, self._ledger, self.adaptation, books, examiner, trials, questions,
            TriggerSettings(
                schedule_env_steps=config.adapt_every_steps, growth_confidence=GROWTH_CONFIDENCE
            ),
        )  # fmt: skip
        self.adaptation_view = AdaptationView(self.adaptation, books, questions, self._log, shelf)
        self._ledger.keep_also = self._kept
        self._load_adapter()
        self.status = StatusBoard(
            config, run_dir, self._ledger, self._branches, self._waiter, books, self._pace
        )
        self._trainer = trainer = Trainer(
            config,
            self._branches,
            stages,
            self._pace,
            self._ledger,
            self.control,
            examiner=examiner,
            adapter=self._adapter,
            stop=self._beat,
        )

    def begin(self) -> None:
        """Write down that this life has begun.

        Raises:
            UserError: the directory cannot be written, another learner works on the run, or its
                log of adaptations is broken.
        """
        self._run_dir.create()
        self._run_dir.lock()
        self._log.open()
        remove_unfinished(self._run_dir.checkpoints)
        # What the fleet said of the task that the run began with: it may be another one by now.
        started = self._run_dir.started
        task = self._run_dir.read_config()[1] if started else self._branches[0].client.task
        self._run_dir.write_config(self._config, task)
        self._begin_life()
        failpoint("run.begun")

    def train(self) -> RunState:
        """Train to the end; return "finished", or "stopped" when the process was told to stop.

        Raises:
            UserError: the fleet is gone, or loses the envs again and again.
        """
        trainer = self._trainer
        assert trainer is not None
        try:
            while True:
                try:
                    return trainer.run(self._replay)
                except FleetRefused as refusal:
                    if not is_lost(refusal):
                        raise
                    self._go_back(refusal)
        except RunStopped:
            self._ledger.enter("stopped")
            return "stopped"
        finally:
            self.control.close()
            trainer.orders.dismiss()

    def look(self) -> None:
        """Obey what concerns the wall clock, and tell that the loop turns, while a session opens.

        Raises:
            RunStopped: the run is to stop.
        """
        self._waiter.look()

    def close(self) -> None:
        """Give the envs back and write out what is buffered."""
        self.control.close()
        if self._adapter is not None:
            self._adapter.close()
        self._log.close()
        self._branches[0].close()
        self.reporter.close()
        self._run_dir.release()

    def _beat(self) -> bool:
        self.pulse.beat()
        return self._stop()

    def _heed(self) -> bool:
        """Obey what concerns the wall clock; return whether the run is to stop."""
        if self._trainer is not None:
            self._trainer.orders.obey()
        return self._beat()

    def _attend(self) -> bool:
        """As `_heed`; return whether the run must not be held up just now."""
        stop = self._heed()
        return stop or self._trainer is None or self._trainer.orders.hurried

    @contextmanager
    def _resting(self) -> Iterator[None]:
        """Show that the run is paused, for as long as it is held up in the middle of something."""
        ledger = self._ledger
        before = ledger.state
        with ledger.clock.resting():
            ledger.enter("paused")
            yield
        ledger.enter(before)

    def _go_back(self, loss: FleetRefused) -> None:
        """Begin another life at the newest checkpoint: the envs are gone, on the fleet's word.

        A process of its own would do the same; this one keeps its HTTP, its records and the
        commands that wait, and needs nobody to start it.
        """
        before = self._checkpoint.update if self._checkpoint is not None else 0
        self._ledger.enter("waiting", str(loss))
        self._branches[0].close()
        try:
            self._put_in_place()
            progress = self._checkpoint is not None and self._checkpoint.update > before
            self._losses = 1 if progress else self._losses + 1
            if self._losses > MAX_LOSSES:
                raise loss
            self._begin_life()
        except UserError as error:
            self._ledger.fail(error)
            raise
        self._ledger.warn(f"{loss.message}; going on from update {self._ledger.updates}")

    def _put_in_place(self) -> None:
        """Open a session and make a branch that stands where the newest checkpoint was taken."""
        self._checkpoint, self._damages = _newest(self._run_dir)
        # Who starts a run is told at once that there is no fleet; a run that goes on waits for it.
        self._stages.begin(self._checkpoint, wait=self._run_dir.started)
        self._load_adapter()

    def _kept(self) -> tuple[dict[str, Any], dict[str, Arrays]]:
        """Return what goes into a checkpoint beside branches and counters."""
        assert self._adapter is not None
        counters, arrays = self._adapter.kept()
        return counters | self._stages.as_json(), arrays

    def _load_adapter(self) -> None:
        """Put the adapter where the newest checkpoint was taken."""
        checkpoint = self._checkpoint
        if checkpoint is not None and self._adapter is not None:
            kept = checkpoint.counters.get("adapter")
            self._adapter.load(kept, dict(checkpoint.arrays))

    def _begin_life(self) -> None:
        """Bring books and files to where the policy stands, and journal the life."""
        run_dir, ledger = self._run_dir, self._ledger
        ledger.go_back(self._checkpoint)
        run_dir.rewind_metrics(ledger.updates)
        journal = run_dir.journal()
        values: dict[str, object] = {"total_steps": self._config.total_steps}
        if is_stopped(journal) and run_dir.finished:
            # Who goes on with a run that was stopped, and has its result, takes the stop back.
            values["goes_on"] = True
        run_dir.append_journal(ledger.updates, LIVES[1] if journal else LIVES[0], values)
        if ledger.env_steps < self._config.total_steps:
            run_dir.remove_result()
        checkpoint = self._checkpoint
        position = checkpoint.counters["journal"] if checkpoint is not None else 0
        self._replay: list[JournalEntry] = to_replay(run_dir.journal(), position)
        if self._adapter is not None:
            self._adapter.questions.expect(
                {e.values["adaptation"] for e in self._replay if e.kind == "candidates"}
            )
        if checkpoint is not None:
            # Its arrays are where they belong by now; they may be large.
            self._checkpoint = replace(checkpoint, arrays={})
        self.reporter.open_curves(ledger.env_steps)
        for damage in self._damages:
            ledger.warn(damage)


def _newest(run_dir: RunDir) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint and what is wrong with those that are newer."""
    damages: list[str] = []
    checkpoint = newest_checkpoint(run_dir.checkpoints, damages.append)
    if checkpoint is None and damages:
        raise UserError(
            f"{run_dir.path} cannot go on: {damages[0]}", "Start a new run in another --run-dir."
        )
    return checkpoint, damages
