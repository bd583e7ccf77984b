"""The outermost frame of every service and command: exit codes, and no traceback for users."""

import sys
from collections.abc import Callable
from typing import NoReturn

from websim.service.errors import UserError

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def run_service(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a program's `main` and exit with its code.

    A `UserError` becomes one line on stderr and its exit code (2), Ctrl-C exit code 130. Any
    other exception is a defect and keeps its traceback.

    Args:
        main: Takes the command line without the program's name; returns the exit code.
    """
    try:
        code = main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    sys.exit(code)
