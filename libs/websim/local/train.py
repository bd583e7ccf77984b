"""`websim.train`: a training run from a notebook or a script."""

from pathlib import Path
from typing import Any

from websim.local.options import RunOptions
from websim.local.run import Run
from websim.service.errors import UserError


def train(task: str | None = None, **options: Any) -> Run:  # noqa: ANN401 (see RunOptions)
    """Start training on this machine and return the run, once it is under way.

    `for record in websim.train(task="Hopper-v5", total_steps=200_000): print(record)`

    Args:
        task: Name of a bundled task, or a task file; None is HalfCheetah-v5.
        **options: Fields of `RunOptions`: algo, num_envs, seed, total_steps, run_dir, ...

    Raises:
        UserError: An option cannot work, or a process did not start; says why.
    """
    known = RunOptions.__dataclass_fields__
    for name in options:
        if name not in known:
            raise UserError(f"train has no option {name}", f"It has: {', '.join(known)}.")
    for name in ("run_dir", "resume", "reward", "keys"):
        if options.get(name) is not None:
            options[name] = Path(options[name])
    run = Run(RunOptions(task=task, **options))
    try:
        run.wait_ready()
    except BaseException:
        run.close()
        raise
    return run
