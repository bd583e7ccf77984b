"""`python -m websim_orchestrator`: the orchestrator as a process."""

import resource
import secrets
import sys
from importlib.metadata import version
from typing import NoReturn

from websim.service.errors import UserError
from websim.service.hosts import is_loopback
from websim.service.http import add_health, make_app, serve_http
from websim.service.logs import configure_logs, get_logger
from websim.service.main import run_service
from websim.service.metrics import make_registry
from websim.service.ready import write_ready
from websim.service.settings import load_settings
from websim.service.shutdown import install_shutdown
from websim.wire.curve import load_server_keys
from websim_orchestrator.api import add_fleet_routes
from websim_orchestrator.brain import Brain
from websim_orchestrator.readings import read_metrics
from websim_orchestrator.runtime import Runtime
from websim_orchestrator.settings import OrchestratorSettings

log = get_logger("websim_orchestrator")

FIRST_SESSION_ID = 100_000
"""Sessions are numbered from somewhere between this and its double."""


def run(argv: list[str]) -> int:
    """Run an orchestrator until it is told to stop.

    Raises:
        UserError: a setting is wrong or a port is taken.
    """
    settings = load_settings(OrchestratorSettings, argv)
    if settings.keys is None and not is_loopback(settings.host):
        raise UserError(
            f"--host {settings.host} is not a loopback address, so anybody could connect",
            "Add --keys DIR (`websim keys DIR` makes them), or use 127.0.0.1.",
        )
    keys = None if settings.keys is None else load_server_keys(settings.keys)
    configure_logs("orchestrator", json=settings.log_json, file=settings.log_file)
    allow_many_connections()
    shutdown = install_shutdown()
    # Workers may hold shards of sessions that were open before: numbers must not come again.
    brain = Brain(FIRST_SESSION_ID + secrets.randbelow(FIRST_SESSION_ID))
    ports = settings.worker_port, settings.client_port, settings.telemetry_port
    runtime = Runtime(brain, settings.host, *ports, keys)
    release = version("websim-orchestrator")
    app = make_app("MuJoCo WebSim orchestrator", release)
    registry = make_registry("orchestrator", release, lambda: read_metrics(runtime))
    add_health(app, alive=runtime.pulse.alive, ready=lambda: None, registry=registry)
    add_fleet_routes(app, runtime)
    server = serve_http(app, settings.http_host, settings.http_port, settings.token_file)
    write_ready(
        settings.ready_file,
        worker_address=runtime.worker_address,
        client_address=runtime.client_address,
        telemetry_address=runtime.telemetry_address,
        http_url=server.url,
    )
    log.info(
        "orchestrator ready",
        workers=runtime.worker_address,
        clients=runtime.client_address,
        telemetry=runtime.telemetry_address,
        http=server.url,
    )
    runtime.run(shutdown)
    server.stop()
    log.info("orchestrator stopped", reason=shutdown.reason)
    return 0


def allow_many_connections() -> None:
    """Take all the descriptors the system grants: strangers may hold some of them for a while."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> NoReturn:
    """Entry point of the console script."""
    run_service(run)


if __name__ == "__main__":
    sys.exit(main())
