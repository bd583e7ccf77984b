import numpy as np
import pytest
import torch

from websim.client import FleetTimeout
from websim_learner.collector import Collector
from websim_learner.fleet import RunStopped, Waiter
from websim_learner.models import ActionScale, ActorCritic, NumpyActor
from websim_learner.normalizers import ObservationScale, RunningMoments
from websim_learner.randomness import Stream, generator
from websim_learner.rollout import Rollout

NUM_ENVS, STEPS = 24, 16


def make_actor(tile, log_std=-0.5):
    model = ActorCritic(3, 1, (16,), log_std, torch.Generator().manual_seed(0))
    return NumpyActor(model, ObservationScale.of(RunningMoments(3)), tile)


def collect(client, rollouts=1, fields=(), seed=5):
    collector = Collector(client, seed)
    collector.reset(1)
    rollout = Rollout(STEPS, NUM_ENVS, 3, 1)
    for k in range(rollouts):
        collector.collect(rollout, make_actor(collector.tile), k * STEPS, fields)
    return rollout


def same(first, second):
    ends, other_ends = first.ends(), second.ends()
    names = ("obs", "action", "noise", "task_reward", "terminated", "truncated", "invalid")
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in names) and all(
        np.array_equal(getattr(ends, n), getattr(other_ends, n), equal_nan=n != "env_id")
        for n in vars(ends)
    )


@pytest.mark.parametrize("shuffle", [1, 2, 3])
def test_arrival_order_leaves_no_trace(make_client, shuffle):
    in_order = collect(make_client(NUM_ENVS), rollouts=5)
    shuffled = collect(make_client(NUM_ENVS, shuffle=shuffle), rollouts=5)
    assert same(in_order, shuffled)
    assert len(in_order.ends().t) > 0


def test_noise_is_a_table_per_step_in_env_order(make_client):
    rollout = collect(make_client(NUM_ENVS), rollouts=2)
    for t in (0, 9):
        draw = generator(5, Stream.ACTION_NOISE, STEPS + t)
        table = draw.standard_normal((NUM_ENVS, 1), dtype=np.float32)
        assert np.array_equal(rollout.noise[t], table)


def test_actions_are_stored_unclipped_and_sent_within_bounds(make_client):
    sent = []
    client = make_client(NUM_ENVS)
    send = client.send

    def spy(shard, action, fields=()):
        sent.append((shard, action.copy()))
        send(shard, action, fields)

    client.send = spy
    collector = Collector(client, 5)
    collector.reset(1)
    rollout = Rollout(STEPS, NUM_ENVS, 3, 1)
    collector.collect(rollout, make_actor(collector.tile, log_std=1.0), 0)
    assert np.abs(rollout.action).max() > 1.0
    scale = ActionScale.of(client.task.action_low, client.task.action_high)
    first = next(action for shard, action in sent if shard == 0)
    assert np.array_equal(first, scale(rollout.action[0, : len(first)]))


def test_first_episodes_are_cut_at_steps_spread_over_the_time_limit(make_client):
    client = make_client(NUM_ENVS)
    collector = Collector(client, 5)
    collector.reset(1)
    rollout, cuts = Rollout(STEPS, NUM_ENVS, 3, 1), {}
    for k in range(5):
        collector.collect(rollout, make_actor(collector.tile, log_std=-9.0), k * STEPS)
        ends = rollout.ends()
        for t, env_id, unknown in zip(
            ends.t, ends.env_id, np.isnan(ends.episode_return), strict=True
        ):
            if unknown:
                assert env_id not in cuts, "cut twice"
                cuts[env_id] = k * STEPS + t
                assert rollout.truncated[t, env_id]
                assert not rollout.terminated[t, env_id]
    steps = sorted(cuts.values())
    assert len(steps) >= NUM_ENVS - 2
    assert max(np.diff(steps)) <= 4


def test_an_env_is_cut_with_the_next_step_when_asked(make_client):
    collector = Collector(make_client(NUM_ENVS), 5)
    collector.reset(1)
    rollouts = [Rollout(STEPS, NUM_ENVS, 3, 1) for _ in range(2)]
    actor = make_actor(collector.tile, log_std=-9.0)
    collector.collect(rollouts[0], actor, 0)
    collector.cut_next(NUM_ENVS - 1)
    collector.collect(rollouts[1], actor, STEPS)
    assert rollouts[1].truncated[0, -1]
    assert not rollouts[1].terminated[0, -1]
    assert not rollouts[1].truncated[1:, -1].any()


def test_a_cut_shows_the_final_observation_and_then_a_new_episode(make_client):
    rollout = collect(make_client(NUM_ENVS))
    ends = rollout.ends()
    cut = np.flatnonzero(np.isnan(ends.episode_return))
    assert len(cut)
    for k in cut:
        t, env_id = ends.t[k], ends.env_id[k]
        before, action = rollout.obs[t, env_id], rollout.action[t, env_id]
        force = np.clip(2.0 * action[0], -2.0, 2.0)
        speed = before[1] + 0.1 * force
        np.testing.assert_allclose(
            ends.final_obs[k], [before[0] + 0.1 * speed, speed, 1.0], atol=1e-6
        )
        assert not np.array_equal(rollout.obs[t + 1, env_id], ends.final_obs[k])


def test_fields_come_as_asked_for(make_client):
    rollout = collect(make_client(NUM_ENVS, shuffle=1), fields=("x", "velocity"))
    assert rollout.fields["x"].shape == (STEPS, NUM_ENVS)
    assert rollout.fields["velocity"].shape == (STEPS, NUM_ENVS, 2)
    going_on = ~(rollout.terminated | rollout.truncated)
    x = rollout.obs[1:, :, 0]
    np.testing.assert_allclose(rollout.fields["x"][going_on], x[going_on], atol=1e-6)


def test_a_stop_ends_the_wait_for_a_silent_fleet(make_client):
    client = make_client(NUM_ENVS)
    asked = iter([False] * 5 + [True])
    collector = Collector(client, 5, Waiter(stop=lambda: next(asked)))
    client.silent = True
    with pytest.raises(RunStopped):
        collector.reset(1)


def test_a_silent_fleet_is_an_error_once_patience_ends(make_client):
    client = make_client(NUM_ENVS)
    client.silent = True
    waiter = Waiter(patience_s=0.0)
    with pytest.raises(FleetTimeout):
        Collector(client, 5, waiter).reset(1)
    assert waiter.quiet_since_s is not None
