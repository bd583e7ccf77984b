"""Subjects count real physics steps only; the command line refuses in one line."""

import json
import sys

import curves
import numpy as np
import peer_host
import pytest
import run
from interleave import Plan
from peers import Peer, PeerKind, nearest
from physics import MujocoAlone
from sections import compiled
from subject import NotMeasured, random_actions

from websim.service.errors import UserError


class TwoStepEnvs:
    """Environments whose episodes last two steps; the third call resets, as in Gymnasium."""

    def __init__(self, num_envs):
        self._t = np.zeros(num_envs, int)

    def step(self, action):
        self._t = (self._t + 1) % 3
        ended = self._t == 2
        return None, None, ended, np.zeros_like(ended), {}


def make_peer(**overrides):
    settings = {
        "kind": PeerKind("gym_sync", "Gymnasium sync", 2),
        "task": "InvertedPendulum-v5",
        "num_envs": 1024,
        "threads": 1,
        "seed": 0,
        "python": sys.executable,
    }
    return Peer(**{**settings, **overrides})


def test_resets_are_not_counted_as_steps():
    stepper = peer_host.Stepper(5)
    stepper.envs = TwoStepEnvs(5)
    stepper.actions = [np.zeros((5, 1))]
    counts = [stepper.real_steps(slice(None), stepper.envs.step(None)[2]) for _ in range(6)]
    assert counts == [5, 5, 0, 5, 5, 0]


def test_resets_are_counted_by_environment():
    stepper = peer_host.Stepper(4)
    assert stepper.real_steps(np.array([0, 2]), np.array([True, False])) == 2
    assert stepper.real_steps(np.array([1, 3]), np.array([False, False])) == 2
    assert stepper.real_steps(np.array([0, 1]), np.array([False, False])) == 1


def test_a_peer_is_measured_in_a_process_of_its_own():
    peer = make_peer()
    try:
        peer.open()
        count = peer.block(0.05)
        assert 0 < count.env_steps <= count.all_env_steps
        assert count.seconds >= 0.05
        assert peer.memory_bytes() > 1 << 20
        assert "gymnasium" in peer.versions
        assert peer.label == "Gymnasium sync N=2"
    finally:
        peer.close()


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"task": "NLinkSwimmer-v0"}, "has no NLinkSwimmer-v0"),
        ({"python": "/nowhere/python"}, "/nowhere/python does not start"),
        ({"task": "Nothing-v5"}, "failed: "),
    ],
)
def test_a_peer_that_cannot_be_measured_says_why(overrides, why):
    peer = make_peer(**overrides)
    with pytest.raises(NotMeasured, match=why):
        peer.open()
    peer.close()


def test_fast_tasks_meet_their_nearest_kin():
    assert nearest("HumanoidFast-v0").env_id == "Humanoid-v5"
    assert nearest("Hopper-v5").env_id == "Hopper-v5"
    assert nearest("Mine-v0") is None


def test_mujoco_alone_steps_whole_batches_and_ends_episodes():
    physics = MujocoAlone(compiled("Hopper-v5"), num_envs=8, cores=1, seed=0)
    physics.open()
    vector_steps = 0
    while vector_steps < 100:
        count = physics.block(0.01)
        assert count.env_steps % 8 == 0
        assert count.seconds >= 0.01
        assert count.cpu_s > 0
        vector_steps += count.env_steps // 8
    # Hoppers that act at random fall within a few dozen steps and begin again.
    assert physics._length.max() < vector_steps
    physics.close()


def test_random_actions_lie_within_the_bounds():
    low, high = np.array([-0.4, -np.inf]), np.array([0.4, np.inf])
    tables = random_actions(low, high, 64, seed=3)
    every = np.concatenate(tables)
    assert every.dtype == np.float32
    assert np.abs(every[:, 0]).max() <= np.float32(0.4)
    assert 0.9 < np.abs(every[:, 1]).max() <= 1.0
    assert all(
        np.array_equal(a, b)
        for a, b in zip(tables, random_actions(low, high, 64, seed=3), strict=True)
    )


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--num-envs", "0"], "--num-envs 0 must be at least 1"),
        (["--num-envs", "64", "--shard-envs", "128"], "--shard-envs 128 must be 1 to --num-envs"),
        (["--task", "HalfCheeta-v5"], "unknown task 'HalfCheeta-v5'"),
        (["curves", "--set", "ppo.gamma"], "--set ppo.gamma is not KEY=VALUE"),
    ],
)
def test_bad_command_lines_are_refused(argv, message):
    with pytest.raises(UserError, match=message):
        run.main(argv)


def test_curve_times_are_sorted():
    assert curves.parse(["--times", "60", "15"]).times == [15.0, 60.0]


def test_a_whole_bench_writes_figures_tables_and_a_plot(tmp_path, capsys, monkeypatch):
    brief = Plan(rounds=2, block_s=0.05, short_block_s=0.05, warm_up_s=0.05, max_attempts=1)
    monkeypatch.setattr(run, "QUICK_STEPPING", brief)
    argv = ["--quick", "--only", "fleet", "--rounds", "1", "--num-envs", "32", "--workers", "1"]
    argv += ["--shard-envs", "16", "--keys"]
    argv += ["--task", "InvertedPendulum-v5", "--out", str(tmp_path), "--check"]
    assert run.main(argv) == 0
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".md", ".png"]
    [path] = tmp_path.glob("*.json")
    [task] = json.loads(path.read_text())["tasks"]
    assert [row["subject"] for row in task["rows"]] == [
        "mujoco", "mujoco_untimed",
        "fleet_send_recv", "fleet_step", "fleet_inference", "fleet_send_recv_16",
        "fleet_send_recv_keys",
    ]  # fmt: skip
    assert all(row["steps_per_s"]["median"] > 0 for row in task["rows"])
    assert "InvertedPendulum-v5, 32 environments" in capsys.readouterr().out
