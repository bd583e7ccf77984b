"""A page that is told of a run that is made up; the service's history of it is real."""

import json
import re
from dataclasses import dataclass, field

from dashboard_samples import TASK, make_metrics

from websim_dashboard.history import History
from websim_dashboard.messages import Status
from websim_dashboard.records import split_records

NOBODY = [
    *("--learner", "http://127.0.0.1:9", "--orchestrator", "http://127.0.0.1:9"),
    *("--telemetry", "tcp://127.0.0.1:9"),
]
KNOB = {"name": "gravity", "description": "", "unit": "", "nominal": 1.0} | {
    "low": 0.1, "high": 3.0, "hard_low": 0.5, "hard_high": 2.0,
}  # fmt: skip


def make_point(n, **values):
    return make_metrics(n, **({"value_loss": float(n), "policy_loss": 0.25} | values))


def make_evaluation(n, update, **values):
    """An evaluation's record as the learner's event stream has it."""
    record = {"kind": "evaluation", "n": n, "update": update, "env_steps": 1000 * update}
    rest = {"time_unix_s": 1.7e9 + n, "branch": 0, "episodes": 10, "return_std": 0.5}
    return record | rest | {"length_mean": 9.0, "success_mean": None} | values


def keep(place, key, *records):
    """Write what was heard of a run into a history."""
    history = History(place / "history.sqlite", keep_days=1e6, keep_points=10_000)
    points, events = split_records(records)
    history.add(key, {"run_id": "r1"}, records[-1]["n"], points, events)
    history.close()


LIVE = """
    window.WebSocket = class {
        static OPEN = 1;
        readyState = 1;
        constructor() {
            window.live = this;
            setTimeout(() => {
                this.onopen();
                this.tell({type: 'status', status: window.told});
            });
            this.timer = setInterval(() => this.tell({type: 'status', status: window.told}), 1000);
        }
        tell(message) { this.onmessage({data: JSON.stringify(message)}); }
        send() {}
        close() { clearInterval(this.timer); }
    };
"""


@dataclass
class Told:
    """A page, and what it is told."""

    page: object
    status: dict
    commands: list = field(default_factory=list)

    def tell(self, **message):
        self.page.evaluate("(message) => window.live.tell(message)", message)

    def change(self, **values):
        self.status |= values
        self.page.evaluate("(status) => { window.told = status; }", self.status)
        self.tell(type="status", status=self.status)

    def commanded(self):
        """Return the commands so far; asks the page, since its requests are met meanwhile only."""
        self.page.evaluate("0")
        return self.commands

    def add_point(self, n, **values):
        [point], _ = split_records([make_point(n, **values)])
        self.tell(type="metrics", run_key=self.status["run_key"], points=[point.model_dump()])


def tell_page(page, url, key):
    """Open a page that is told of a run in training, whatever the service knows."""
    training = Status(
        run="r1", run_key=key, task=TASK["id"], state="training", role="control", num_envs=64,
        total_steps=9000, steps_per_s=2000.0, session=1,
        sessions=[{"session": 1, "label": "training r1", "task": TASK["id"], "num_envs": 64}],
    )  # fmt: skip
    told = Told(page, training.model_dump())

    def obey(route):
        told.commands.append(route.request.post_data_json)
        route.fulfill(json={"kind": "pause", "update": 3, "env_steps": 3000, "detail": ""})

    page.add_init_script(f"window.told = {json.dumps(told.status)}; {LIVE}")
    # What is drawn is what was measured.
    page.add_init_script("if (origin !== 'null') localStorage.setItem('websim.smoothing', '0')")
    page.route("**/api/v1/status", lambda route: route.fulfill(json=told.status))
    page.route("**/api/v1/run/commands", obey)
    page.route("**/sessions/1/task", lambda route: route.fulfill(json=TASK | {"knobs": [KNOB]}))
    page.goto(url)
    page.locator(".chip.state", has_text="training").wait_for()
    return told


def make_change(n, kind, **values):
    place = {"update": n, "env_steps": 1000 * n, "time_unix_s": 1.7e9 + n, "branch": 0}
    return {"kind": kind, "n": n, "message": "", "detail": "", **place, **values}


def log_row(n, kind, adaptation=1, **values):
    row = {"n": n, "update": n, "env_steps": 1000 * n, "adaptation": adaptation}
    return row | {"kind": kind, "values": values}


def tell_log(page, rows):
    """Let a page that asks for the log of adaptations be told these rows."""

    def answer(route):
        after = int(re.search(r"after=(\d+)", route.request.url).group(1))
        route.fulfill(json=[row for row in rows if row["n"] > after])

    page.route("**/api/v1/adaptations?*", answer)
