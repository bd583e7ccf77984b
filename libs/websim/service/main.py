"""The outermost frame of every service and command: exit codes, and no traceback for users."""

import faulthandler
import os
import select
import sys
from collections.abc import Callable
from typing import NoReturn

from websim.service.errors import UserError
from websim.service.shutdown import watch_parent

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE: the reader of our output has gone."""

EXIT_TERMINATED = 143
"""128 + SIGTERM: what was under way is not finished."""

END_S = 10.0
"""How long threads may take to end once the program itself has."""


def run_service(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a program's `main` and exit with its code.

    A `UserError` becomes one line on stderr and its exit code (2), Ctrl-C exit code 130. Any
    other exception is a defect and keeps its traceback. So does what keeps the process from ending
    afterwards: where each thread stands is then told on stderr, and the exit code is 1.

    Args:
        main: Takes the command line without the program's name; returns the exit code.
    """
    watch_parent()
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        if not _stdout_is_broken():
            raise
        code = EXIT_BROKEN_PIPE
    faulthandler.dump_traceback_later(END_S, exit=True, file=2)
    sys.exit(code)


def _stdout_is_broken() -> bool:
    """Return whether nobody reads stdout any more (`websim tasks | head`), and give it up if so."""
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)
    if not poller.poll(0):
        return False
    # What is left in the buffer must go somewhere when the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
