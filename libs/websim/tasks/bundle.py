"""The files of a task as they travel: read from a folder here, or received over the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TASK_FILE = "task.yaml"


@dataclass(frozen=True)
class TaskBundle:
    """A task file and the files beside it.

    Attributes:
        name: The task's name for messages: its id, or the path it was read from.
        task_yaml: Content of the task file.
        files: Content of the model and its assets by plain name. Empty when the model comes
            with Gymnasium or a generator.
    """

    name: str
    task_yaml: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)
