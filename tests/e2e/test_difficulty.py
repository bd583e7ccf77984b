"""Difficulties on a real fleet, set on the way or at the start: they change training, exactly."""

import json
import os
import shutil
import signal
import time

import numpy as np

from websim.local.learner_api import LearnerApi
from websim.local.options import RunOptions
from websim.local.run import LEARNER, Run
from websim.tasks.knobs import ranges_at
from websim_learner.checkpoint import read_checkpoint
from websim_learner.run_dir import RunDir

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


def test_a_run_begins_within_the_ranges_and_does_so_in_every_life(tmp_path, fleet, monkeypatch):
    monkeypatch.setenv("WEBSIM_LEARNER_EVAL_EPISODES", "2")

    def options(name):
        return RunOptions(
            task="InvertedPendulum-v5",
            num_envs=16,
            seed=3,
            total_steps=12 * STEPS_PER_UPDATE,
            run_dir=tmp_path / name,
            settings={"ppo.rollout_length": 32, "ppo.epochs": 1},
            checkpoint_every_steps=6 * STEPS_PER_UPDATE,
            fleet=fleet.client_address,
            difficulty=0.5,
        )

    with Run(options("alone")) as run:
        alone = run.result(DEADLINE_S)
    with Run(options("killed")) as run:
        run.wait_ready()
        wait_for_update(LearnerApi(run.http_url), 2)
        os.kill(run._supervisor.pid(LEARNER), signal.SIGKILL)
        killed = run.result(DEADLINE_S)
    assert killed["weights_sha256"] == alone["weights_sha256"]

    knobs = RunDir(tmp_path / "alone").read_config()[1].knobs
    ranges = np.array(list(ranges_at(knobs, 0.5).values()))
    first = read_checkpoint(tmp_path / "alone" / "checkpoints" / "update-00000000")
    shard = first.arrays["branch-0.fleet"]
    drawn = shard["0.knob_values"]
    assert np.array_equal(shard["0.knob_ranges"], ranges)
    assert drawn.shape == (16, len(knobs))
    assert (ranges[:, 0] <= drawn).all()
    assert (drawn <= ranges[:, 1]).all()
    assert all(len(np.unique(column)) == 16 for column in drawn.T)
