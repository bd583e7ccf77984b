"""Commands that another package carries out: what needs mujoco or torch is not imported here."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from websim.local.child import CHILD_ENVIRONMENT
from websim.local.fleet import require_installed
from websim.service.errors import UserError
from websim.wire.messages import FieldInfo

TASK_DEADLINE_S = 60.0
"""How long a worker's package may take to compile and describe a task."""

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


def check_rewards(files: list[Path], task: str, *, as_json: bool) -> int:
    """Judge reward files for a task; return 1 if any is refused, otherwise 0.

    Raises:
        UserError: The task is unknown or broken; says why in the worker's words.
    """
    from websim.programs.command import check_reward
    from websim.programs.schema import ProgramSchema

    info = _task_info(task)
    schema = ProgramSchema(
        fields={field.name: field.columns for field in info.fields},
        action_dim=len(info.action_low),
    )
    return check_reward(files, schema, as_json=as_json, out=sys.stdout)


class _Task(msgspec.Struct):
    """What a reward may read; the rest may hold infinities, for which JSON has null."""

    fields: list[FieldInfo]
    action_low: list[float | None]


def _task_info(task: str) -> _Task:
    require_installed("websim_sim_worker")
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "websim_sim_worker", "tasks", task, "--json"],
            capture_output=True,
            text=True,
            timeout=TASK_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(
            f"task {task} is not read within {TASK_DEADLINE_S:g} s", "Make its model smaller."
        ) from None
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or [f"task {task} cannot be read"]
        raise UserError(lines[-1].removeprefix("error: "))
    return msgspec.json.decode(answer.stdout, type=_Task)


def _become(*arguments: str) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **CHILD_ENVIRONMENT})
