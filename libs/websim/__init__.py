"""MuJoCo WebSim: thousands of MuJoCo environments on a fleet, as one Gymnasium VectorEnv.

    import websim
    env = websim.make_vec("HalfCheetah-v5", 1024)      # a private fleet on this machine
    run = websim.train(task="HalfCheetah-v5")          # or a whole training run

Importing it registers the bundled tasks with Gymnasium as "websim/<task>".
"""

import importlib
import os
import signal
import sys

if (
    os.path.basename(sys.argv[0]) == "websim"
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    # While the command reads its modules, Gymnasium above all, Ctrl-C ends it without a word;
    # websim.local.__main__ puts the handler back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from typing import TYPE_CHECKING

from websim.registration import register_all

if TYPE_CHECKING:
    from websim.client import make_vec
    from websim.local.train import train

__all__ = ["make_vec", "train"]

_HOMES = {"make_vec": "websim.client", "train": "websim.local.train"}

register_all()


def __getattr__(name: str) -> object:
    """Import the public functions when first used: a service needs neither."""
    if name not in _HOMES:
        raise AttributeError(f"module 'websim' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
