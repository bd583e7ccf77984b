"""How a run stands: what `GET /v1/run` answers."""

import time

from pydantic import BaseModel

from websim_learner.adaptation.books import Books
from websim_learner.branch import Branch
from websim_learner.divided import parts_of
from websim_learner.fleet import Waiter, num_envs
from websim_learner.ledger import Ledger
from websim_learner.pace import Pace
from websim_learner.records import RunState
from websim_learner.run_dir import RunConfig, RunDir

QUIET_S = 2.0
"""A fleet that answers nothing for this long is waited for, and the status says so."""

SILENT = "the fleet does not answer"
"""The reason of a wait that nobody gives one for."""


class TimeSplit(BaseModel):
    """Parts of the learner's time that went to what, adding up to 1 (0 before the first update)."""

    physics: float = 0.0
    """Waiting for the fleet."""
    inference: float = 0.0
    """The policy's forward, storing and sending."""
    update: float = 0.0
    """Learning."""
    evaluation: float = 0.0


class EvaluationStatus(BaseModel):
    """The last evaluation of the policy's mean action; see EvaluationRecord."""

    env_steps: int
    return_mean: float
    return_std: float
    fitness_mean: float | None
    """By the goal's measure, or the task's where the goal has none; null where it is a finite
    number in no episode."""
    reward_return_mean: float | None = None
    """By the reward in force; like the next ones null where the run does not adapt."""
    fitness_slope_per_million: float | None = None
    fitness_slope_low_per_million: float | None = None
    fitness_slope_high_per_million: float | None = None
    reward_fitness_correlation: float | None = None


class OtherTask(BaseModel):
    """A task that some of the envs have instead of the run's own."""

    task: str
    num_envs: int
    return_mean: float | None
    """Of its own reward, over the last 100 training episodes."""
    fitness_mean: float | None


class RunStatus(BaseModel):
    """A run, now."""

    run_id: str
    task: str
    algo: str
    seed: int
    num_envs: int
    """Of all tasks."""
    others: list[OtherTask] = []
    speed: float | None = None
    """As asked: simulated seconds of each env per second; null: as fast as it goes."""
    real_time_factor: float = 0.0
    """As reached over the last updates."""
    state: RunState
    reason: str = ""
    """Why it is in this state, where there is something to say."""
    update: int
    env_steps: int
    total_steps: int
    wall_s: float
    """Training time, evaluation and pauses excluded."""
    steps_per_s: float
    """Over the last updates."""
    return_mean: float | None = None
    """Over the last 100 training episodes; null before the first has ended."""
    length_mean: float | None = None
    fitness_mean: float | None = None
    """By the task's own measure; goal_fitness_mean is the goal's."""
    success_mean: float | None = None
    improvement_per_million: float | None = None
    """Theil-Sen slope of the return per million env steps; null before enough is known."""
    improvement_low_per_million: float | None = None
    """Where it lies at least, with 95 % confidence."""
    improvement_high_per_million: float | None = None
    """Where it lies at most, likewise."""
    reward_return_mean: float | None = None
    """Over the last 100 training episodes that the reward learned from has judged whole."""
    reward_mean: float | None = None
    """Mean reward per transition of the last rollout."""
    goal_fitness_mean: float | None = None
    """Of the last evaluation, as MetricsRecord has it; a resumed run still knows it."""
    reward_fitness_correlation: float | None = None
    """Likewise."""
    reward_id: str
    branches: int
    evaluation: EvaluationStatus | None = None
    time_split: TimeSplit
    adapting: str = ""
    """What the adaptation is doing; empty when nothing."""
    fleet: str
    """What the fleet is waiting for; empty while all is well."""
    run_dir: str
    run_uuid: str = ""
    """Tells the run from one that was in its directory before; empty for one begun without."""


class StatusBoard:
    """Reads the status of a run for HTTP threads; it only looks."""

    def __init__(
        self,
        config: RunConfig,
        run_dir: RunDir,
        ledger: Ledger,
        branches: list[Branch],
        waiter: Waiter,
        books: Books,
        pace: Pace,
    ) -> None:
        self._config = config
        self._run_dir = run_dir
        self._ledger = ledger
        self._branches = branches
        self._waiter = waiter
        self._books = books
        self._pace = pace

    def unready_reason(self) -> str | None:
        """Return why the run does not go on just now; None while it does."""
        state = self._ledger.state
        if self._quiet():
            return self._fleet() or SILENT
        if state in ("running", "adapting", "paused", "evaluating"):
            return None
        return f"the run is {state}" + (f": {self._ledger.reason}" if self._ledger.reason else "")

    def read(self) -> RunStatus:
        """Return how the run stands."""
        config, ledger, branch = self._config, self._ledger, self._branches[0]
        latest, evaluation = ledger.reporter.latest, ledger.reporter.evaluation
        quiet = self._quiet()
        envs = sum(each.num_envs for each in self._branches)
        return RunStatus(
            run_id=self._run_dir.path.name,
            task=branch.client.task.id,
            algo=config.algo,
            seed=config.seed,
            num_envs=envs,
            others=_others(branch),
            speed=self._pace.speed,
            real_time_factor=ledger.clock.steps_per_s / envs * branch.client.task.dt_s,
            state="waiting" if quiet else ledger.state,
            reason=(self._fleet() or SILENT) if quiet else ledger.reason,
            update=ledger.updates,
            env_steps=ledger.env_steps,
            total_steps=config.total_steps,
            wall_s=ledger.clock.wall_s,
            steps_per_s=ledger.clock.steps_per_s,
            reward_id=branch.reward.id,
            reward_mean=latest.reward_mean if latest else None,
            reward_return_mean=latest.reward_return_mean if latest else None,
            improvement_per_million=latest.improvement_per_million if latest else None,
            improvement_low_per_million=latest.improvement_low_per_million if latest else None,
            improvement_high_per_million=latest.improvement_high_per_million if latest else None,
            branches=len(self._branches),
            goal_fitness_mean=ledger.judged["goal_fitness_mean"],
            reward_fitness_correlation=ledger.judged["reward_fitness_correlation"],
            evaluation=None
            if evaluation is None
            else EvaluationStatus(
                env_steps=evaluation.env_steps,
                return_mean=evaluation.return_mean,
                return_std=evaluation.return_std,
                fitness_mean=evaluation.fitness_mean,
                reward_return_mean=evaluation.reward_return_mean,
                fitness_slope_per_million=evaluation.fitness_slope_per_million,
                fitness_slope_low_per_million=evaluation.fitness_slope_low_per_million,
                fitness_slope_high_per_million=evaluation.fitness_slope_high_per_million,
                reward_fitness_correlation=evaluation.reward_fitness_correlation,
            ),
            time_split=self._time_split(),
            adapting=self._books.adapting,
            fleet=self._fleet(),
            run_dir=str(self._run_dir.path),
            run_uuid=self._run_dir.run_uuid,
            return_mean=latest.return_mean if latest else None,
            length_mean=latest.length_mean if latest else None,
            fitness_mean=latest.fitness_mean if latest else None,
            success_mean=latest.success_mean if latest else None,
        )

    def _quiet(self) -> bool:
        since_s = self._waiter.quiet_since_s
        return since_s is not None and time.monotonic() - since_s > QUIET_S

    def _fleet(self) -> str:
        return next((b.client.waiting for b in self._branches if b.client.waiting), "")

    def _time_split(self) -> TimeSplit:
        phases = self._ledger.clock.recent_phases
        total = sum(phases.values())
        return TimeSplit(**{name: s / total for name, s in phases.items()} if total else {})


def _others(branch: Branch) -> list[OtherTask]:
    parts = parts_of(branch.client)[1:]
    told = []
    for part, (task, statistics) in zip(parts, branch.others.items(), strict=True):
        means = statistics.means()
        told.append(
            OtherTask(
                task=task,
                num_envs=num_envs(part),
                return_mean=means["return_mean"],
                fitness_mean=means["fitness_mean"],
            )
        )
    return told
