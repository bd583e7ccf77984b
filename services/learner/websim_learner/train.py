"""`train`: sets a run up, from nothing or from its last checkpoint, and drives it to its end."""

from importlib.metadata import version

import torch

from websim.client import FleetVectorEnv
from websim.service.http import HttpServer, add_health, make_app, serve_http
from websim.service.logs import bind_log_ids, configure_logs, get_logger
from websim.service.main import EXIT_TERMINATED
from websim.service.metrics import make_registry
from websim.service.ready import write_ready
from websim.service.shutdown import Shutdown, install_shutdown
from websim.service.tokens import load_token
from websim_learner.adaptation.author import Author
from websim_learner.api import add_adaptation_routes, add_run_routes
from websim_learner.configure import is_over, new_config, resumed_config, started_config
from websim_learner.fleet import FleetClient, open_session
from websim_learner.run import Run
from websim_learner.run_dir import RunConfig
from websim_learner.settings import TrainSettings

log = get_logger("websim_learner")


def train(settings: TrainSettings) -> int:
    """Carry out `train`; return the exit code.

    Raises:
        UserError: something asked for is wrong, or the fleet is not there.
    """
    configure_logs("learner", json=settings.log_json, file=settings.log_file)
    # Bits depend on the number of threads, and two of them fight where cores are shared.
    torch.set_num_threads(1)
    if settings.resume is not None:
        config, run_dir = resumed_config(settings)
    elif settings.resume_if_started:
        config, run_dir = started_config(settings)
        if is_over(config, run_dir):
            log.info("the run has its result already", run_dir=str(run_dir.path))
            return 0
    else:
        config, run_dir = new_config(settings)
    name = run_dir.path.name
    bind_log_ids(run=name)
    shutdown: Shutdown | None = None
    run: Run | None = None

    def while_waiting() -> None:
        if run is not None:
            run.look()

    def open_labelled(asked: RunConfig, num_envs: int, seed: int, label: str) -> FleetVectorEnv:
        fleet, keys = settings.fleet, settings.keys
        return open_session(
            asked, num_envs, seed, fleet=fleet, keys=keys, label=label, while_waiting=while_waiting
        )

    def open_training(asked: RunConfig, seed: int) -> FleetClient:
        env = open_labelled(asked, asked.num_envs, seed, f"training {name}")
        bind_log_ids(session=env.session_id)
        return env

    def open_other(asked: RunConfig, seed: int) -> FleetClient:
        return open_labelled(asked, asked.num_envs, seed, f"training {name}: another task")

    def open_evaluation(asked: RunConfig, num_envs: int, seed: int) -> FleetClient:
        return open_labelled(asked, num_envs, seed, f"evaluation of {name}")

    def open_group(asked: RunConfig, num_envs: int, seed: int, contender: str) -> FleetClient:
        return open_labelled(asked, num_envs, seed, f"trial of {name}: {contender}")

    # Until the session is open a signal ends the process at once: nothing is written yet.
    run = Run(
        config,
        run_dir,
        open_training,
        open_evaluation,
        stop=lambda: shutdown is not None and shutdown.requested,
        open_other=open_other,
        open_group=open_group,
        author=_author(settings),
    )
    try:
        shutdown = install_shutdown()
        server = _serve(run, settings)
        run.begin()
        write_ready(settings.ready_file, http_url=server.url, run_dir=str(run_dir.path))
        log.info("learner ready", http=server.url, run_dir=str(run_dir.path), task=config.task)
        state = run.train()
        run.stream.await_readers()
        log.info("learner done", state=state, reason=shutdown.reason)
        server.stop()
    finally:
        run.close()
    # Whoever starts the same command line again takes 0 for the end of the run.
    return EXIT_TERMINATED if state == "stopped" and settings.resume_if_started else 0


def _author(settings: TrainSettings) -> Author | None:
    if settings.reward_gen is None:
        return None
    token_file = settings.reward_gen_token_file
    return Author(settings.reward_gen, load_token(token_file) if token_file else "")


def _serve(run: Run, settings: TrainSettings) -> HttpServer:
    """Serve health, metrics, status, commands and records."""
    release = version("websim-learner")
    app = make_app("MuJoCo WebSim learner", release)
    registry = make_registry("learner", release, run.reporter.readings)
    add_health(app, alive=run.pulse.alive, ready=run.status.unready_reason, registry=registry)
    add_run_routes(app, run.status.read, run.control, run.stream)
    add_adaptation_routes(app, run.adaptation_view)
    return serve_http(app, settings.http_host, settings.http_port, settings.token_file)
