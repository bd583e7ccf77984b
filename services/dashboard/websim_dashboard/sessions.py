"""Sessions of people who have logged in: what is open under a cookie ends with it."""

import asyncio
import contextlib
import time
from collections import defaultdict

from websim_dashboard.access import ends_unix_s


class Sessions:
    """What is open, by the cookie that let it in. Belongs to one loop."""

    def __init__(self) -> None:
        self._open: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def end(self, cookie: str) -> None:
        """End all that a cookie let in; what came without one goes on."""
        if cookie:
            for ended in self._open.get(cookie, ()):
                ended.set()

    async def over(self, cookie: str) -> None:
        """Return when a cookie was given back or its time is over; without one, never."""
        ended = asyncio.Event()
        self._open[cookie].add(ended)
        left_s = ends_unix_s(cookie) - time.time() if cookie else None
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await ended.wait()
        finally:
            self._open[cookie].discard(ended)
            if not self._open[cookie]:
                del self._open[cookie]
