"""What compilation makes of tasks and overrides, and that all bundled tasks are in order."""

import hashlib

import mujoco
import numpy as np
import pytest

from websim.programs import ProgramSchema, compile_program
from websim.programs.dryrun import make_inputs
from websim.tasks import AUTOMATIC_FIELDS, TaskBundle, TaskError, parse_task
from websim_sim_worker import models
from websim_sim_worker.compilation import prepare
from websim_sim_worker.tasks import bundled, bundled_names, compile_task

GYMNASIUM_TASKS = 11


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_task_is_in_order(make_task, make_shard, random_actions, name):
    info = make_task(name).info
    assert info.id == name
    assert info.obs_dim == len(info.obs_names) == len(set(info.obs_names))
    assert info.action_dim == len(info.action_names) == len(set(info.action_names))
    assert info.fitness_description
    assert [field.name for field in info.fields[-4:]] == list(AUTOMATIC_FIELDS)
    assert all(field.description for field in info.fields)
    assert info.reward_source.startswith("def reward(state, action):")
    # A short life with every field asked for: all finite, fitness judged.
    shard = make_shard(name, 5, max_episode_steps=20)
    names = [field.name for field in info.fields]
    reports = 0
    for action in random_actions(shard, 25):
        result = shard.step(action, names)
        assert not result.invalid.any()
        assert all(np.isfinite(values).all() for values in result.fields.values())
        assert np.isfinite(result.episode_fitness).all()
        assert np.isnan(result.episode_success).all() != info.has_success or not len(result.ended)
        reports += len(result.ended)
    assert reports >= 5


@pytest.mark.parametrize("name", bundled_names())
def test_the_reward_that_people_are_shown_is_one_they_can_go_on_from(make_task, name):
    """It stands alone, with the numbers of this task's parameters, and pays the same."""
    task = make_task(name)
    with_constants = task.reward.schema
    alone = ProgramSchema(with_constants.fields, with_constants.action_dim)
    shown = compile_program(task.info.reward_source, alone)
    inputs = make_inputs(alone, 32, seed=1)["normal"]
    expected, parts = task.reward.with_components(inputs.fields, inputs.action)
    total, shown_parts = shown.with_components(inputs.fields, inputs.action)
    np.testing.assert_array_equal(total, expected)
    np.testing.assert_equal(shown_parts, parts)


@pytest.mark.parametrize("name", bundled_names())
def test_a_model_is_the_one_that_mujoco_itself_makes_of_the_text(name):
    prepared = prepare(bundled(name), {})
    ours = models.compile_model(prepared.mjcf, prepared.assets, name)
    mujocos = mujoco.MjModel.from_xml_string(prepared.mjcf, dict(prepared.assets))
    contents = [np.zeros(mujoco.mj_sizeModel(model), np.uint8) for model in (ours, mujocos)]
    for model, content in zip((ours, mujocos), contents, strict=True):
        mujoco.mj_saveModel(model, None, content)
    assert np.array_equal(*contents)


def test_gymnasiums_models_are_pinned():
    """Eleven tasks and two variants name eleven files by their content."""
    documents = [parse_task(bundled(name)) for name in bundled_names()]
    pins = {d.model.gymnasium: d.model.sha256 for d in documents if d.model.gymnasium}
    assert len(pins) == GYMNASIUM_TASKS
    for file, pin in pins.items():
        assert hashlib.sha256(models._gymnasium_file(file, pin)).hexdigest() == pin


def test_another_model_than_the_pinned_one_is_refused():
    text = bundled("Hopper-v5").task_yaml.decode()
    pin = next(line for line in text.splitlines() if "sha256" in line)
    changed = text.replace(pin, "  sha256: " + "0" * 64).encode()
    with pytest.raises(TaskError, match="is not the one this task was made for") as caught:
        compile_task(TaskBundle("Hopper-v5", changed))
    assert "install the gymnasium release" in str(caught.value)


def test_a_missing_gymnasium_says_what_to_install(monkeypatch):
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TaskError, match="gymnasium, which is not installed here; pip install"):
        compile_task(bundled("Hopper-v5"))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ({"ctrl_cost_wieght": 1.0}, "no parameter 'ctrl_cost_wieght'; did you mean 'ctrl_cost_we"),
        ({"ctrl_cost_weight": "high"}, "parameter ctrl_cost_weight: 'high' is not a number"),
        ({"ctrl_cost_weight": True}, "True is not a number"),
        ({"ctrl_cost_weight": float("nan")}, "nan is not a number"),
        ({"terminate_when_unhealthy": 1}, "1 is not true or false"),
        ({"healthy_z_range": (1.0,)}, "is not a list of 2 numbers"),
        ({"healthy_z_range": (1.0, "x")}, "'x' is not a number"),
        ({"main_body": 1.5}, "1.5 is not a name"),
        ({"main_body": "trunk"}, "the model has no body 'trunk'"),
        ({"frame_skip": 0}, "0 is not from 1 to 1000"),
        ({"frame_skip": 2.0}, "2.0 is not a whole number"),
        ({"max_episode_steps": 10**7}, "is not from 1 to 1000000"),
        ({"reset_noise_scale": -0.1}, "a noise scale of -0.1 is not zero or more"),
        ({"reset_noise_scale": float("inf")}, "a noise scale of inf"),
        ({"contact_force_range": (1.0, -1.0)}, "clip from 1.0 to -1.0 holds nothing"),
    ],
)
def test_an_override_that_does_not_fit_is_refused(make_task, overrides, line):
    with pytest.raises(TaskError, match=line) as caught:
        make_task("Ant-v5", **overrides)
    assert "\n" not in str(caught.value)


def test_overrides_take_what_people_have_at_hand(make_task):
    given = {
        "ctrl_cost_weight": 1,
        "healthy_z_range": np.array([0.1, 2.0]),
        "healthy_reward": np.float32(0.5),
        "terminate_when_unhealthy": np.bool_(False),
        "main_body": 2,
        "max_episode_steps": 7,
        "frame_skip": 2,
    }
    info = make_task("Ant-v5", **given).info
    assert info.parameters["ctrl_cost_weight"] == 1.0
    assert isinstance(info.parameters["ctrl_cost_weight"], float)
    assert info.parameters["healthy_z_range"] == (0.1, 2.0)
    assert info.parameters["healthy_reward"] == 0.5
    assert info.parameters["terminate_when_unhealthy"] is False
    assert (info.max_episode_steps, info.dt_s) == (7, 0.02)
    assert "frame_skip" not in info.parameters


def test_the_content_of_a_task_has_a_name_of_its_own(make_task, make_custom):
    base = make_custom().info.content_sha256
    assert base == make_custom().info.content_sha256
    assert base != make_custom(changes=[("goal: 1.0", "goal: 2.0")]).info.content_sha256
    names = [make_task(name).info.content_sha256 for name in bundled_names()]
    assert len(set(names)) == len(names)
    two, three = (make_task("NLinkSwimmer-v0", links=n).info.content_sha256 for n in (2, 3))
    assert two != three
