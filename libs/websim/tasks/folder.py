"""Read a task from a folder, with the model and the assets that it names and nothing else."""

from pathlib import Path

from websim.tasks.assets import MAX_ASSET_BYTES, MAX_ASSETS, check_assets
from websim.tasks.bundle import TASK_FILE, TaskBundle
from websim.tasks.errors import TaskError
from websim.tasks.mjcf import check_mjcf
from websim.tasks.mjcf_limits import MAX_MJCF_BYTES
from websim.tasks.parser import parse_task
from websim.tasks.strict_yaml import MAX_BYTES


def load_bundle(path: Path) -> TaskBundle:
    """Read the task in a folder, or the given task file with what lies beside it.

    Raises:
        TaskError: Something is missing, too large, refused, or not a plain file of the folder.
    """
    task_file = path / TASK_FILE if path.is_dir() else path
    if not task_file.is_file():
        raise TaskError(
            f"there is no task file {task_file}",
            remedy="give a folder that holds task.yaml, or the path of a task file",
        )
    task_yaml = _read(task_file, MAX_BYTES)
    alone = TaskBundle(name=str(path), task_yaml=task_yaml)
    model = parse_task(alone, with_files=False).model.file
    if not model:
        return alone
    files = {model: _read_beside(task_file, model, MAX_MJCF_BYTES)}
    assets = check_mjcf(files[model], model).assets
    for asset in assets[:MAX_ASSETS]:
        files[asset] = _read_beside(task_file, asset, MAX_ASSET_BYTES)
    check_assets(files, model, assets)
    return TaskBundle(name=str(path), task_yaml=task_yaml, files=files)


def _read_beside(task_file: Path, name: str, limit: int) -> bytes:
    path = task_file.parent / name
    if not path.is_file():
        raise TaskError(f"the file {name!r} is not in the folder of the task", where=task_file.name)
    if path.resolve().parent != task_file.parent.resolve():
        raise TaskError(f"the file {name!r} is a link out of its folder", where=task_file.name)
    return _read(path, limit)


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise TaskError(f"cannot be read ({error.strerror})", where=str(path)) from None
    if len(content) > limit:
        raise TaskError(f"has more than {limit} bytes", where=path.name)
    return content
