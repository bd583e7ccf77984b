"""Make MuJoCo a quiet and quick guest: no stderr, no MUJOCO_LOG.TXT, no timers nobody reads.

Imported before any model is loaded. The engine's warnings go to this module's logger at debug
level; what matters of them is counted per environment by the shard.
"""

import ctypes
import logging
from pathlib import Path

import mujoco

_logger = logging.getLogger(__name__)


def _log_warning(message: str) -> None:
    _logger.debug("mujoco: %s", message)


def quiet_engine() -> None:
    """Route the engine's warnings to the log; the default writes a file and to stderr."""
    mujoco.set_mju_user_warning(_log_warning)


def _find_clock() -> "tuple[ctypes.c_void_p, int] | None":
    """The engine's `mjcb_time` variable with the clock that the Python package puts there."""
    for path in sorted(Path(mujoco.__file__).parent.glob("*mujoco*")):
        if path.name.startswith(("libmujoco.", "mujoco.dll")):
            variable = ctypes.c_void_p.in_dll(ctypes.CDLL(str(path)), "mjcb_time")
            return (variable, variable.value) if variable.value else None
    return None


_clock = _find_clock()


def time_engine(on: bool) -> bool:
    """Turn the engine's profiling timers (`mjData.timer`) on or off for the whole process.

    They read the clock dozens of times per step, a seventh of HalfCheetah's CPU time, and no
    simulation depends on them. C leaves them off; the Python package turns them on, and its
    `set_mjcb_time(None)` does not turn them off: hence the engine's own variable.

    Returns:
        Whether that was possible.
    """
    if _clock is None:
        return False
    variable, clock = _clock
    variable.value = clock if on else None
    return True


quiet_engine()
