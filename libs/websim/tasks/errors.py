"""What can be wrong with a task: one class, one line for a person."""


class TaskError(ValueError):
    """A task file, its model or an override is wrong: show the line and change what it names.

    Attributes:
        message: What is wrong.
        where: File, line and key ("task.yaml line 12, fields.x_velocity"), or "".
        remedy: What to do about it, or "".
    """

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.message = " ".join(message.split())
        self.where = where
        self.remedy = " ".join(remedy.split())
        line = f"{where}: {self.message}" if where else self.message
        super().__init__(f"{line}; {self.remedy}" if self.remedy else line)
