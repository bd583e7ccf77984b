"""A restored shard continues bit for bit: other threads, other process, whatever was pending."""

import subprocess
import sys

import numpy as np
import pytest

TASKS = [
    "HalfCheetah-v5",
    "Ant-v5",
    "Humanoid-v5",
    "Hopper-v5",
    "InvertedDoublePendulum-v5",
    "Reacher-v5",
    "NLinkSwimmer-v0",
]
FIELDS = ["obs", "previous_obs", "previous_action", "time_s"]
STEPS = 80


def assert_same(one, other):
    for name in (
        "obs",
        "reward",
        "terminated",
        "truncated",
        "invalid",
        "ended",
        "final_obs",
        "episode_return",
        "episode_length",
        "episode_fitness",
        "episode_success",
    ):
        assert np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True), name
    assert one.fields.keys() == other.fields.keys()
    for name, values in one.fields.items():
        assert np.array_equal(values, other.fields[name]), name


@pytest.mark.parametrize("obs_dtype", ["float32", "float64"])
@pytest.mark.parametrize("task", TASKS)
def test_a_restored_shard_continues_bit_for_bit(make_shard, random_actions, task, obs_dtype):
    # Short episodes, so that there are resets of every kind on both sides of the restore.
    overrides = {"max_episode_steps": 17}
    shard = make_shard(task, 6, seed=3, first_env_id=12, obs_dtype=obs_dtype, **overrides)
    own = [name for name in ("x_velocity", "contact_forces") if name in shard.task.fields]
    names = [*FIELDS, *own]
    rng = np.random.default_rng(11)
    cuts = set(rng.integers(1, STEPS, 3).tolist())
    copies = []
    for t, action in enumerate(random_actions(shard, STEPS)):
        if t in cuts:
            env = int(rng.integers(6))
            for each in (shard, *copies):
                each.request_reset(env)
            # Other seed, other thread count, and a past of its own: all of it is overwritten.
            copy = make_shard(
                task, 6, seed=9, first_env_id=12, nthread=2, obs_dtype=obs_dtype, **overrides
            )
            copy.restore(shard.snapshot())
            for env in range(6):
                one, other = shard.env_state(env), copy.env_state(env)
                assert one.episode_return == other.episode_return
                assert all(np.array_equal(one.fields[n], other.fields[n]) for n in one.fields)
            copies.append(copy)
        expected = shard.step(action, names)
        for copy in copies:
            assert_same(expected, copy.step(action, names))
    assert len(copies) == len(cuts)
    after = shard.reset()
    assert all(np.array_equal(after, copy.reset()) for copy in copies)


def test_a_snapshot_is_plain_arrays_and_does_not_change_with_the_shard(make_shard, random_actions):
    shard = make_shard("Ant-v5", 3, obs_dtype="float32")
    snapshot = shard.snapshot()
    kept = {name: array.copy() for name, array in snapshot.items()}
    for action in random_actions(shard, 3):
        shard.step(action)
    for name, array in snapshot.items():
        assert array.dtype.str in ("<f8", "<f4", "<i8", "<i4", "|u1"), name
        assert array.flags.c_contiguous
        assert np.array_equal(array, kept[name])


def test_a_snapshot_restores_from_read_only_arrays(make_shard, random_actions):
    shard, copy = make_shard("Hopper-v5", 3), make_shard("Hopper-v5", 3)
    snapshot = shard.snapshot()
    for array in snapshot.values():
        array.flags.writeable = False
    copy.restore(snapshot)
    for action in random_actions(shard, 30):
        assert_same(shard.step(action), copy.step(action))


def test_a_snapshot_that_does_not_fit_is_refused(make_shard):
    shard = make_shard("Hopper-v5", 3)
    for other in (
        make_shard("Hopper-v5", 4),
        make_shard("Walker2d-v5", 3),
        make_shard("Hopper-v5", 3, obs_dtype="float32"),
    ):
        with pytest.raises(ValueError, match="does not fit"):
            shard.restore(other.snapshot())


CHILD = """
import sys
import numpy as np
from websim_sim_worker.shard import Shard
from websim_sim_worker.tasks import bundled, compile_task

files = np.load(sys.argv[1])
shard = Shard(compile_task(bundled("Ant-v5")), seed=0, first_env_id=0, num_envs=4, nthread=2)
shard.restore({name: files[name] for name in files if name != "actions"})
for action in files["actions"]:
    result = shard.step(action)
np.savez(sys.argv[2], **shard.snapshot())
"""


def test_another_process_continues_bit_for_bit(make_shard, random_actions, tmp_path):
    shard = make_shard("Ant-v5", 4, obs_dtype="float32")
    actions = random_actions(shard, 60)
    for action in actions[:20]:
        shard.step(action)
    there, back = tmp_path / "there.npz", tmp_path / "back.npz"
    np.savez(there, actions=np.stack(actions[20:]), **shard.snapshot())
    subprocess.run([sys.executable, "-c", CHILD, there, back], check=True)
    for action in actions[20:]:
        shard.step(action)
    with np.load(back) as returned:
        for name, array in shard.snapshot().items():
            assert np.array_equal(array, returned[name]), name
