"""Pushes: when they come, how hard, which way; and shards with knobs that go on elsewhere."""

import numpy as np
import pytest

from websim.tasks import TaskError
from websim.wire.codec import describe


def turn_all(shard):
    """All knobs from end to end of their hard ranges, pushes from 1 N."""
    infos = shard.task.info.knobs
    ranges = {knob.name: (knob.hard_low, knob.hard_high) for knob in infos}
    if "push" in ranges:
        ranges["push"] = (1.0, ranges["push"][1])
    shard.set_knobs(ranges)
    shard.reset()


def assert_same(one, other):
    for name in ("obs", "reward", "terminated", "truncated", "invalid", "ended", "final_obs"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert np.array_equal(one.episode_return, other.episode_return)


@pytest.fixture
def pushed(make_shard, make_custom, slider_model):
    """A shard of carts of 1 kg at rest, pushed for 0.04 s (2 steps) every 0.2 s (10 steps)."""
    knobs = (
        "knobs: {p: {target: push, body: cart, range: [0, 9], along: x, period_s: 0.2,"
        " duration_s: 0.04}}\nreward:"
    )
    changes = [("reward:", knobs), ("max_episode_steps: 10", "max_episode_steps: 40")]

    def make(num_envs=6, seed=1, along="x"):
        own = [*changes, ("along: x", f"along: {along}")]
        return make_shard(make_custom(changes=own, model=slider_model), num_envs, seed=seed)

    return make


def test_a_push_moves_the_body_as_newton_says(pushed):
    shard = pushed()
    shard.set_knobs({"p": (5.0, 5.0)})
    shard.reset()
    still = np.zeros((6, 1), np.float32)
    speeds = np.array([shard.step(still).obs[:, 1].copy() for _ in range(39)])
    gained = np.diff(np.vstack([np.zeros(6), speeds]), axis=0)
    # 5 N on 1 kg for one environment step of 0.02 s: 0.1 m/s either way.
    assert np.isclose(np.abs(gained), 0.1).sum(axis=0).max() <= 8
    assert (np.isclose(np.abs(gained), 0.1) | np.isclose(gained, 0.0)).all()
    for env in range(6):
        steps = np.flatnonzero(np.abs(gained[:, env]) > 0.01)
        firsts = steps[::2]
        assert np.array_equal(steps[1::2], firsts[: len(steps[1::2])] + 1), "two steps each"
        assert (np.diff(firsts) == 10).all(), "every ten steps"
        for first in firsts[:3]:
            assert gained[first, env] == pytest.approx(gained[first + 1, env]), "one direction"
    signs = np.sign(gained[np.abs(gained) > 0.01])
    assert {-1.0, 1.0} == set(signs.tolist())
    firsts = [np.flatnonzero(np.abs(gained[:, env]) > 0.01)[0] for env in range(6)]
    assert len(set(firsts)) > 1, "environments are pushed at different times"


def test_a_push_ends_with_its_episode(pushed):
    shard = pushed(num_envs=40)
    shard.set_knobs({"p": (5.0, 5.0)})
    shard.reset()
    still = np.zeros((40, 1), np.float32)
    while not _forces(shard).any():
        shard.step(still)
    shard.set_knobs({"p": (0.0, 0.0)})
    shard.reset()
    assert not _forces(shard).any()
    assert not shard.step(still).obs.any()


def test_a_push_goes_anywhere_in_the_plane_and_as_hard_as_drawn(make_shard):
    shard = make_shard("Ant-v5", 64)
    shard.set_knobs({"push": (2.0, 4.0)})
    shard.reset()
    for _ in range(41):
        shard.step(np.zeros((64, 8), np.float32))
        forces = _forces(shard).reshape(64, -1, 6)
        assert not np.delete(forces, 1, axis=1).any(), "the torso alone"
        now = np.linalg.norm(forces[:, 1, :2], axis=1)
        drawn = np.array([shard.env_state(e).fields["knob:push"] for e in range(64)])
        assert np.allclose(now[now > 0], drawn[now > 0])
        assert not forces[:, 1, 2:].any(), "horizontal, no torque"
    assert (now > 0).any()


def _forces(shard):
    return shard._batch.bind("xfrc_applied").reshape(shard.num_envs, -1)


@pytest.mark.parametrize(
    "task",
    ["HalfCheetah-v5", "Hopper-v5", "Ant-v5", "Humanoid-v5", "Reacher-v5", "NLinkSwimmer-v0"],
)
def test_a_shard_with_knobs_continues_elsewhere_bit_for_bit(make_shard, random_actions, task):
    overrides = {"max_episode_steps": 45}
    shard = make_shard(task, 6, seed=3, first_env_id=12, **overrides)
    turn_all(shard)
    actions = random_actions(shard, 150)
    copies = []
    for t, action in enumerate(actions):
        if t in (20, 60, 101):
            # Another thread count, and another past: with knobs of its own, or none at all.
            other = make_shard(task, 6, seed=9, first_env_id=12, nthread=2, **overrides)
            if t == 60:
                turn_all(other)
                other.step(action)
            other.restore({n: a.copy() for n, a in shard.snapshot().items()})
            copies.append(other)
        expected = shard.step(action)
        for other in copies:
            assert_same(expected, other.step(action))
    for name, array in shard.snapshot().items():
        assert all(np.array_equal(array, other.snapshot()[name]) for other in copies), name
    for env in range(6):
        fields = shard.env_state(env).fields
        for other in copies:
            assert all(np.array_equal(other.env_state(env).fields[n], fields[n]) for n in fields)


def test_a_shard_without_knobs_takes_over_one_with_and_back(make_shard, random_actions):
    plain, turned = make_shard("Hopper-v5", 4, seed=1), make_shard("Hopper-v5", 4, seed=2)
    turn_all(turned)
    before = plain.snapshot()
    assert set(turned.snapshot()) - set(before) == {"knob_ranges", "knob_values", "knob_offsets"}
    plain.restore(turned.snapshot())
    fresh = make_shard("Hopper-v5", 4, seed=3)
    fresh.restore(before)
    for action in random_actions(plain, 40):
        assert_same(plain.step(action), turned.step(action))
    plain.restore(before)
    for action in random_actions(plain, 40):
        assert_same(plain.step(action), fresh.step(action))


def test_two_pushes_go_their_own_ways(make_shard, make_custom, slider_model):
    tilted = slider_model.replace(
        "</worldbody>",
        """<body name="other"><joint name="second" type="slide" axis="1 0 0"/>
        <geom size="0.1" mass="1"/></body></worldbody>""",
    )
    times = "range: [0, 9], along: x, period_s: 0.2, duration_s: 0.1"
    one, two = (f"{{target: push, body: {body}, {times}}}" for body in ("cart", "other"))
    knobs = f"knobs: {{a: {one}, b: {two}}}\nreward:"
    changes = [("reward:", knobs), ("max_episode_steps: 10", "max_episode_steps: 90")]
    shard = make_shard(make_custom(changes=changes, model=tilted), 200)
    shard.set_knobs({"a": (2.0, 2.0), "b": (3.0, 3.0)})
    shard.reset()
    for _ in range(20):
        shard.step(np.zeros((200, 1), np.float32))
    forces = _forces(shard).reshape(200, -1, 6)[:, 1:3, 0]
    assert set(np.abs(forces[:, 0])) == {0.0, 2.0}
    assert set(np.abs(forces[:, 1])) == {0.0, 3.0}
    both = forces[(forces != 0.0).all(axis=1)]
    # About a quarter of them in each of the four combinations of directions.
    combinations = {tuple(row) for row in np.sign(both).tolist()}
    assert len(combinations) == 4
    assert abs(np.corrcoef(both, rowvar=False)[0, 1]) < 0.5


def test_a_snapshot_of_knobs_travels(make_shard):
    for task in ("Reacher-v5", "Hopper-v5"):
        shard = make_shard(task, 3)
        turn_all(shard)
        assert all(array.size for array in shard.snapshot().values())
        _, frames = describe(shard.snapshot())
        assert all(memoryview(frame).cast("B").nbytes for frame in frames)


def test_a_snapshot_with_other_knobs_is_refused_before_anything_changes(make_shard):
    hopper, reacher = make_shard("Hopper-v5", 3), make_shard("Reacher-v5", 3)
    turn_all(hopper)
    turn_all(reacher)
    mixed = hopper.snapshot() | {"knob_values": reacher.snapshot()["knob_values"]}
    before = hopper.snapshot()
    with pytest.raises(TaskError, match="'knob_values' does not fit"):
        hopper.restore(mixed)
    assert all(np.array_equal(array, hopper.snapshot()[name]) for name, array in before.items())
