"""What all pages hear without asking: status, metrics, events, the fleet, watched environments."""

import asyncio
import contextlib
import time
from collections.abc import Sequence

from pydantic import ValidationError

from websim_dashboard.fleet_feed import FleetFeed
from websim_dashboard.hub import Hub
from websim_dashboard.learner_feed import LearnerFeed
from websim_dashboard.messages import (
    Env,
    EnvMessage,
    EventMessage,
    FleetMessage,
    Message,
    MetricPoint,
    MetricsMessage,
    Status,
    StatusMessage,
    TimelineEvent,
    TrialMessage,
    TrialPoint,
)
from websim_dashboard.status import make_status, training_session
from websim_dashboard.upstream import Unreachable, Upstream
from websim_dashboard.viewer import Key, Viewer

STATUS_EVERY_S = 1.0
"""An unchanged status is sent again after this."""

ENV_EVERY_S = 0.2
"""How often a watched environment's state is asked for."""


class Broadcast:
    """Turns what the feeds learn into messages. Belongs to one loop."""

    def __init__(
        self, hub: Hub, learner: LearnerFeed, fleet: FleetFeed, orchestrator: Upstream
    ) -> None:
        """Listen to the feeds."""
        self._hub, self._learner, self._fleet = hub, learner, fleet
        self._orchestrator = orchestrator
        self._told: Status | None = None
        self._told_s = float("-inf")
        self._news = asyncio.Event()
        learner.turned = self._news.set
        learner.arrived = self._tell_records
        learner.tried = self._tell_trial
        fleet.turned = self._tell_fleet

    async def status(self, role: str) -> Status:
        """Return how everything stands, for somebody of that role."""
        run = (self._learner.status or {}).get("run_id", "")
        task = await self._fleet.known_task(training_session(run, self._fleet.sessions))
        status = make_status(self._learner, self._fleet, task, "view")
        return status.model_copy(update={"role": role})

    async def welcome(self, viewer: Viewer) -> None:
        """Tell a new page how everything stands."""
        viewer.say(_json(StatusMessage(status=await self.status(viewer.role))), "status")
        viewer.say(_json(FleetMessage(workers=self._fleet.workers)), "fleet")
        self._learner.poke()
        self._fleet.poke()

    async def tell_status(self) -> None:
        """Tell all pages the status when it has changed, and again now and then; never returns."""
        while True:
            # A page takes silence for a lost connection, and services that hang bring no news.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_EVERY_S):
                    await self._news.wait()
            self._news.clear()
            await self._keep_task()
            if not self._hub.viewers:
                continue
            status = await self.status("view")
            now_s = time.monotonic()
            if status == self._told and now_s - self._told_s < STATUS_EVERY_S:
                continue
            self._told, self._told_s = status, now_s
            for role in ("view", "control"):
                viewers = [each for each in self._hub.viewers if each.role == role]
                if viewers:
                    text = _json(StatusMessage(status=status.model_copy(update={"role": role})))
                    self._hub.tell(viewers, text, "status")

    async def _keep_task(self) -> None:
        """Have the run's task kept: without a fleet nobody else knows its own reward."""
        run = self._learner.run_name
        task = await self._fleet.known_task(training_session(run, self._fleet.sessions))
        if task is not None:
            await self._learner.keep_task(task)

    async def tell_envs(self) -> None:
        """Tell pages about the environments they watch; never returns."""
        while True:
            await asyncio.sleep(ENV_EVERY_S)
            await asyncio.gather(*map(self._tell_env, self._hub.watched("pose")))

    async def _tell_env(self, key: Key) -> None:
        _, session, env_id = key
        try:
            state = await self._orchestrator.get(f"/v1/sessions/{session}/envs/{env_id}")
            reward, components = self._hub.rewards.get(key, (None, {}))
            env = Env.model_validate(state)
            env = env.model_copy(update={"reward": reward, "reward_components": components})
            message = EnvMessage(env=env)
        except (Unreachable, ValidationError) as error:
            message = EnvMessage(env=None, error=str(error)[:300])
        watching = [each for each in self._hub.viewers if key in each.wanted]
        self._hub.tell(watching, _json(message), "env")

    def _tell_records(self, points: Sequence[MetricPoint], events: Sequence[TimelineEvent]) -> None:
        key = self._learner.run_key
        if points and self._hub.viewers:
            self._hub.broadcast(_json(MetricsMessage(run_key=key, points=list(points))))
        for event in events:
            self._hub.broadcast(_json(EventMessage(run_key=key, event=event)))

    def _tell_trial(self, points: Sequence[TrialPoint]) -> None:
        if points and self._hub.viewers:
            key = self._learner.run_key
            self._hub.broadcast(_json(TrialMessage(run_key=key, points=list(points))))

    def _tell_fleet(self) -> None:
        self._hub.resize(self._fleet.sessions)
        if self._hub.viewers:
            self._hub.broadcast(_json(FleetMessage(workers=self._fleet.workers)), "fleet")
        self._news.set()


def _json(message: Message) -> str:
    return message.model_dump_json()
