"""Named places at which a test has the process kill itself: WEBSIM_FAILPOINT=name[:n].

At the n-th passage of the place, the first when n is left out, the process ends by SIGKILL, as
whoever pulls the plug would end it: nothing is flushed, closed or told. Unset, it costs a look at
a variable.
"""

import os
import signal

from websim.service.errors import UserError

VARIABLE = "WEBSIM_FAILPOINT"

FAILPOINTS = (
    "run.begun",
    "run.restored",
    "checkpoint.before_write",
    "checkpoint.mid_write",
    "checkpoint.after_sync",
    "checkpoint.mid_replace",
    "checkpoint.after_rename",
    "checkpoint.before_forget",
    "checkpoint.mid_forget",
    "evaluation.done",
    "journal.before_write",
    "journal.after_write",
    "metrics.before_write",
    "metrics.after_write",
    "result.before_write",
    "result.after_write",
)
"""All of them."""

_armed = ""
_left = 0


def arm(text: str) -> None:
    """Choose where to die; "" is nowhere.

    Raises:
        UserError: there is no such place.
    """
    global _armed, _left
    name, _, count = text.partition(":")
    if name and (name not in FAILPOINTS or not (count or "1").isdigit()):
        raise UserError(f"{VARIABLE}={text} names no failpoint", f"Known: {', '.join(FAILPOINTS)}.")
    _armed, _left = name, int(count or "1")


def failpoint(name: str) -> None:
    """Pass a place; die there when it is the one that was chosen."""
    global _left
    if name == _armed:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
