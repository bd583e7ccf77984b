"""`train`: sets a run up, from nothing or from its last checkpoint, and drives it to its end."""

from importlib.metadata import version

import torch

from websim.service.errors import UserError
from websim.service.http import Pulse, add_health, make_app, serve_http
from websim.service.logs import configure_logs, get_logger
from websim.service.metrics import make_registry
from websim.service.ready import write_ready
from websim.service.shutdown import Shutdown, install_shutdown
from websim_learner.api import add_run_routes
from websim_learner.branch import Branch
from websim_learner.checkpoint import Checkpoint, newest_checkpoint, remove_unfinished
from websim_learner.clock import RunClock
from websim_learner.configure import new_config, resumed_config
from websim_learner.control import Control
from websim_learner.fleet import FleetClient, Waiter, open_session
from websim_learner.ledger import Ledger
from websim_learner.randomness import Stream, derived_seed
from websim_learner.records import EventStream
from websim_learner.reporting import Reporter
from websim_learner.rewards import make_reward
from websim_learner.run_dir import RunConfig, RunDir
from websim_learner.settings import TrainSettings
from websim_learner.status import StatusBoard
from websim_learner.trainer import Trainer

log = get_logger("websim_learner")

LIVES = ("start", "resume")
"""Kinds of journal entries of which each process of a run writes one."""


def train(settings: TrainSettings) -> int:
    """Carry out `train`; return the exit code.

    Raises:
        UserError: something asked for is wrong, or the fleet is not there.
    """
    configure_logs("learner", json=settings.log_json, file=settings.log_file)
    # Bits depend on the number of threads, and two of them fight where cores are shared.
    torch.set_num_threads(1)
    resuming = settings.resume is not None
    config, run_dir = resumed_config(settings) if resuming else new_config(settings)
    damages: list[str] = []
    checkpoint = newest_checkpoint(run_dir.checkpoints, damages.append)
    updates = checkpoint.update if checkpoint is not None else 0
    # A session that begins at another update must not repeat the first one's randomness.
    session_seed = derived_seed(config.seed, Stream.TRAINING_SESSION, updates)
    label = f"training {run_dir.path.name}"
    # Until the session is open a signal ends the process at once: nothing is written yet.
    client = open_session(config, config.num_envs, session_seed, fleet=settings.fleet, label=label)
    run = Run(config, run_dir, client, settings, install_shutdown())
    try:
        run.prepare(checkpoint, session_seed, damages)
        return run.drive()
    finally:
        run.close()


class Run:
    """Everything one process of a run consists of."""

    def __init__(
        self,
        config: RunConfig,
        run_dir: RunDir,
        client: FleetClient,
        settings: TrainSettings,
        shutdown: Shutdown,
    ) -> None:
        self._config = config
        self._run_dir = run_dir
        self._settings = settings
        self._shutdown = shutdown
        self._pulse = Pulse()
        self._waiter = Waiter(self._stop)
        self._control = Control()
        self._branch = Branch(
            0,
            client,
            config.ppo,
            seed=config.seed,
            total_steps=config.total_steps,
            reward=make_reward(config.reward_source, client.task, config.num_envs),
            device=config.device,
            waiter=self._waiter,
            beat=self._pulse.beat,
        )

    def _stop(self) -> bool:
        self._pulse.beat()
        return self._shutdown.requested

    def prepare(self, checkpoint: Checkpoint | None, seed: int, damages: list[str]) -> None:
        """Put the branch where the run stands and open the books.

        Args:
            checkpoint: what to go on from; None begins at update 0.
            seed: of the training session.
            damages: what was wrong with newer checkpoints, for people.
        """
        config, run_dir = self._config, self._run_dir
        run_dir.create()
        remove_unfinished(run_dir.checkpoints)
        journal = run_dir.journal()
        position = 0
        wall_s = 0.0
        if checkpoint is not None:
            try:
                self._branch.load(checkpoint.counters["branches"][0], checkpoint.arrays)
            except (ValueError, KeyError) as error:
                raise UserError(
                    f"{checkpoint.name} does not fit this run: {error}",
                    "Was config.json or the task's file changed?",
                ) from None
            position, wall_s = checkpoint.counters["journal"], checkpoint.counters["wall_s"]
        updates = self._branch.updates
        run_dir.write_config(config, self._branch.client.task)
        run_dir.rewind_metrics(updates)
        life = sum(entry.kind in LIVES for entry in journal)
        run_dir.append_journal(updates, LIVES[min(life, 1)], {"total_steps": config.total_steps})
        stream, clock = EventStream(life), RunClock(wall_s)
        self._reporter = Reporter(run_dir, stream, clock, self._branch.env_steps)
        ledger = Ledger(config, run_dir, [self._branch], self._reporter, clock)
        for damage in damages:
            ledger.warn(damage)
        self._branch.start(seed)
        self._trainer = Trainer(
            config,
            [self._branch],
            ledger,
            self._control,
            open_evaluation=self._open_evaluation,
            waiter=self._waiter,
            stop=self._stop,
            replay=journal[position:],
        )
        status = StatusBoard(config, run_dir, ledger, [self._branch], self._waiter)
        app = make_app("MuJoCo WebSim learner", version("websim-learner"))
        registry = make_registry("learner", version("websim-learner"), self._reporter.readings)
        add_health(app, alive=self._pulse.alive, ready=status.unready_reason, registry=registry)
        add_run_routes(app, status.read, self._control, stream)
        self._server = serve_http(app, self._settings.http_host, self._settings.http_port)

    def drive(self) -> int:
        """Train to the end; return the exit code."""
        url, path = self._server.url, str(self._run_dir.path)
        write_ready(self._settings.ready_file, http_url=url, run_dir=path)
        log.info("learner ready", http=url, run_dir=path, task=self._config.task)
        state = self._trainer.run()
        log.info("learner done", state=state, reason=self._shutdown.reason)
        return 0

    def close(self) -> None:
        """Give the envs back and write out what is buffered."""
        self._branch.close()

    def _open_evaluation(self) -> FleetClient:
        config = self._config
        return open_session(
            config,
            config.eval_episodes,
            derived_seed(config.seed, Stream.EVALUATION_SESSION),
            fleet=self._settings.fleet,
            label=f"evaluation of {self._run_dir.path.name}",
        )
