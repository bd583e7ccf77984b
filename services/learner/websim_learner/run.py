"""One life of a run: its branches, books and trainer, put together from a configuration.

A run has as many lives as processes have worked on it; each goes on from the last checkpoint.
"""

from collections.abc import Callable

from websim.service.errors import UserError
from websim.service.http import Pulse
from websim_learner.branch import Branch
from websim_learner.checkpoint import newest_checkpoint, remove_unfinished
from websim_learner.clock import RunClock
from websim_learner.control import Control
from websim_learner.fleet import FleetClient, Waiter
from websim_learner.ledger import Ledger
from websim_learner.randomness import Stream, derived_seed
from websim_learner.records import EventStream, RunState
from websim_learner.reporting import Reporter
from websim_learner.rewards import make_reward
from websim_learner.run_dir import RunConfig, RunDir
from websim_learner.status import StatusBoard
from websim_learner.trainer import Trainer

LIVES = ("start", "resume")
"""Kinds of journal entries of which each life of a run writes one."""


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
        open_training: Callable[[int], FleetClient],
        open_evaluation: Callable[[int], FleetClient],
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Open the training session and put the policy where the run stands; write nothing yet.

        Args:
            config: what was asked.
            run_dir: where the run is, or will be, kept.
            open_training: opens the training session with a seed.
            open_evaluation: opens the evaluation session with a seed, when it is first needed.
            stop: whether the process was told to stop.

        Raises:
            UserError: there is no fleet, it refuses the task, or the checkpoint does not fit.
        """
        self._config = config
        self._run_dir = run_dir
        self._stop = stop
        self._damages: list[str] = []
        self._checkpoint = newest_checkpoint(run_dir.checkpoints, self._damages.append)
        self._journal = run_dir.journal()
        self.pulse = Pulse()
        self.control = Control()
        waiter = Waiter(self._beat)
        # A session that begins at another update must not repeat the first one's randomness.
        updates = self._checkpoint.update if self._checkpoint is not None else 0
        session_seed = derived_seed(config.seed, Stream.TRAINING_SESSION, updates)
        client = open_training(session_seed)
        try:
            self._branch = Branch(
                0,
                client,
                config.ppo,
                seed=config.seed,
                session_seed=session_seed,
                total_steps=config.total_steps,
                reward=make_reward(config.reward_source, client.task, config.num_envs),
                device=config.device,
                waiter=waiter,
                beat=self.pulse.beat,
            )
            position, wall_s = self._restore()
        except BaseException:
            client.close()
            raise
        branches = [self._branch]
        clock = RunClock(wall_s)
        self.stream = EventStream(sum(entry.kind in LIVES for entry in self._journal))
        self.reporter = Reporter(run_dir, self.stream, clock)
        self._ledger = Ledger(config, run_dir, branches, self.reporter, clock)
        self.status = StatusBoard(config, run_dir, self._ledger, branches, waiter)
        self._trainer = Trainer(
            config,
            branches,
            self._ledger,
            self.control,
            open_evaluation=open_evaluation,
            waiter=waiter,
            stop=self._beat,
            replay=self._journal[position:],
        )

    def begin(self) -> None:
        """Write down that this life has begun.

        Raises:
            UserError: the directory cannot be written.
        """
        config, run_dir, updates = self._config, self._run_dir, self._branch.updates
        run_dir.create()
        remove_unfinished(run_dir.checkpoints)
        run_dir.write_config(config, self._branch.client.task)
        run_dir.rewind_metrics(updates)
        kind = LIVES[1] if self._journal else LIVES[0]
        run_dir.append_journal(updates, kind, {"total_steps": config.total_steps})
        self.reporter.open_curves(self._branch.env_steps)
        for damage in self._damages:
            self._ledger.warn(damage)

    def train(self) -> RunState:
        """Train to the end; return "finished", or "stopped" when the process was told to stop."""
        return self._trainer.run()

    def close(self) -> None:
        """Give the envs back and write out what is buffered."""
        self.control.close()
        self._branch.close()
        self.reporter.close()

    def _beat(self) -> bool:
        self.pulse.beat()
        return self._stop()

    def _restore(self) -> tuple[int, float]:
        """Load the checkpoint, if any; return its position in the journal and its time."""
        checkpoint = self._checkpoint
        if checkpoint is None:
            return 0, 0.0
        counters = checkpoint.counters
        try:
            self._branch.load(counters["branches"][0], checkpoint.arrays)
            return int(counters["journal"]), float(counters["wall_s"])
        except (ValueError, KeyError) as error:
            raise UserError(
                f"{checkpoint.name} does not fit this run: {error}",
                "Was config.json or the task's file changed?",
            ) from None
