"""`python -m websim_sim_worker`: a sim worker, or one of the commands about tasks."""

import sys
from importlib.metadata import version
from typing import NoReturn

from websim.service.hosts import leaves_machine, url_towards
from websim.service.http import add_health, make_app, serve_http
from websim.service.logs import configure_logs, get_logger
from websim.service.main import run_service
from websim.service.metrics import make_registry
from websim.service.ready import write_ready
from websim.service.settings import load_settings
from websim.service.shutdown import install_shutdown
from websim.wire.curve import load_peer_keys
from websim_sim_worker.engine import time_engine
from websim_sim_worker.readings import read_metrics
from websim_sim_worker.runtime import Runtime
from websim_sim_worker.settings import WorkerSettings

log = get_logger("websim_sim_worker")

COMMANDS = ("tasks", "check-task", "render")


def run(argv: list[str]) -> int:
    """Run a command, or a worker until it is told to stop.

    Raises:
        UserError: a setting is wrong, no orchestrator answers, or it speaks another version.
    """
    if argv and argv[0] in COMMANDS:
        # Imported for who asks: a worker starts without renderer and tables.
        from websim_sim_worker.commands import run_command

        return run_command(argv[0], argv[1:])
    return serve(load_settings(WorkerSettings, argv))


def serve(settings: WorkerSettings) -> int:
    """Register with the orchestrator and step shards until told to stop."""
    keys = None if settings.keys is None else load_peer_keys(settings.keys, "worker")
    configure_logs("sim-worker", json=settings.log_json, file=settings.log_file)
    shutdown = install_shutdown()
    if not time_engine(on=False):
        log.warning("cannot turn MuJoCo's timers off: steps take longer")
    release = version("websim-sim-worker")
    app = make_app("MuJoCo WebSim sim worker", release)
    if keys is None and leaves_machine(settings.orchestrator):
        log.warning("no keys: an orchestrator that has keys refuses this worker")
    runtime = Runtime(settings.orchestrator, settings.nthread, keys)
    registry = make_registry("sim-worker", release, lambda: read_metrics(runtime))
    add_health(app, alive=runtime.pulse.alive, ready=runtime.unready_reason, registry=registry)
    server = serve_http(app, settings.http_host, settings.http_port, settings.token_file)
    runtime.http_url = url_towards(server.url, settings.orchestrator)

    def on_registered() -> None:
        write_ready(settings.ready_file, http_url=server.url)
        log.info("worker ready", worker_id=runtime.worker_id, http=server.url)

    runtime.run(shutdown, on_registered, settings.connect_deadline_s)
    server.stop()
    log.info("worker stopped", reason=shutdown.reason)
    return 0


def main() -> NoReturn:
    """Entry point of the console script."""
    run_service(run)


if __name__ == "__main__":
    sys.exit(main())
