"""`python -m websim_dashboard`: the dashboard as a process."""

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from websim.service.http import serve_http
from websim.service.logs import configure_logs, get_logger
from websim.service.main import run_service
from websim.service.ready import write_ready
from websim.service.settings import load_settings
from websim.service.shutdown import install_shutdown
from websim.service.tokens import load_token
from websim.wire.curve import load_peer_keys
from websim_dashboard.access import Guard, SessionCheck
from websim_dashboard.history import History
from websim_dashboard.page import DIRECTORY
from websim_dashboard.service import Service
from websim_dashboard.settings import DashboardSettings
from websim_dashboard.upstream import Upstream

log = get_logger("websim_dashboard")

WAIT_S = 60.0
"""The main thread only waits; the loop of the HTTP server does the work."""


def run(argv: list[str]) -> int:
    """Run the dashboard until it is told to stop.

    Raises:
        UserError: a setting is wrong, a file cannot be used, or the port is taken.
    """
    settings = load_settings(DashboardSettings, argv)
    keys = None if settings.keys is None else load_peer_keys(settings.keys, "client")
    token = _token(settings.upstream_token_file or settings.token_file)
    configure_logs("dashboard", json=settings.log_json, file=settings.log_file)
    # It tells of every request, and the services behind are asked several times a second.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    shutdown = install_shutdown()
    history = History(
        settings.history, keep_days=settings.keep_days, keep_points=settings.keep_points
    )
    service = Service(
        Upstream("learner", settings.learner, token),
        Upstream("orchestrator", settings.orchestrator, token),
        history,
        settings.telemetry,
        keys,
        version("websim-dashboard"),
        reward_gen=(
            None
            if settings.reward_gen is None
            else Upstream("reward-gen", settings.reward_gen, token)
        ),
    )
    if not (DIRECTORY / "index.html").is_file():
        log.warning("the page is not built: `make setup` builds it; the API works without it")
    server = serve_http(
        service.app,
        settings.http_host,
        settings.http_port,
        settings.token_file,
        SessionCheck,
        Guard,
    )
    write_ready(settings.ready_file, http_url=server.url)
    log.info("dashboard ready", http=server.url, history=str(settings.history))
    while not shutdown.wait(WAIT_S):
        pass
    server.stop()
    history.close()
    log.info("dashboard stopped", reason=shutdown.reason)
    return 0


def _token(path: Path | None) -> str:
    return "" if path is None else load_token(path)


def main() -> NoReturn:
    """Entry point of the console script."""
    run_service(run)


if __name__ == "__main__":
    sys.exit(main())
