"""A learner, an orchestrator and a reward-gen whose answers are known, on real HTTP; they can be
taken away. The reward-gen is there once it is started.
"""

import contextlib
import threading

from dashboard_samples import TASK, make_goal, make_run, make_session, make_worker
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from websim.service.http import make_app, serve_http

HELD_S = 10.0
"""How long an answer can be held back."""


class KnownServices:
    """What they answer is in the attributes; what they were asked is in `commands`."""

    def __init__(self):
        self.run, self.goal = make_run(), make_goal()
        self.records = []
        self.rows = []
        self.clips = {}
        self.replay = {"rows": 0, "decisions": [], "problem": ""}
        self.rewards = {"in_force": "task", "rewards": []}
        self.workers = [make_worker()]
        self.sessions = [make_session(1), make_session(2, label="evaluation of r1")]
        self.task = TASK
        self.commands = []
        self.paths = []
        self.verdict = {"accepted": True, "tier": "dry_run", "issues": []}
        self.checks = []
        self.judges = threading.Event()
        self.judges.set()
        self.started = threading.Event()
        self.tells_records = threading.Event()
        self.tells_records.set()
        self._servers = {}
        self._ports = {"learner": 0, "orchestrator": 0, "reward-gen": 0}
        self.start("learner")
        self.start("orchestrator")

    def url(self, name):
        return f"http://127.0.0.1:{self._ports[name]}"

    def start(self, name):
        makers = {"learner": self._learner, "orchestrator": self._orchestrator}
        app = makers.get(name, self._reward_gen)()
        self._servers[name] = serve_http(app, "127.0.0.1", self._ports[name])
        self._ports[name] = int(self._servers[name].url.rsplit(":", 1)[1])

    def stop(self, name):
        self._servers.pop(name).stop()

    def close(self):
        for name in list(self._servers):
            with contextlib.suppress(KeyError):
                self.stop(name)

    def _learner(self):
        app = self._noting()

        @app.get("/v1/run")
        def run():
            return self.run

        @app.get("/v1/goal")
        def goal():
            return self.goal

        @app.get("/v1/rewards")
        def rewards():
            return self.rewards

        @app.get("/v1/events")
        def events(after: int = 0, limit: int = 1000):
            self.tells_records.wait(HELD_S)
            return [record for record in self.records if record["n"] > after][:limit]

        @app.get("/v1/adaptations")
        def adaptations(after: int = 0, limit: int = 1000):
            return [row for row in self.rows if row["n"] > after][:limit]

        @app.get("/v1/adaptations/replay")
        def replay():
            return self.replay

        @app.get("/v1/adaptations/{number}/clips")
        def clips(number: int):
            return self.clips.get(number, {"task": "", "figure": None, "clips": {}})

        @app.post("/v1/run/commands")
        async def commands(request: Request):
            body = await request.json()
            self.commands.append(body)
            if body["kind"] == "nonsense":
                return JSONResponse({"detail": "there is no such command"}, 422)
            if body["kind"] == "pause":
                self.run = self.run | {"state": "paused"}
            return {"kind": body["kind"], "update": 3, "env_steps": 3000, "detail": ""}

        return app

    def _orchestrator(self):
        app = self._noting()

        @app.get("/v1/workers")
        def workers():
            return self.workers

        @app.get("/v1/sessions")
        def sessions():
            return self.sessions

        @app.get("/v1/sessions/{session}/task")
        def task(session: int):
            known = any(each["session"] == session for each in self.sessions)
            return self.task if known else JSONResponse({"detail": f"no session {session}"}, 404)

        @app.post("/v1/sessions/{session}/envs/{env_id}/reset")
        def reset(session: int, env_id: int):
            return {}

        return app

    def _reward_gen(self):
        app = self._noting()

        @app.post("/v1/checks")
        def checks(body: dict):
            self.checks.append(body)
            self.judges.wait(HELD_S)
            return {"verdict": self.verdict, "weights": {}}

        return app

    def _noting(self) -> FastAPI:
        app = make_app("known", "0")

        @app.middleware("http")
        async def note(request: Request, call_next):
            self.paths.append(request.url.path)
            return await call_next(request)

        return app
