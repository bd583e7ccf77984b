import json

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy

from websim.service.errors import UserError
from websim_learner.algorithms.ppo import PPO
from websim_learner.checkpoint import Checkpoint, write_checkpoint
from websim_learner.commands import evaluate_run
from websim_learner.defaults import PPOSettings
from websim_learner.export import NUM_GOLDEN, export_run
from websim_learner.models import ActionScale
from websim_learner.policy import load_policy
from websim_learner.record import film_episode, record_run
from websim_learner.run_dir import RunConfig, RunDir
from websim_learner.settings import EvalSettings, ExportSettings, RecordSettings


@pytest.fixture
def run(tmp_path, toy_task):
    """Return the directory of a run whose policy has seen something."""
    ppo_settings = PPOSettings(hidden=(32, 16))
    config = RunConfig(
        task="Toy-v0",
        algo="ppo",
        num_envs=24,
        seed=1,
        total_steps=1000,
        device="cpu",
        ppo=ppo_settings,
        eval_episodes=5,
        eval_every_updates=0,
        checkpoint_every_updates=0,
    )
    ppo = PPO(ppo_settings, 3, 1, 24, 1)
    ppo.obs_moments.merge(np.random.default_rng(0).normal([1, -2, 5], [0.5, 2, 0], (100, 3)))
    run_dir = RunDir(tmp_path / "run")
    run_dir.create()
    run_dir.write_config(config, toy_task)
    arrays = {f"branch-0.{name}": part for name, part in ppo.arrays().items()}
    counters = {"branches": [{"updates": 12, "env_steps": 4608}]}
    write_checkpoint(run_dir.checkpoints, Checkpoint(12, counters, arrays))
    return run_dir.path


def test_onnx_computes_the_golden_actions(run, capsys):
    assert export_run(ExportSettings(run=run)) == 0
    assert "update-00000012" in capsys.readouterr().out
    golden = safetensors.numpy.load_file(run / "export" / "golden.safetensors")
    assert golden["obs"].shape == (NUM_GOLDEN, 3)
    session = onnxruntime.InferenceSession(run / "export" / "policy.onnx")
    (action,) = session.run(None, {"obs": golden["obs"]})
    np.testing.assert_allclose(action, golden["action"], atol=1e-6)
    one, far = golden["obs"][:1], np.full((3, 3), 1e9, np.float32)
    (action,) = session.run(None, {"obs": one})
    np.testing.assert_allclose(action, golden["action"][:1], atol=1e-6)
    (action,) = session.run(None, {"obs": far})
    assert np.abs(action).max() <= 2.0


def test_the_graph_says_what_it_is(run):
    export_run(ExportSettings(run=run))
    model = onnx.load(run / "export" / "policy.onnx")
    onnx.checker.check_model(model, full_check=True)
    facts = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert (facts["task"], facts["env_steps"], facts["obs_names"]) == (
        "Toy-v0",
        4608,
        ["x", "v", "one"],
    )
    assert facts == json.loads((run / "export" / "policy.json").read_text())


def test_safetensors_alone_suffice_to_act(run):
    """The recipe of docs/learning.md, in numpy."""
    export_run(ExportSettings(run=run))
    arrays = safetensors.numpy.load_file(run / "export" / "policy.safetensors")
    golden = safetensors.numpy.load_file(run / "export" / "golden.safetensors")
    x = (golden["obs"] - arrays["obs_mean"]) * arrays["obs_inverse_std"]
    x = np.clip(x, -10, 10)
    num_layers = sum(name.endswith("_weight") for name in arrays)
    for i in range(num_layers):
        x = x @ arrays[f"layer_{i}_weight"].T + arrays[f"layer_{i}_bias"]
        x = np.tanh(x) if i < num_layers - 1 else x
    action = x * arrays["action_half"] + arrays["action_centre"]
    action = np.clip(action, arrays["action_low"], arrays["action_high"])
    np.testing.assert_allclose(action, golden["action"], atol=1e-6)


def test_the_export_is_the_policy_that_acts(run, make_client):
    export_run(ExportSettings(run=run))
    golden = safetensors.numpy.load_file(run / "export" / "golden.safetensors")
    actor = load_policy(run).algorithm.actor(NUM_GOLDEN)
    action = ActionScale.of((-2.0,), (2.0,))(actor.mean(golden["obs"]))
    assert np.array_equal(action, golden["action"])


def test_an_unknown_checkpoint_is_one_clear_line(run):
    with pytest.raises(UserError, match="There are: update-00000012"):
        export_run(ExportSettings(run=run, checkpoint="update-00000099"))


def test_a_directory_without_a_run_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="not a run directory"):
        export_run(ExportSettings(run=tmp_path))


def test_a_file_in_a_run_is_no_run(run):
    with pytest.raises(UserError, match="json is not a run directory"):
        load_policy(run / "config.json")


@pytest.mark.parametrize(
    ("out", "reason"),
    [("film.avi", "is neither .gif nor .mp4"), ("nowhere/film.gif", "there is no folder")],
)
def test_a_film_that_cannot_be_written_is_refused_before_it_is_simulated(
    run, monkeypatch, out, reason
):
    monkeypatch.setattr("websim_learner.record.open_session", None)
    with pytest.raises(UserError, match=reason):
        record_run(RecordSettings(run=run, out=run / out))


def test_a_run_without_a_checkpoint_is_one_clear_line(run):
    for path in (run / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(UserError, match="no checkpoint that can be used"):
        export_run(ExportSettings(run=run))


def test_evaluation_prints_what_the_policy_achieves(run, make_client, monkeypatch, capsys):
    opened = []

    def open_session(config, num_envs, seed, **_options):
        opened.append(make_client(num_envs, seed))
        return opened[-1]

    monkeypatch.setattr("websim_learner.commands.open_session", open_session)
    assert evaluate_run(EvalSettings(run=run, episodes=7)) == 0
    text = capsys.readouterr().out
    assert "Toy-v0, ppo, update-00000012 (4,608 env steps), mean action, 7 episodes" in text
    assert " m\n" in text
    assert "success" not in text
    assert opened[0].closed


def test_a_filmed_episode_is_a_row_of_states(run, make_client):
    actor = load_policy(run).algorithm.actor(1)
    qpos, total = film_episode(make_client(1), actor, 1000)
    assert qpos.shape[1] == 1
    assert 1 < len(qpos) <= 40
    assert 0 < total <= 40
    short, _ = film_episode(make_client(1), actor, 3)
    assert len(short) <= 4


def test_what_the_renderer_says_is_passed_on(run, make_client, monkeypatch):
    def open_session(config, num_envs, seed, **_options):
        return make_client(num_envs, seed)

    monkeypatch.setattr("websim_learner.record.open_session", open_session)
    with pytest.raises(UserError, match="Toy-v0"):
        record_run(RecordSettings(run=run))  # the worker knows no such task


def test_a_missing_renderer_is_one_clear_line(run, make_client, monkeypatch):
    monkeypatch.setattr("websim_learner.record.RENDERER", "websim_nothing")
    monkeypatch.setattr("websim_learner.record.open_session", lambda *a, **k: make_client(1))
    with pytest.raises(UserError, match="websim_nothing"):
        record_run(RecordSettings(run=run))
