"""The one exception whose text is written for the person at the terminal."""


class UserError(Exception):
    """Bad input or surroundings that the user can put right; never a defect of the program.

    Printed as one line, without a traceback, and ends a command with exit code 2.

    Attributes:
        message: What is wrong.
        remedy: What to do about it, as a sentence; empty when the message says it all.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        """Return both parts as one line."""
        stop = "" if self.message.endswith((".", "?", "!")) else "."
        text = f"{self.message}{stop} {self.remedy}" if self.remedy else self.message
        return " ".join(text.split())
