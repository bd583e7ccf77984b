"""What a run leaves behind: metrics, state, evaluations, checkpoints and the result.

The trainer decides when; this writes. Used by the trainer only, in its thread.
"""

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from websim.service.errors import UserError
from websim_learner.adaptation.measure import MeasureFailed
from websim_learner.advance import Advance
from websim_learner.algorithms.state import Arrays
from websim_learner.branch import Branch
from websim_learner.checkpoint import (
    KEPT_PREFIX,
    PREFIX,
    Checkpoint,
    DamagedCheckpoint,
    name_of,
    write_checkpoint,
)
from websim_learner.clock import RunClock
from websim_learner.episodes import PutOff
from websim_learner.evaluation import Evaluation
from websim_learner.failpoints import failpoint
from websim_learner.records import (
    CheckpointRecord,
    CommandRecord,
    EvaluationRecord,
    JournalEntry,
    MetricsRecord,
    RunState,
    StateRecord,
    WarningRecord,
)
from websim_learner.reporting import Reporter
from websim_learner.run_dir import RunConfig, RunDir, RunResult
from websim_learner.writing import WriteFailed, writing

UNJUDGED: dict[str, float | None] = {"goal_fitness_mean": None, "reward_fitness_correlation": None}
"""What the last evaluation found, by names of MetricsRecord, before there is one."""

Place = Literal["training", "a trial", "an evaluation"]
"""Where steps may be skipped."""


class Ledger:
    """The books of one run."""

    def __init__(
        self,
        config: RunConfig,
        run_dir: RunDir,
        branches: list[Branch],
        reporter: Reporter,
        clock: RunClock,
    ) -> None:
        self.state: RunState = "starting"
        self.reason = ""
        """Why the run is in this state, where there is something to say."""
        self.evaluated = 0
        """Updates done when the policy was last evaluated."""
        self.put_off: Literal["", "look", "whole"] = ""
        """What was due last, and was put off and is to be made up for; empty: nothing."""
        self.attended: int | None = None
        """Updates done when the last that was due was done, evaluations above all."""
        self.checkpointed: int | None = None
        """Updates done when the last checkpoint was taken."""
        self.judged = UNJUDGED
        """What the last evaluation found, by names of MetricsRecord."""
        self.skipped_steps = 0
        """Steps of a shard that were learned without; they mark the run."""
        self.entries = 0
        """Entries that this process has written into the journal for commands."""
        self.ahead: list[JournalEntry] = []
        """Entries of the journal that have yet to take effect again, in that order."""
        self.keep_also: Callable[[], tuple[dict[str, Any], dict[str, Arrays]]] = lambda: ({}, {})
        """Returns further counters and arrays for checkpoints."""
        self.reporter = reporter
        self.clock = clock
        self._told_evaluation_s = 0.0
        self._config = config
        self._run_dir = run_dir
        self._branches = branches

    @property
    def updates(self) -> int:
        """Updates done by every branch."""
        return self._branches[0].updates

    @property
    def env_steps(self) -> int:
        """Training env steps of all branches."""
        return sum(branch.env_steps for branch in self._branches)

    @property
    def total_steps(self) -> int:
        """Env steps of the whole run."""
        return self._config.total_steps

    def enter(self, state: RunState, reason: str = "") -> None:
        """Note the state of the run."""
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            self.reporter.publish(StateRecord(**self._when(), state=state, reason=reason))

    def fail(self, error: UserError) -> None:
        """Note that the run has failed; on a disk that is full even the log may not say so."""
        with contextlib.suppress(OSError):
            self.enter("failed", str(error))

    def warn(self, message: str) -> None:
        """Tell a person."""
        self.reporter.publish(WarningRecord(**self._when(), message=message))

    def note_command(self, kind: str, detail: str) -> None:
        """Note that a command took effect."""
        self.reporter.publish(CommandRecord(**self._when(), command=kind, detail=detail))

    def journal(self, kind: str, values: dict[str, Any]) -> None:
        """Write an entry of the journal; it is on disk when this returns."""
        self._run_dir.append_journal(self.updates, kind, values)
        self.entries += 1

    def note_advance(self, branch: Branch, advance: Advance) -> None:
        """Note what one update of a branch did."""
        self.clock.note_phases(advance)
        self.clock.note_steps(self.env_steps)
        self.reporter.counts["reward_nonfinite_rows"] += advance.nonfinite_rows
        self.reporter.counts["reward_clipped_rows"] += advance.clipped_rows
        if advance.reward_failure:
            # A resumed run must judge this update's rollout, and the later ones, the same way.
            values: dict[str, Any] = {
                "branch": self._branches.index(branch),
                "source": advance.fallback_source,
                "why": advance.reward_failure,
                "failed": advance.failed_id,
            }
            self._run_dir.append_journal(branch.updates - 1, "set_reward", values)
            own = advance.fallback_source is None
            instead = "the task's own reward" if own else f"the one before, {advance.reward_id},"
            self.warn(f"{advance.reward_failure}; {instead} is learned from instead")
        if advance.nonfinite_rows:
            self.warn(
                f"reward {advance.reward_id} was not a finite number in {advance.nonfinite_rows} "
                "transitions; 0 was learned from instead"
            )
        if advance.skipped_steps:
            self.mark_skipped(advance.skipped_steps, "training")
        measured: dict[str, Any] = {
            **branch.statistics.means(),
            **branch.statistics.improvement(),
            **asdict(advance.stats),
            **self.judged,
        }
        self.reporter.publish(
            MetricsRecord(
                update=branch.updates,
                env_steps=branch.env_steps,
                branch=branch.branch_id,
                task=branch.client.task.id,
                num_envs=branch.num_envs,
                wall_s=self.clock.wall_s,
                steps_per_s=self.clock.steps_per_s,
                episodes=branch.statistics.episodes,
                reward_id=advance.reward_id,
                reward_return_mean=branch.reward_returns.mean,
                reward_mean=advance.reward_mean,
                reward_std=advance.reward_std,
                component_shares=advance.component_shares,
                invalid_transitions=branch.invalid_transitions,
                physics_s=advance.physics_s,
                inference_s=advance.inference_s,
                update_s=advance.update_s,
                evaluation_s=self._new_evaluation_s(),
                **measured,
            )
        )

    def forget(self) -> None:
        """Forget how well the policy does: another one begins, with a task of its own."""
        self.judged = UNJUDGED
        self.reporter.forget()

    def forget_fitness(self) -> None:
        """Forget the fitness of the last evaluation: another measure judges from now on."""
        self.judged = UNJUDGED
        self.reporter.forget_fitness()

    def _new_evaluation_s(self) -> float:
        """Return what evaluations took since this was asked last."""
        before, self._told_evaluation_s = self._told_evaluation_s, self.clock.phases["evaluation"]
        return self._told_evaluation_s - before

    def mark_skipped(self, steps: int, where: Place) -> None:
        """Note that steps were not simulated: no other run has to leave out the same ones.

        What a trial or an evaluation finds may decide what is learned from.
        """
        self.skipped_steps += steps
        values = {"steps": steps, "where": where}
        self._run_dir.append_journal(self.updates, "steps_skipped", values)
        self.warn(
            f"{steps} steps of a shard ended one worker after another in {where} and were "
            "skipped: another run need not end in the same weights. The fleet's /v1/sessions has "
            "the evidence"
        )

    def write_checkpoint(self) -> str:
        """Write the state between two updates; return the checkpoint's name.

        It belongs to training, so its time counts.

        Raises:
            RunStopped: the run is to stop.
            FleetError: the state of the envs cannot be had.
            WriteFailed: the disk is full, or worse.
        """
        name = self._write(PREFIX)
        self.checkpointed = self.updates
        digest = self._branches[0].weights_sha256()
        self.reporter.publish(CheckpointRecord(**self._when(), name=name, weights_sha256=digest))
        return name

    def keep_checkpoint(self) -> None:
        """Write a checkpoint that stays for good, unless one of as many updates does.

        No life begins there: it keeps what was learned of a task that the run leaves, and a task
        that is left at once has taught nothing. Raises what `write_checkpoint` raises.
        """
        if not (self._run_dir.checkpoints / name_of(KEPT_PREFIX, self.updates)).exists():
            self._write(KEPT_PREFIX)

    def _write(self, prefix: str) -> str:
        arrays = {name: part for b in self._branches for name, part in b.arrays().items()}
        counters = {
            "wall_s": self.clock.wall_s,
            "journal": self._position(),
            "evaluated": self.evaluated,
            "attended": self.attended,
            "put_off": self.put_off,
            "skipped_steps": self.skipped_steps,
            "judged": self.judged,
            "branches": [branch.counters() for branch in self._branches],
        }
        more_counters, more_arrays = self.keep_also()
        counters |= more_counters
        arrays |= more_arrays
        checkpoint = Checkpoint(self.updates, counters, arrays, prefix)
        try:
            with writing(self._run_dir.checkpoints / checkpoint.name):
                write_checkpoint(self._run_dir.checkpoints, checkpoint)
        except DamagedCheckpoint as damage:
            raise WriteFailed(self._run_dir.checkpoints / checkpoint.name, str(damage)) from None
        return checkpoint.name

    def _position(self) -> int:
        """Return how many entries of the journal lie before all that has yet to take effect."""
        if self.ahead:
            return min(entry.n for entry in self.ahead) - 1
        return len(self._run_dir.journal())

    def go_back(self, checkpoint: Checkpoint | None) -> None:
        """Take over the counters of a checkpoint; None: of nothing done yet."""
        counters = checkpoint.counters if checkpoint is not None else {}
        self.checkpointed = checkpoint.update if checkpoint is not None else None
        self.evaluated = int(counters.get("evaluated", 0))
        self.attended = counters.get("attended")
        self.put_off = counters.get("put_off") or ""
        self.skipped_steps = int(counters.get("skipped_steps", 0))
        self.judged = UNJUDGED | counters.get("judged", {})
        self.clock.go_back(float(counters.get("wall_s", 0.0)))

    def was_put_off(self) -> bool:
        """Return whether the journal says that the evaluation due now was put off: it is again."""
        for entry in self.ahead:
            if entry.kind == "put_off" and entry.update == self.updates:
                self.ahead.remove(entry)
                return True
        return False

    def evaluate(
        self,
        examine: Callable[[Branch], Evaluation],
        outlook: Callable[[Evaluation], dict[str, Any]] = lambda _: {},
    ) -> list[Evaluation]:
        """Evaluate every branch.

        Args:
            examine: evaluates one; training time stands meanwhile.
            outlook: returns what an evaluation says beyond itself, by names of its record.

        Raises:
            PutOff, MeasureFailed: it came to no end; nothing is written down.
        """
        before = self.state
        evaluations = []
        self.enter("evaluating")
        for branch in self._branches:
            try:
                evaluation = examine(branch)
            except (PutOff, MeasureFailed):
                self.enter(before)
                raise
            evaluations.append(evaluation)
            beyond = outlook(evaluation)
            self.judged = {
                "goal_fitness_mean": evaluation.fitness_mean,
                "reward_fitness_correlation": beyond.get("reward_fitness_correlation"),
            }
            self.reporter.publish(
                EvaluationRecord(
                    **self._when(),
                    branch=branch.branch_id,
                    episodes=len(evaluation.episode_return),
                    return_mean=float(evaluation.episode_return.mean()),
                    return_std=float(evaluation.episode_return.std()),
                    length_mean=float(evaluation.episode_length.mean()),
                    fitness_mean=evaluation.fitness_mean,
                    success_mean=evaluation.success_mean,
                    reward_id=branch.reward.id,
                    **beyond,
                )
            )
        self.evaluated = self.updates
        failpoint("evaluation.done")
        self.enter(before)
        return evaluations

    def write_result(self, evaluation: Evaluation) -> None:
        """Write result.json: what came of the first branch."""
        config, branch, wall_s = self._config, self._branches[0], self.clock.wall_s
        self._run_dir.write_result(
            RunResult(
                task=branch.client.task.id,
                task_env_steps=self.env_steps - branch.task_env_steps,
                algo=config.algo,
                seed=config.seed,
                env_steps=self.env_steps,
                wall_s=wall_s,
                steps_per_s=self.env_steps / wall_s if wall_s > 0 else 0.0,
                eval_return_mean=float(evaluation.episode_return.mean()),
                eval_return_std=float(evaluation.episode_return.std()),
                eval_fitness_mean=evaluation.fitness_mean,
                eval_length_mean=float(evaluation.episode_length.mean()),
                eval_success_mean=evaluation.success_mean,
                weights_sha256=branch.weights_sha256(),
                updates=self.updates,
                num_envs=branch.num_envs,
                reward_id=branch.reward.id,
                skipped_steps=self.skipped_steps,
            )
        )

    def _when(self) -> dict[str, int]:
        return {"update": self.updates, "env_steps": self.env_steps}
