"""The tasks of a worker: those that come with it, and any other one compiled on request.

Called by the worker for every shard it is assigned, and by the commands for people.
"""

import difflib
import functools
from collections.abc import Mapping
from importlib.resources import files

import yaml

from websim.tasks import TaskBundle, TaskError
from websim.tasks.document import Value
from websim.wire.messages import TaskSummary
from websim_sim_worker.compilation import CompiledTask, compile_prepared, prepare
from websim_sim_worker.vetting import vet

__all__ = ["CompiledTask", "bundled", "bundled_names", "compile_task", "summaries"]


def bundled_names() -> tuple[str, ...]:
    """Names of the tasks that come with the worker, sorted."""
    folder = files("websim_sim_worker").joinpath("bundled")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml")))


@functools.cache
def bundled(name: str) -> TaskBundle:
    """The bundled task of that name.

    Raises:
        TaskError: There is none; the message lists close matches.
    """
    names = bundled_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3)
        guess = f"did you mean {' or '.join(close)}? " if close else ""
        remedy = f"{guess}`websim tasks` lists {', '.join(names)}; or name a task file by its path"
        raise TaskError(f"unknown task {name!r}", remedy=remedy)
    source = files("websim_sim_worker").joinpath("bundled", f"{name}.yaml").read_bytes()
    return TaskBundle(name=name, task_yaml=source)


@functools.cache
def summaries() -> tuple[TaskSummary, ...]:
    """Return name and description of all bundled tasks, without the rest of their files."""
    return tuple(TaskSummary(name, _description(name)) for name in bundled_names())


def _description(name: str) -> str:
    """Return what a bundled task's file says near its beginning."""
    tokens = yaml.scan(bundled(name).task_yaml, Loader=yaml.SafeLoader)
    words = (token.value for token in tokens if isinstance(token, yaml.ScalarToken))
    for word in words:
        if word == "description":
            return str(next(words))
    raise TaskError(f"bundled task {name} has no description")


def compile_task(bundle: TaskBundle, overrides: Mapping[str, Value] | None = None) -> CompiledTask:
    """Compile a task under parameter overrides; one that is not ours is tried in a child first.

    Raises:
        TaskError: One line: what is wrong with the task or an override, where, and the remedy.
    """
    # What needs no engine is said without waiting for a child.
    prepared = prepare(bundle, overrides or {})
    if not _is_bundled(bundle):
        vet(bundle, overrides or {})
    return compile_prepared(prepared)


def _is_bundled(bundle: TaskBundle) -> bool:
    if bundle.files or bundle.name not in bundled_names():
        return False
    return bundle.task_yaml == bundled(bundle.name).task_yaml
