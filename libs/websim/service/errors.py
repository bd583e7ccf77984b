"""The one exception whose text is written for the person at the terminal."""

EXIT_USER_ERROR = 2
"""Bad input; what argument parsers use too."""


class UserError(Exception):
    """Bad input or surroundings that the user can put right; never a defect of the program.

    Printed as one line, without a traceback, and ends a command.

    Attributes:
        message: What is wrong.
        remedy: What to do about it, as a sentence; empty when the message says it all.
        exit_code: What the command ends with.
    """

    exit_code = EXIT_USER_ERROR

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        """Return both parts as one line."""
        stop = "" if self.message.endswith((".", "?", "!")) else "."
        remedy = self.remedy[:1].upper() + self.remedy[1:]
        text = f"{self.message}{stop} {remedy}" if remedy else self.message
        return " ".join(text.split())
