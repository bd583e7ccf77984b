"""Tasks that come as files, through the whole fleet."""

from pathlib import Path

import numpy as np
import pytest

from websim.client import FleetRefused
from websim.tasks import TaskError
from websim.wire.messages import TaskInfo

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/task.yaml"))


def test_there_is_an_example_to_try():
    assert EXAMPLES


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_task_runs_from_its_folder(make_env, path):
    env = make_env(path, 32)
    assert isinstance(env.task, TaskInfo)
    obs, _ = env.reset(seed=0)
    assert np.isfinite(obs).all()
    for _ in range(20):
        obs, reward, *_ = env.step(env.action_space.sample())
    assert np.isfinite(obs).all()
    assert np.isfinite(reward).all()


def test_a_broken_task_file_says_what_and_where(make_env, tmp_path):
    (tmp_path / "task.yaml").write_text("id: Broken-v0\nframe_skip: many\n")
    with pytest.raises((TaskError, FleetRefused), match=r"task\.yaml") as caught:
        make_env(tmp_path / "task.yaml", 4)
    assert "\n" not in str(caught.value)


def test_a_task_file_that_is_not_there_says_so(make_env, tmp_path):
    with pytest.raises(TaskError, match=r"nothing\.yaml"):
        make_env(tmp_path / "nothing.yaml", 4)


def test_a_generated_task_takes_its_size_from_a_parameter(make_env):
    short, long = make_env("NLinkSwimmer-v0", 4), make_env("NLinkSwimmer-v0", 4, links=8)
    assert long.task.action_dim == 7
    assert long.task.obs_dim > short.task.obs_dim
    env = long
    obs, _ = env.reset(seed=0)
    obs, *_ = env.step(env.action_space.sample())
    assert np.isfinite(obs).all()
