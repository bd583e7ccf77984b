"""A policy's envs on two tasks of a real fleet: what comes back is what each task alone gives."""

from pathlib import Path

import numpy as np
import pytest

from websim.service.errors import UserError
from websim_learner.divided import DividedFleet, seed_of_part

SWING_UP = "examples/swing-up/task.yaml"


@pytest.fixture
def quick(tmp_path):
    """The swing-up with a shorter control step, as a task file of its own."""
    text = Path(SWING_UP).read_text().replace("id: SwingUp-v0", "id: SwingUpQuick-v0")
    (tmp_path / "task.yaml").write_text(text.replace("frame_skip: 2", "frame_skip: 1"))
    (tmp_path / "model.xml").write_bytes(Path(SWING_UP).with_name("model.xml").read_bytes())
    return str(tmp_path / "task.yaml")


def drive(session, steps, seed):
    """Reset every shard, step them by one rule, and return each shard's observations."""
    seen = {shard: [] for shard in range(len(session.shards))}
    for shard in seen:
        session.send_reset(shard, seed=seed)
    for t in range(steps + 1):
        for _ in seen:
            result = session.recv()
            seen[result.shard].append(result.obs.copy())
        if t < steps:
            for shard, span in enumerate(session.shards):
                action = np.full((span.num_envs, 1), np.sin(0.3 * t), np.float32)
                session.send(shard, action, ("tip_height",))
    return [np.stack(obs) for obs in seen.values()]


def test_each_part_is_what_its_task_gives_alone(make_env, quick):
    own, other = (make_env(task, n) for task, n in ((SWING_UP, 48), (quick, 16)))
    together = drive(DividedFleet([own, other]), 40, seed=5)
    alone = drive(own, 40, seed=5) + drive(other, 40, seed=seed_of_part(5, 1))
    assert sum(obs.shape[1] for obs in together) == 64
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))


def test_tasks_of_other_robots_are_refused(make_env):
    with pytest.raises(UserError, match="cannot be trained on beside Hopper-v5: it is seen"):
        DividedFleet([make_env("Hopper-v5", 8), make_env("HalfCheetah-v5", 8)])
