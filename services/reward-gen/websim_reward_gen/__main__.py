"""`python -m websim_reward_gen`: reward-gen as a process."""

import logging
import sys
from importlib.metadata import version
from typing import NoReturn

from websim.programs.sandbox import SandboxError
from websim.service.errors import UserError
from websim.service.http import Pulse, add_health, make_app, serve_http
from websim.service.logs import configure_logs, get_logger
from websim.service.main import run_service
from websim.service.metrics import make_registry
from websim.service.ready import write_ready
from websim.service.settings import load_settings
from websim.service.shutdown import install_shutdown
from websim_reward_gen.api import add_reward_routes
from websim_reward_gen.claude.key import take_key
from websim_reward_gen.counts import Counts, read_metrics
from websim_reward_gen.gate import Gate
from websim_reward_gen.generate import Generator
from websim_reward_gen.goals import Goals
from websim_reward_gen.ledger import Caps, Ledger
from websim_reward_gen.providers import make_providers
from websim_reward_gen.settings import RewardGenSettings

log = get_logger("websim_reward_gen")

BEAT_S = 1.0
"""How often the main loop, which only waits, shows that it turns."""


def run(argv: list[str]) -> int:
    """Run reward-gen until it is told to stop.

    Raises:
        UserError: a setting is wrong, a file cannot be used, or the port is taken.
    """
    settings = load_settings(RewardGenSettings, argv)
    key = take_key(settings.api_key_file)
    configure_logs("reward-gen", json=settings.log_json, file=settings.log_file)
    # It tells the address of every request, where a gateway may have its token.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    shutdown = install_shutdown()
    caps = Caps(
        settings.usd_per_run,
        settings.usd_per_day,
        settings.tokens_per_run,
        settings.tokens_per_day,
    )
    ledger = Ledger(settings.ledger, caps)
    counts = Counts()
    providers, default = make_providers(settings, key, ledger, counts)
    try:
        gate = Gate()
    except SandboxError as error:
        raise UserError(
            f"programs cannot be tried here: {error}", "Use Linux, on x86_64 or aarch64."
        ) from None
    release = version("websim-reward-gen")
    app = make_app("MuJoCo WebSim reward-gen", release)
    pulse = Pulse()
    registry = make_registry("reward-gen", release, lambda: read_metrics(counts, providers, ledger))
    add_health(app, alive=pulse.alive, ready=gate.ready, registry=registry)
    generator = Generator(gate, providers, default, counts)
    goals = Goals(gate, providers, default, counts)
    add_reward_routes(app, generator, goals, gate, settings.max_concurrent)
    server = serve_http(app, settings.http_host, settings.http_port, settings.token_file)
    write_ready(settings.ready_file, http_url=server.url, provider=default)
    log.info("reward-gen ready", http=server.url, provider=default, model=settings.model)
    while not shutdown.wait(BEAT_S):
        pulse.beat()
    server.stop()
    gate.close()
    ledger.close()
    log.info("reward-gen stopped", reason=shutdown.reason)
    return 0


def main() -> NoReturn:
    """Entry point of the console script."""
    run_service(run)


if __name__ == "__main__":
    sys.exit(main())
