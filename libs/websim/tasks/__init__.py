"""Task files: what an environment simulates, as data (docs/tasks.md). No MuJoCo here."""

from websim.tasks.bundle import TaskBundle
from websim.tasks.document import AUTOMATIC_FIELDS, TaskDocument
from websim.tasks.errors import TaskError
from websim.tasks.folder import load_bundle
from websim.tasks.parser import parse_task
from websim.tasks.schema import task_schema

__all__ = [
    "AUTOMATIC_FIELDS",
    "TaskBundle",
    "TaskDocument",
    "TaskError",
    "load_bundle",
    "parse_task",
    "task_schema",
]
