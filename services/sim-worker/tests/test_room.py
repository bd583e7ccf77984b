"""Everything a shard says fits into a message, or the shard is refused with the reason."""

import gc
import weakref
from collections import Counter

import numpy as np
import pytest

from websim.tasks import TaskError
from websim.tasks.assets import MAX_ASSETS
from websim.wire.codec import MAX_MESSAGE_BYTES, Decoder, Envelope, describe, encode
from websim.wire.messages import AssignShard, ShardFailed, ToWorker
from websim_sim_worker import shard as shard_module
from websim_sim_worker.held import HeldShards
from websim_sim_worker.room import check_room, most_envs

ASSIGNMENT = AssignShard(
    session=1,
    shard=0,
    epoch=1,
    task="Hopper-v5",
    seed=3,
    first_env_id=0,
    num_envs=4,
    obs_dtype="float32",
    snapshot_every=64,
)
NUM_FIELDS = 200
"""As many as the schema of tasks allows."""


def many_fields(description: str = "") -> tuple[str, str]:
    """The change of a task that makes all its fields but two rates, of the longest names."""
    rates = [
        f"  {f'rate{i}':_<64}: {{rate: position, unit: m/s, description: '{description}'}}\n"
        for i in range(NUM_FIELDS - 2)
    ]
    return "fields:\n", "fields:\n" + "".join(rates)


def test_a_task_of_all_the_rates_and_files_there_may_be_travels(make_custom, make_shard):
    shard = make_shard(make_custom(changes=[many_fields()]))
    snapshot = shard.snapshot()
    assert len(snapshot) > 2 * (NUM_FIELDS - 1)
    arrays = {f"snapshot:{name}": array for name, array in snapshot.items()}
    arrays |= {f"task:{i:_<100}": np.zeros(1, np.uint8) for i in range(MAX_ASSETS + 2)}
    state = shard.env_state(0)
    for content in (arrays, {f"field:{name}": value for name, value in state.fields.items()}):
        specs, frames = describe({name: np.asarray(value) for name, value in content.items()})
        message = AssignShard(**{**_facts(ASSIGNMENT), "arrays": specs})
        envelope = Decoder(ToWorker).decode(encode(message, [each.tobytes() for each in frames]))
        assert len(envelope.frames) == len(content) > NUM_FIELDS


def _facts(message: AssignShard) -> dict:
    return {name: getattr(message, name) for name in message.__struct_fields__}


def test_a_task_whose_description_is_too_long_for_a_header_is_refused(make_custom):
    with pytest.raises(TaskError, match="names, descriptions, programs and parameters take"):
        make_custom(changes=[many_fields("x" * 600)])


def test_a_shard_that_is_too_large_for_a_message_is_refused_with_what_fits():
    assignment = AssignShard(**{**_facts(ASSIGNMENT), "num_envs": 1 << 20})
    held = HeldShards(1, Counter())
    failed, _ = held.assign(assignment, Envelope(assignment, ()))
    assert isinstance(failed, ShardFailed)
    assert "a shard of 1048576 environments does not fit into a message" in failed.message
    assert "choose shard_envs of at most" in failed.message
    assert not len(held)


def test_what_is_known_of_a_tasks_size_does_not_keep_the_task(make_custom):
    task = make_custom()
    most_envs(task, "float32", files_bytes=0)
    gone = weakref.ref(task)
    del task
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("obs_dtype", ["float32", "float64"])
def test_as_many_environments_as_are_said_to_fit_do(make_task, make_shard, obs_dtype):
    task = make_task("Hopper-v5")
    shard = make_shard(task, num_envs=32, obs_dtype=obs_dtype)
    most = most_envs(task, obs_dtype, files_bytes=0)
    assert shard.answer_bytes * most <= 32 * MAX_MESSAGE_BYTES
    shard.set_knobs({knob.name: (knob.low, knob.high) for knob in task.info.knobs})
    told = sum(array.nbytes for array in shard.snapshot().values())
    assert 0.8 * MAX_MESSAGE_BYTES < told * most / 32 <= MAX_MESSAGE_BYTES
    check_room(task, most, obs_dtype, files_bytes=0)
    with pytest.raises(TaskError, match=f"at most {most_envs(task, obs_dtype, 1 << 20)}"):
        check_room(task, most, obs_dtype, files_bytes=1 << 20)


def test_the_largest_answer_is_counted_in_full(make_shard):
    shard = make_shard("Hopper-v5", num_envs=8, obs_dtype="float32")
    for env in range(8):
        shard.request_reset(env)
    step = shard.step(np.zeros((8, 3), np.float32))
    own = (step.obs, step.final_obs, step.reward, step.terminated, step.truncated, step.invalid)
    episode = np.zeros((len(step.ended), 4))
    assert shard.answer_bytes == sum(each.nbytes for each in (*own, step.ended, episode))


def test_a_step_that_asks_for_more_fields_than_fit_is_rejected(make_shard, monkeypatch):
    room = make_shard("Hopper-v5", num_envs=8).answer_bytes + 2 * 8 * 8
    monkeypatch.setattr(shard_module, "MAX_MESSAGE_BYTES", room)
    shard = make_shard("Hopper-v5", num_envs=8)
    action = np.zeros((8, 3), np.float32)
    shard.step(action, ("x_velocity", "torso_height"))
    with pytest.raises(TaskError, match="ask for fewer of them"):
        shard.step(action, ("x_velocity", "torso_height", "time_s"))
