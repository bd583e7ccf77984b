"""A difficulty set by a person, on a real fleet: it changes the training, exactly and for good."""

import json
import os
import shutil
import signal
import time

from websim.local.learner_api import LearnerApi
from websim.local.options import RunOptions
from websim.local.run import LEARNER, Run

STEPS = 24_000
DEADLINE_S = 60.0


def wait_for_update(api, update):
    give_up_s = time.monotonic() + DEADLINE_S
    while api.status()["update"] < update:
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def test_a_run_whose_knobs_were_turned_is_a_function_of_its_journal(tmp_path):
    options = RunOptions(
        task="InvertedPendulum-v5",
        num_envs=16,
        seed=3,
        total_steps=STEPS,
        run_dir=tmp_path / "killed",
        checkpoint_every_steps=5_000,
        workers=1,
    )
    with Run(options) as run:
        run.wait_ready()
        api = LearnerApi(run.http_url)
        wait_for_update(api, 3)
        told = api.command("set_difficulty", difficulty=0.5)
        assert told["detail"] == "difficulty 0.5"
        api.command("set_knobs", knobs={"gravity": [0.8, 0.9]})
        view = api.get("/v1/goal")
        assert view["difficulty"] == 0.5
        assert view["knobs"]["gravity"] == [0.8, 0.9]
        assert view["knobs"]["mass"] == [0.85, 1.25]
        wait_for_update(api, told["update"] + 3)
        os.kill(run.fleet.supervisor.pid(LEARNER), signal.SIGKILL)
        killed = run.result(DEADLINE_S)

    # The same configuration and journal from the beginning, undisturbed.
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(options.run_dir / "config.json", again)
    lines = (options.run_dir / "journal.jsonl").read_text().splitlines()
    entries = [line for line in lines if json.loads(line)["kind"] in ("start", "knobs")]
    assert len(entries) == 3
    (again / "journal.jsonl").write_text("".join(line + "\n" for line in entries))
    with Run(RunOptions(resume=again, workers=1)) as run:
        alone = run.result(DEADLINE_S)
    assert killed["weights_sha256"] == alone["weights_sha256"]
    assert killed["env_steps"] == alone["env_steps"] >= STEPS
