"""Commands that another package carries out: what needs mujoco or torch is not imported here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

from websim.local.child import CHILD_ENVIRONMENT
from websim.local.fleet import require_installed
from websim.service.errors import UserError

BENCH = Path(__file__).resolve().parents[3] / "tests" / "bench" / "run.py"
"""Where the bench is in a checkout."""


def hand_over(package: str, *arguments: str) -> NoReturn:
    """Become `python -m <package> <arguments>`.

    Raises:
        UserError: The package is not installed.
    """
    require_installed(package)
    _become("-P", "-m", package, *arguments)


def hand_over_to_bench(arguments: list[str]) -> NoReturn:
    """Become the bench, which only a source checkout has.

    Raises:
        UserError: This is not a checkout.
    """
    if not BENCH.is_file():
        raise UserError("the bench is part of the source checkout", "Run `make bench` there.")
    _become(str(BENCH), *arguments)


def task_info(task: str) -> dict[str, Any]:
    """Return what `python -m websim_sim_worker tasks <task> --json` says of a task.

    Raises:
        UserError: The task is unknown or broken; says why in the worker's words.
    """
    require_installed("websim_sim_worker")
    answer = subprocess.run(
        [sys.executable, "-P", "-m", "websim_sim_worker", "tasks", task, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or ["it cannot be read"]
        raise UserError(lines[-1].removeprefix("error: "))
    info: dict[str, Any] = json.loads(answer.stdout)
    return info


def _become(*arguments: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **CHILD_ENVIRONMENT})
