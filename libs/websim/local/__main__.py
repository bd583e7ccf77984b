"""The `websim` command's outermost frame; `python -m websim.local` is the same."""

from typing import NoReturn

from websim.service.main import run_service


def main() -> NoReturn:
    """Run the command line and exit."""
    run_service(_run)


def _run(argv: list[str]) -> int:
    # Imported here, so that Ctrl-C while modules are being read is quiet too.
    from websim.local.cli import run

    return run(argv)


if __name__ == "__main__":
    main()
