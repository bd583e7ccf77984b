"""Make MuJoCo a quiet guest: nothing on stderr, no MUJOCO_LOG.TXT in the working directory.

Imported before any model is loaded. The engine's warnings go to this module's logger at debug
level; what matters of them is counted per environment by the shard.
"""

import logging

import mujoco

_logger = logging.getLogger(__name__)


def _log_warning(message: str) -> None:
    _logger.debug("mujoco: %s", message)


def quiet_engine() -> None:
    """Route the engine's warnings to the log; the default writes a file and to stderr."""
    mujoco.set_mju_user_warning(_log_warning)


quiet_engine()
