"""A loop that asks a service how it stands: often while somebody looks, now and then otherwise."""

import abc
import asyncio
import contextlib
import time
from collections.abc import Callable

from websim.service.logs import get_logger
from websim_dashboard.upstream import Unreachable

log = get_logger(__name__)


class Feed(abc.ABC):
    """Base of the feeds; a subclass says what one turn asks for. Belongs to one loop."""

    def __init__(
        self, name: str, watched: Callable[[], bool], fast_s: float, slow_s: float
    ) -> None:
        """Prepare.

        Args:
            name: of the service, for messages.
            watched: whether somebody looks.
            fast_s: between two turns while somebody does.
            slow_s: between two turns otherwise.
        """
        self.error: str | None = "it has not been asked yet"
        """Why the service cannot be asked; None while it answers."""
        self.turned: Callable[[], None] = lambda: None
        """Called after each turn, and within one when there is news."""
        self.not_understood = f"the {name} answers what this dashboard does not understand"
        self._name = name
        self._watched = watched
        self._fast_s, self._slow_s = fast_s, slow_s
        self._poked = asyncio.Event()
        self._turn_lock = asyncio.Lock()
        self._turned_s = float("-inf")

    @abc.abstractmethod
    async def turn(self) -> None:
        """Ask once.

        Raises:
            Unreachable: there is no answer.
        """

    def answered(self) -> None:
        """Say in the middle of a turn that the service answers, and that there is news."""
        self.error = None
        self.turned()

    def poke(self) -> None:
        """Have the next turn now: something has just changed."""
        self._poked.set()

    async def run(self) -> None:
        """Turn until cancelled."""
        while True:
            self._poked.clear()
            await self._turn()
            interval_s = self._fast_s if self._watched() else self._slow_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._poked.wait()

    async def fresh(self, max_age_s: float) -> None:
        """Have a turn now unless the last one is recent."""
        if time.monotonic() - self._turned_s > max_age_s:
            await self._turn(max_age_s)

    async def _turn(self, max_age_s: float = 0.0) -> None:
        async with self._turn_lock:
            if time.monotonic() - self._turned_s < max_age_s:
                return
            before = self.error
            try:
                await self.turn()
                self.error = None
            except Unreachable as error:
                self.error = str(error)
            except (KeyError, TypeError, ValueError) as error:
                self.error = self.not_understood
                log.warning("answer not understood", upstream=self._name, why=repr(error))
            self._turned_s = time.monotonic()
        if self.error != before:
            log.info("upstream", upstream=self._name, error=self.error)
        self.turned()
