"""The training loop: branches advance, and between two updates commands take effect.

A run is a function of its configuration, its seed and its journal. Nothing here depends on the
clock or on the order in which anything arrives; a command from outside is journaled, with the
update at which it takes effect, before it does, and a resumed run applies it there again.
"""

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Literal

from websim.client import FleetError
from websim.service.errors import UserError
from websim_learner.adaptation.adapter import Adapter
from websim_learner.adaptation.examiner import Examiner
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.adaptation.tryouts import TrialAbandoned
from websim_learner.branch import Branch
from websim_learner.changes import Changes
from websim_learner.control import Control
from websim_learner.episodes import PutOff
from websim_learner.evaluation import Evaluation
from websim_learner.failpoints import failpoint
from websim_learner.fleet import RunStopped, is_lost
from websim_learner.ledger import Ledger
from websim_learner.orders import Orders, Place
from websim_learner.pace import Pace
from websim_learner.records import JournalEntry, RunState
from websim_learner.run_dir import RunConfig
from websim_learner.stages import Stages


class Trainer:
    """Runs a run from where it stands to its end."""

    def __init__(
        self,
        config: RunConfig,
        branches: list[Branch],
        stages: Stages,
        pace: Pace,
        ledger: Ledger,
        control: Control,
        *,
        examiner: Examiner,
        adapter: Adapter,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make ready.

        Args:
            config: what was asked.
            branches: what is trained; one now, never assumed.
            stages: know what it is trained on, and change that.
            pace: holds the run up, by the wall clock.
            ledger: where everything is written.
            control: where commands come from.
            examiner: evaluates branches.
            adapter: changes what is learned from.
            stop: whether the process was told to stop; asked between updates and in pauses.
        """
        self.ledger = ledger
        self.branches = branches
        self._config = config
        self._stages = stages
        self._changes = adapter.tasks = Changes(config, stages, ledger, adapter)
        self._pace = pace
        self._examiner = examiner
        self._adapter = adapter
        self._stop = stop
        self._place = Place()
        self.orders = Orders(
            control, self._place, branches, self._changes, pace, ledger, adapter, stop
        )
        """Commands from outside."""

    def run(self, replay: Sequence[JournalEntry] = ()) -> RunState:
        """Train to the end; return "finished", or "stopped" when the process was told to stop.

        Args:
            replay: entries of the journal that are to take effect again, where they did.

        Raises:
            UserError: the fleet is gone, the envs are (`is_lost`), or the disk is full. What the
                last checkpoint holds is kept.
        """
        self.ledger.ahead = list(replay)
        self._place.between = self._place.working = self._place.over = False
        try:
            try:
                self._train()
                self._conclude()
            except RunStopped:
                self._keep()
                self.ledger.enter("stopped")
        except UserError as error:
            if not is_lost(error):
                self.ledger.fail(error)
            raise
        finally:
            self.ledger.clock.halt()
            self._examiner.close()
        return self.ledger.state

    def _train(self) -> None:
        ledger = self.ledger
        for branch in self.branches:
            if not branch.start(self._adapter.state.ranges):
                ledger.warn(
                    "the envs are not quite where they were: another version of the task or of "
                    "MuJoCo? What follows is not what an undisturbed run would have done"
                )
        self._place.between = True
        config = self._config
        self._adapter.begin(config.goal, config.target, config.difficulty)
        failpoint("run.restored")
        ledger.enter("running")
        while not self._ended:
            self._do_what_is_due()
            self._between_updates()
            if self._ended:
                return
            ledger.clock.run()
            self._advance()

    @property
    def _ended(self) -> bool:
        """Whether a person ends the run, or its steps are done: a trial may take the last ones."""
        return self._place.over or self.ledger.env_steps >= self.ledger.total_steps

    def _advance(self) -> None:
        """Let every branch do one update."""
        self._place.between = False
        self._place.working = True
        for branch in self.branches:
            last = branch.env_steps + branch.steps_per_update >= self._config.total_steps
            advance = branch.advance(last, self._adapter.spare)
            self.ledger.note_advance(branch, advance)
            self._adapter.note_advance(advance)
            if advance.reward_failure:
                source, why = advance.fallback_source, advance.reward_failure
                self._fall_back(branch, advance.failed_id, source, why, branch.updates - 1)
        self._place.between, self._place.working = True, False

    def _do_what_is_due(self) -> None:
        """Evaluate and write a checkpoint, where it is time and not done yet."""
        ledger, updates, stage = self.ledger, self.ledger.updates, self._stages.present
        if ledger.attended == updates:
            # Commands or a trial have changed what is due since; no life does it a second time.
            return
        if ledger.put_off == "look" and not self._adapter.on_probation:
            ledger.put_off = ""
        due = _due(updates, stage.eval_every(adapting=self._adapter.adapting))
        due = due or ledger.put_off == "whole"
        wanted = due or ledger.put_off == "look" or self._adapter.wants_look()
        if wanted and ledger.evaluated != updates:
            self._look(whole=due)
        ledger.attended = updates
        # The first one is written before anything is learned: a kill loses no run.
        due = updates == 0 or _due(updates, stage.checkpoint_every_updates)
        if due and ledger.checkpointed != updates:
            ledger.write_checkpoint()

    def _look(self, *, whole: bool) -> None:
        """Evaluate, and let the adapter decide by it; put off where somebody is waiting.

        It is made up for after the next update, and not put off once more.
        """
        ledger = self.ledger
        kind: Literal["look", "whole"] = "whole" if whole else "look"
        if ledger.was_put_off():
            ledger.put_off = kind
            return
        put_off = self.orders.press if not (ledger.put_off or ledger.ahead) else lambda: False
        try:
            evaluation = self._evaluate(whole=whole, put_off=put_off)
        except PutOff:
            ledger.journal("put_off", {})
            ledger.put_off = kind
            return
        ledger.put_off = ""
        # What a signal cuts short from here on is decided anew from the checkpoint before.
        self._place.between = False
        self._adapter.note_evaluation(evaluation, whole=whole)
        self._place.between = True

    def _keep(self) -> None:
        """Write a last checkpoint, if the envs can still be asked where they are."""
        if self._place.between:
            with contextlib.suppress(RunStopped, FleetError):
                self.ledger.write_checkpoint()

    def _conclude(self) -> None:
        """End the run: last checkpoint, evaluation, result."""
        self.ledger.clock.halt()
        self.ledger.write_checkpoint()
        self.ledger.write_result(self._evaluate())
        self.ledger.enter("finished")

    def _evaluate(
        self, *, whole: bool = True, put_off: Callable[[], bool] = lambda: False
    ) -> Evaluation:
        """Evaluate all branches, or look at them; return what came of the first.

        A look that shows what may be a loss gives way to all episodes, of the same policy.

        Raises:
            PutOff: `put_off` said so.
        """

        def examine(branch: Branch) -> Evaluation:
            made = self._examiner.examine(branch, kept, most, put_off=put_off)
            if most is not None and self._adapter.leaves_doubt(made):
                made = self._examiner.examine(branch, kept, put_off=put_off)
            return made

        def evaluate() -> Evaluation:
            outlook = functools.partial(self._adapter.outlook, whole=whole)
            return self.ledger.evaluate(examine, outlook)[0]

        most = None if whole else self._adapter.look_episodes
        kept = self._adapter.trajectories
        self._adapter.lose_measure_again()
        self._place.working = True
        try:
            return evaluate()
        except MeasureFailed as error:
            self._adapter.lose_measure(error.message, within="evaluation")
            return evaluate()
        finally:
            self._place.working = False

    def _between_updates(self) -> None:
        """Apply what is to take effect now; while paused, wait here."""
        with contextlib.suppress(TrialAbandoned):
            self._catch_up()
        if self._stop():
            raise RunStopped
        while True:
            while (pending := self.orders.next()) is not None:
                self.orders.apply(pending)
            if self._pace.paused:
                self.orders.wait_out_pause()
            if self._place.over:
                return
            with contextlib.suppress(TrialAbandoned):
                self._tend()
            # What came in a trial takes effect here too, and a reward among it is tried here.
            if self._ended or not (self.orders.waiting or self._pace.paused):
                return

    def _catch_up(self) -> None:
        """Let entries of the journal take effect again that did so at this update."""
        ahead, updates = self.ledger.ahead, self.ledger.updates
        while ahead and ahead[0].update <= updates:
            entry = ahead[0]
            if entry.kind == "stop":
                self._place.over = True
            elif entry.update == updates:
                self._apply_again(entry)
            # A signal in the midst of it leaves it to the next life.
            ahead.pop(0)

    def _apply_again(self, entry: JournalEntry) -> None:
        """Let an entry of the journal take effect once more, where it did."""
        match entry.kind:
            case "set_num_envs" | "set_task":
                self._changes.replay(entry.kind, entry.values)
            case "set_reward":
                branch, values = self.branches[entry.values["branch"]], entry.values
                if "why" in values:
                    # Older journals do not say which one failed: it was the one in force.
                    failed = values.get("failed", branch.reward.id)
                    if failed != branch.reward.id:
                        branch.judge_ahead(branch.make_reward(values["source"]))
                    self._fall_back(branch, failed, values["source"], values["why"], entry.update)
                else:
                    self.orders.set_reward(branch, branch.make_reward(values["source"]))
            case "trial":
                self._tend(again=True)
            case "reset_env":
                self.branches[0].reset_env(entry.values["env_id"])
            case "approve":
                self._approve_again(entry)
            case kind:
                self._adapter.replay(kind, entry.values)

    def _approve_again(self, entry: JournalEntry) -> None:
        """Let a yes take effect once more.

        Raises:
            UserError: what it was said to is not found again.
        """
        if self._adapter.state.proposal is not None:
            # Older journals do not say where a trial ended; a yes comes after it.
            self._tend(again=True)
        waiting, adaptation = self._adapter.state.waiting, entry.values["adaptation"]
        if waiting is None or waiting.adaptation != adaptation:
            raise UserError(
                f"the journal says yes to adaptation {adaptation} at update {entry.update}, where "
                "nothing waits for it: an older version wrote it, or it was changed",
                "Start a new run in another --run-dir.",
            )
        self._adapter.replay(entry.kind, entry.values)

    def _fall_back(
        self, branch: Branch, failed: str, source: str | None, why: str, update: int
    ) -> None:
        """Go on by the reward that took over from one that failed, from an update on.

        That update was judged by it already, whatever its rollout was collected for. With overlap
        the one that failed may have given way to another before: that one goes on.
        """
        if failed != branch.reward.id:
            self._adapter.note_late_failure(failed, why)
            return
        branch.set_reward(branch.make_reward(source), at_once=True)
        self._adapter.note_failure(failed, why, update)

    def _tend(self, *, again: bool = False) -> None:
        """Let the adapter do what can be done now, a whole trial perhaps.

        `again` says that the journal holds the end of that trial already.
        """
        self._place.working = self._place.tending = True
        try:
            held = self._adapter.tend(listen=not self.ledger.ahead)
        finally:
            self._place.working = self._place.tending = False
        if held:
            if not again:
                # What follows at this update comes after the trial in every life.
                self.ledger.journal("trial", {})
            self.ledger.write_checkpoint()


def _due(updates: int, every: int) -> bool:
    return every > 0 and updates > 0 and updates % every == 0
