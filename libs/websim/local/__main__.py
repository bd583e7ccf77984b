"""The `websim` command's outermost frame; `python -m websim.local` is the same."""

import signal
from typing import NoReturn

from websim.service.main import run_service


def main() -> NoReturn:
    """Run the command line and exit."""
    run_service(_run)


def _run(argv: list[str]) -> int:
    # Imported here, so that Ctrl-C while modules are being read is quiet too.
    from websim.local.cli import run

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # See websim/__init__.py: from here on there may be something to put in order.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run(argv)


if __name__ == "__main__":
    main()
