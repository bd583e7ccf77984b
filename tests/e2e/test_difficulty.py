"""A difficulty set by a person, on a real fleet: it changes the training, exactly and for good."""

import json
import os
import shutil
import signal
import time

from websim.local.learner_api import LearnerApi
from websim.local.options import RunOptions
from websim.local.run import LEARNER, Run

STEPS_PER_UPDATE = 16 * 32
STEPS = 30 * STEPS_PER_UPDATE
DEADLINE_S = 80.0


def wait_for_update(api, update):
    give_up_s = time.monotonic() + DEADLINE_S
    while api.status()["update"] < update:
        assert time.monotonic() < give_up_s
        time.sleep(0.02)


def kinds(lines):
    return [json.loads(line)["kind"] for line in lines]


def test_a_run_whose_knobs_were_turned_is_a_function_of_its_journal(tmp_path, fleet, monkeypatch):
    monkeypatch.setenv("WEBSIM_LEARNER_EVAL_EPISODES", "2")
    options = RunOptions(
        task="InvertedPendulum-v5",
        num_envs=16,
        seed=3,
        total_steps=STEPS,
        run_dir=tmp_path / "killed",
        settings={"ppo.rollout_length": 32, "ppo.epochs": 1},
        checkpoint_every_steps=4 * STEPS_PER_UPDATE,
        fleet=fleet.client_address,
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
        os.kill(run._supervisor.pid(LEARNER), signal.SIGKILL)

        # The same configuration and journal from the beginning, undisturbed.
        again = tmp_path / "again"
        again.mkdir()
        shutil.copy(options.run_dir / "config.json", again)
        lines = (options.run_dir / "journal.jsonl").read_text().splitlines(keepends=True)
        assert kinds(lines[:3]) == ["start", "knobs", "knobs"]
        (again / "journal.jsonl").write_text("".join(lines[:3]))
        with Run(RunOptions(resume=again, fleet=fleet.client_address)) as undisturbed:
            alone = undisturbed.result(DEADLINE_S)
        killed = run.result(DEADLINE_S)
    lines = (options.run_dir / "journal.jsonl").read_text().splitlines()
    assert kinds(lines) == ["start", "knobs", "knobs", "resume"]
    assert killed["weights_sha256"] == alone["weights_sha256"]
    assert killed["env_steps"] == alone["env_steps"] >= STEPS
