"""Puts the dashboard together: feeds, hub and routes, in the loop of its HTTP server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from websim.service.http import Pulse, add_health, make_app
from websim.service.logs import get_logger
from websim.service.metrics import Reading, make_registry
from websim.wire.curve import PeerKeys
from websim_dashboard.api import add_access_routes, add_history_routes, add_status_routes
from websim_dashboard.broadcast import Broadcast
from websim_dashboard.checks import Checker
from websim_dashboard.fleet_feed import FleetFeed
from websim_dashboard.history import History
from websim_dashboard.hub import Hub
from websim_dashboard.learner_feed import LearnerFeed
from websim_dashboard.live import add_live_route
from websim_dashboard.page import DIRECTORY, add_page
from websim_dashboard.proxy import add_fleet_routes, add_learner_routes, add_reset_route
from websim_dashboard.sessions import Sessions
from websim_dashboard.telemetry import Received, TelemetryReader, Topic
from websim_dashboard.upstream import Upstream, outcomes

log = get_logger(__name__)

BEAT_S = 1.0
"""How often the loop shows that it turns."""

SMALLEST_GZIP_BYTES = 2048


class Service:
    """The dashboard's parts.

    Attributes:
        app: what is to be served, in a `Guard`.
    """

    def __init__(
        self,
        learner: Upstream,
        orchestrator: Upstream,
        history: History,
        telemetry: str,
        keys: PeerKeys | None,
        release: str,
        page: Path = DIRECTORY,
        reward_gen: Upstream | None = None,
    ) -> None:
        """Put them together; they run while the application is served.

        Args:
            learner: trains the run that is shown.
            orchestrator: has the environments that are shown.
            history: keeps what was heard of runs.
            telemetry: address of the orchestrator's telemetry.
            keys: for the telemetry of a fleet that has keys.
            release: of this package.
            page: directory of the built page.
            reward_gen: judges rewards that are typed; None: only the language does.
        """
        self._upstreams = {"learner": learner, "orchestrator": orchestrator}
        if reward_gen is not None:
            self._upstreams["reward-gen"] = reward_gen
        self._history = history
        self._telemetry = telemetry, keys
        self._reader: TelemetryReader | None = None
        self._pulse = Pulse()
        self.hub = Hub(self._watch)
        self.learner = LearnerFeed(learner, history, lambda: bool(self.hub.viewers))
        self.fleet = FleetFeed(orchestrator, lambda: bool(self.hub.viewers))
        self._broadcast = Broadcast(self.hub, self.learner, self.fleet, orchestrator)
        self.app = make_app("MuJoCo WebSim dashboard", release, self._run)
        self.app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_GZIP_BYTES, compresslevel=5)
        registry = make_registry("dashboard", release, lambda: self._read_metrics())
        add_health(self.app, alive=self._pulse.alive, ready=lambda: None, registry=registry)
        sessions = Sessions()
        add_access_routes(self.app, sessions)
        checker = Checker(reward_gen)
        add_status_routes(self.app, self._broadcast, self.learner, self.fleet, checker)
        add_history_routes(self.app, history, self.learner)
        add_learner_routes(self.app, learner, self.learner, history)
        add_fleet_routes(self.app, orchestrator)
        add_reset_route(self.app, learner, orchestrator, self.learner, self.fleet)
        add_live_route(self.app, self.hub, self._broadcast, sessions)
        add_page(self.app, page)

    @contextlib.asynccontextmanager
    async def _run(self, _app: FastAPI) -> AsyncIterator[None]:
        """Run feeds and telemetry while the application is served."""
        loop = asyncio.get_running_loop()

        def deliver(received: Received) -> None:
            # The loop may have ended while the reader's thread had something in hand.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.hub.receive, received)

        self._reader = TelemetryReader(*self._telemetry, deliver)
        work = [
            self.learner.run(),
            self.fleet.run(),
            self._broadcast.tell_status(),
            self._broadcast.tell_envs(),
        ]
        tasks = [asyncio.create_task(each) for each in work]
        tasks.append(asyncio.create_task(self._beat(tuple(tasks))))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._reader.close()
            for upstream in self._upstreams.values():
                await upstream.close()

    async def _beat(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Show that the loop turns, while none of the tasks, which never return, has ended."""
        while True:
            for task in tasks:
                if task.done():
                    log.error("a task has ended", exc_info=task.exception())
                    return
            self._pulse.beat()
            await asyncio.sleep(BEAT_S)

    def _watch(self, topics: set[Topic]) -> None:
        if self._reader is not None:
            self._reader.watch(topics)

    def _read_metrics(self) -> Iterator[Reading]:
        """Yield what Prometheus reads, in its thread."""
        prefix, sent, reader = "websim_dashboard", self.hub.sent, self._reader
        yield Reading(f"{prefix}_viewers", len(self.hub.viewers))
        for kind in ("figures", "pose"):
            yield Reading(f"{prefix}_watched", len(self.hub.watched(kind)), (kind,))
            yield Reading(f"{prefix}_frames_total", sent.frames[kind], (kind, "sent"))
            yield Reading(f"{prefix}_frames_total", sent.skipped[kind], (kind, "skipped"))
        yield Reading(f"{prefix}_sent_bytes_total", sent.bytes_)
        yield Reading(f"{prefix}_acks_lost_total", sent.acks_lost)
        if reader is not None:
            for outcome in ("used", "stale", "broken"):
                name = f"{prefix}_telemetry_messages_total"
                yield Reading(name, getattr(reader, outcome), (outcome,))
        for labels, count in outcomes(self._upstreams):
            yield Reading(f"{prefix}_upstream_requests_total", count, labels)
        yield Reading(f"{prefix}_history_rows_total", self._history.rows_written)
        yield Reading(f"{prefix}_history_bytes", self._history.size_bytes())
