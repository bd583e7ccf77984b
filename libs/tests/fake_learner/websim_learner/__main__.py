"""`train`, with the real one's flags and HTTP; the task's name chooses what goes wrong."""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from fastapi import Body

from websim.service.errors import UserError
from websim.service.http import make_app, serve_http
from websim.service.main import run_service
from websim.service.ready import write_ready
from websim.service.shutdown import install_shutdown

STEPS_PER_UPDATE = 1000


def parse(argv):
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    for flag in ("fleet", "algo", "device", "reward", "log-file", "resume", "keys", "reward-gen"):
        parser.add_argument(f"--{flag}")
    for flag in ("run-dir", "ready-file"):
        parser.add_argument(f"--{flag}", type=Path)
    for flag in ("num-envs", "seed", "total-steps", "http-port", "checkpoint-every-steps"):
        parser.add_argument(f"--{flag}", type=int)
    parser.add_argument("--task", default="Resumed-v0")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--resume-if-started", action="store_true")
    return parser.parse_args(argv)


class FakeRun:
    def __init__(self, options):
        self.options = options
        self.update = 0
        self.state = "running"
        self.records = []
        self.read = None
        """Records that somebody has been told of; None before anybody asks."""

    def status(self):
        return {
            "run_id": self.options.run_dir.name,
            "task": self.options.task,
            "algo": self.options.algo,
            "state": self.state,
            "env_steps": self.update * STEPS_PER_UPDATE,
            "total_steps": self.options.total_steps,
            "steps_per_s": 12345.6,
            "return_mean": 10.0 * self.update,
        }

    def record(self, kind, **values):
        self.records.append({"n": len(self.records) + 1, "kind": kind, **values})
        if kind == "metrics":
            with open(self.options.run_dir / "metrics.jsonl", "a") as file:
                print(json.dumps(self.records[-1]), file=file)

    def command(self, kind):
        self.state = {"pause": "paused", "resume": "running", "stop": "stopping"}[kind]
        return {"update": self.update}

    def turn(self):
        if self.state == "running":
            self.update += 1
            env_steps = self.update * STEPS_PER_UPDATE
            self.record("metrics", update=self.update, env_steps=env_steps, policy_loss=self.loss)

    @property
    def fickle(self):
        """Whether it learns something else than another run of the same seed."""
        return self.options.task == "Fickle-v0" and self.options.run_dir.name == "disturbed"

    @property
    def loss(self):
        return 0.5 if self.fickle and self.update >= 3 else 0.25

    @property
    def over(self):
        total_steps = self.options.total_steps or float("inf")
        return self.state == "stopping" or self.update * STEPS_PER_UPDATE >= total_steps


def main(argv):
    options = parse(argv)
    if options.task == "Unknown-v0":
        raise UserError("there is no task Unknown-v0", "Did you mean Known-v0?")
    if options.task == "Broken-v0":
        raise ValueError("no weights")
    if options.task == "Stillborn-v0" and not options.resume_if_started:
        os.kill(os.getpid(), signal.SIGKILL)
    config = options.run_dir / "config.json"
    if options.resume and json.loads(config.read_text())["task"] == "Crash-v0":
        options.task = "Crash-v0"
    shutdown = install_shutdown()
    run = FakeRun(options)
    app = make_app("fake learner", "0")

    @app.get("/v1/run")
    def status() -> dict:
        return run.status()

    @app.get("/v1/events")
    def events(after: int = 0) -> list:
        told = run.records[after:]
        run.read = after + len(told)
        return told

    @app.post("/v1/run/commands")
    def command(body: dict = Body()) -> dict:  # noqa: B008
        return run.command(body["kind"])

    server = serve_http(app, "127.0.0.1", options.http_port)
    config.write_text(json.dumps({"argv": argv, "task": options.task}))
    write_ready(options.ready_file, http_url=server.url)
    run.record("warning", message="this learner learns nothing")
    if options.task == "Asks-v0":
        run.record("adaptation", event="waiting", adaptation=2, message="waits for a yes: bold")
    while not shutdown.wait(0.1) and not run.over:
        run.turn()
        if options.task == "Crash-v0" and run.update == 30:
            raise ValueError("the weights are gone")
        if options.task == "Killed-v0" and run.update == 2:
            os.kill(os.getpid(), signal.SIGKILL)
    (options.run_dir / "last_checkpoint").write_text(str(run.update))
    if run.over:
        result = {
            **{"task": options.task, "algo": "ppo", "seed": options.seed},
            **{"env_steps": run.update * STEPS_PER_UPDATE, "steps_per_s": 12345.6},
            **{"eval_return_mean": 5812.3, "eval_return_std": 45.6},
            **{"weights_sha256": "f1ck1e" if run.fickle else "0dd", "skipped_steps": 0},
        }
        (options.run_dir / "result.json").write_text(json.dumps(result))
    # Like a learner, it waits a little for who reads its records.
    give_up_s = time.monotonic() + 5.0
    while run.read is not None and run.read < len(run.records) and time.monotonic() < give_up_s:
        time.sleep(0.02)
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(run_service(main))
