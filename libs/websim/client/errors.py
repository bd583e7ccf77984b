"""What can go wrong between a client and a fleet; each says what to do about it."""

from websim.service.errors import UserError


class FleetError(UserError):
    """Base of the client's errors."""


class FleetUnavailable(FleetError):
    """No orchestrator answers: start one, or correct the address."""


class FleetTimeout(FleetError):
    """The fleet lives but an answer did not come in time: wait again, or look at its workers."""


class FleetRefused(FleetError):
    """The fleet said no. `code` is a short stable name of the reason."""

    def __init__(self, code: str, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code
