"""The client as a Gymnasium user sees it, on a real fleet."""

import signal

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from websim.client import FleetError, FleetRefused, FleetTimeout, FleetUnavailable, make_vec
from websim.wire import lifecycle


def random_actions(env, seed: int = 0) -> np.ndarray:
    space = env.unwrapped.single_action_space
    rng = np.random.default_rng(seed)
    return rng.uniform(space.low, space.high, env.action_space.shape).astype(np.float32)


def test_it_is_a_gymnasium_vector_env(make_env):
    env = make_env(num_envs=64)
    assert isinstance(env, gymnasium.vector.VectorEnv)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    oracle = gymnasium.make("HalfCheetah-v5")
    assert env.single_observation_space.shape == oracle.observation_space.shape
    assert env.single_action_space == oracle.action_space
    oracle.close()
    obs, info = env.reset()
    assert obs.shape == (64, 17)
    assert obs.dtype == np.float32
    assert info == {}
    obs, reward, terminated, truncated, info = env.step(random_actions(env))
    assert obs in env.observation_space
    assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, np.bool_, np.bool_)
    assert reward.shape == terminated.shape == truncated.shape == (64,)
    assert info == {}


def test_gymnasium_makes_it_by_name(fleet):
    env = gymnasium.make_vec("websim/HalfCheetah-v5", num_envs=40, fleet=fleet.client_address)
    try:
        obs, _ = env.reset(seed=1)
        assert obs.shape == (40, 17)
    finally:
        env.close()


def test_gymnasiums_wrappers_work_on_it(make_env):
    env = gymnasium.wrappers.vector.RecordEpisodeStatistics(
        gymnasium.wrappers.vector.ClipAction(make_env(num_envs=32))
    )
    env.reset(seed=0)
    for step in range(3):
        env.step(random_actions(env, step))


def test_an_episode_that_ends_gives_final_obs_and_its_statistics(make_env):
    env = make_env(num_envs=40)
    env.reset(seed=0)
    total = np.zeros(40)
    for step in range(999):
        _, reward, _, truncated, info = env.step(random_actions(env, step))
        assert not truncated.any()
        assert info == {}
        total += reward
    obs, reward, terminated, truncated, info = env.step(random_actions(env, 999))
    assert truncated.all()
    assert not terminated.any()
    assert info["_final_obs"].all()
    final_obs = np.stack(info["final_obs"])
    assert final_obs.shape == obs.shape
    # the next episode has begun: upright at its noisy start, and not where the last one ended
    assert np.abs(obs[:, :8]).max() < 0.11
    assert np.abs(final_obs - obs).max() > 0.5
    episode = info["final_info"]["episode"]
    assert (episode["l"] == 1000).all()
    np.testing.assert_allclose(episode["r"], total + reward)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(make_env):
    def run(seed: int) -> list[np.ndarray]:
        env = make_env(num_envs=40)
        trace = [env.reset(seed=seed)[0]]
        for step in range(20):
            obs, reward, *_ = env.step(random_actions(env, step))
            trace += [obs, reward]
        return trace

    first, again, other = run(7), run(7), run(8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_float32_is_the_rounded_float64(make_env):
    single, double = make_env(num_envs=32), make_env(num_envs=32, obs_dtype="float64")
    assert double.reset(seed=3)[0].dtype == np.float64
    single.reset(seed=3)
    for step in range(5):
        a = single.step(random_actions(single, step))
        b = double.step(random_actions(double, step))
        assert np.array_equal(a[0], b[0].astype(np.float32))
        assert np.array_equal(a[1], b[1])


def test_send_and_recv_do_what_step_does(make_env):
    stepped, sent = make_env(num_envs=96), make_env(num_envs=96)
    expected, _ = stepped.reset(seed=5)
    for shard in range(len(sent.shards)):
        sent.send_reset(shard, seed=5)
    obs = np.empty_like(expected)
    for _ in sent.shards:
        result = sent.recv()
        assert result.kind == "reset"
        span = sent.shards[result.shard]
        obs[span.first_env_id : span.first_env_id + span.num_envs] = result.obs
    assert np.array_equal(obs, expected)
    for step in range(3):
        action = random_actions(stepped, step)
        expected, reward, *_ = stepped.step(action)
        for shard, span in enumerate(sent.shards):
            part = slice(span.first_env_id, span.first_env_id + span.num_envs)
            sent.send(shard, action[part], fields=("x_velocity", "obs"))
        for _ in sent.shards:
            result = sent.recv()
            span = sent.shards[result.shard]
            part = slice(span.first_env_id, span.first_env_id + span.num_envs)
            assert np.array_equal(result.obs, expected[part])
            assert np.array_equal(result.reward, reward[part])
            assert np.array_equal(result.fields["obs"].astype(np.float32), expected[part])
            assert result.fields["x_velocity"].shape == (span.num_envs,)


def test_one_environment_can_be_looked_at_and_put_somewhere(make_env):
    env = make_env(num_envs=40, obs_dtype="float64")
    env.reset(seed=0)
    qpos, qvel = np.linspace(-0.2, 0.2, 9), np.linspace(0.5, -0.5, 9)
    obs = env.set_state(33, qpos, qvel)
    assert np.array_equal(obs, np.concatenate([qpos[1:], qvel]))
    state = env.get_state(33)
    assert np.array_equal(state.qpos, qpos)
    assert np.array_equal(state.qvel, qvel)
    assert (state.time_s, state.episode_length, state.episode_return) == (0.0, 0, 0.0)
    _, reward, *_ = env.step(random_actions(env))
    state = env.get_state(33)
    assert (state.time_s, state.episode_length) == (pytest.approx(0.05), 1)
    assert state.episode_return == reward[33]


def test_a_person_can_reset_one_environment_and_it_shows(make_env):
    env = make_env(num_envs=40)
    env.reset(seed=0)
    env.step(random_actions(env))
    env.reset_env(7)
    _, _, terminated, truncated, info = env.step(random_actions(env, 1))
    assert list(np.flatnonzero(truncated)) == [7]
    assert not terminated.any()
    assert info["final_info"]["episode"]["l"][7] == 2


def test_part_of_the_environments_can_be_reset(make_env):
    env = make_env(num_envs=64)
    env.reset(seed=0)
    before, *_ = env.step(random_actions(env))
    mask = np.zeros(64, bool)
    mask[[3, 40]] = True
    after, _ = env.reset(options={"reset_mask": mask})
    assert np.array_equal(after[~mask], before[~mask])
    assert not np.array_equal(after[mask], before[mask])


def test_an_interrupted_step_is_over_with_the_next_reset(make_env):
    env = make_env("Humanoid-v5", num_envs=64)
    expected, _ = env.reset(seed=3)

    def interrupt(*_):
        raise KeyboardInterrupt

    def step_on():
        while True:
            env.step(random_actions(env))

    before = signal.signal(signal.SIGALRM, interrupt)
    # More than once: pyzmq swallows what it is interrupted by while it frees a frame.
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            step_on()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    obs, _ = env.reset(seed=3)
    assert np.array_equal(obs, expected)
    env.step(random_actions(env))


def test_answers_of_an_interrupted_step_are_not_taken_for_those_of_the_next(make_env):
    env = make_env(num_envs=64)
    expected, _ = env.reset(seed=3)
    for wait in (False, True):
        for shard, span in enumerate(env.shards):
            env.send(shard, random_actions(env)[: span.num_envs])
        for span in env.shards if wait else ():
            while env.get_state(span.first_env_id).episode_length < 1:
                pass
        for refused in (
            lambda: env.step(random_actions(env)),
            lambda: env.reset(options={"reset_mask": np.ones(64, bool)}),
            lambda: env.set_difficulty(0.5),
        ):
            with pytest.raises(FleetError, match="were not received"):
                refused()
        assert np.array_equal(env.reset(seed=3)[0], expected)


@pytest.mark.parametrize("command", ["set_state", "reset_env"])
def test_a_command_that_was_given_up_is_over_with_the_next_reset(make_env, monkeypatch, command):
    env = make_env(num_envs=40)
    expected, _ = env.reset(seed=3)
    arguments = (np.zeros(9), np.zeros(9)) if command == "set_state" else ()
    with monkeypatch.context() as patch:
        patch.setattr(lifecycle, "FLEET_DEADLINE_S", -1.0)
        with pytest.raises(FleetTimeout):
            getattr(env, command)(33, *arguments)
    assert np.array_equal(env.reset(seed=3)[0], expected)
    getattr(env, command)(33, *arguments)
    env.step(random_actions(env))


def test_a_tasks_parameters_are_overridden_by_gymnasiums_names(make_env):
    env = make_env(num_envs=32, reset_noise_scale=0.0, ctrl_cost_weight=0.0)
    obs, _ = env.reset(seed=0)
    assert not obs.any()
    assert env.task.parameters["ctrl_cost_weight"] == 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "HalfCheeta-v5"}, "HalfCheetah-v5"),
        ({"num_envs": 0}, "num_envs is 0"),
        ({"no_such_parameter": 1.0}, "no_such_parameter"),
    ],
)
def test_what_the_fleet_refuses_is_one_line_with_a_remedy(make_env, options, words):
    with pytest.raises(FleetRefused, match=words) as caught:
        make_env(**options)
    assert "\n" not in str(caught.value)


def test_an_unknown_field_is_refused_in_words(make_env):
    env = make_env(num_envs=32)
    env.reset()
    env.send(0, random_actions(env), fields=("x_velocty",))
    with pytest.raises(FleetRefused, match="x_velocity"):
        env.recv()


def test_misuse_is_said_at_once(make_env):
    env = make_env(num_envs=32)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(random_actions(env))
    env.reset()
    with pytest.raises(ValueError, match="shape"):
        env.step(np.zeros((31, 6), np.float32))
    with pytest.raises(FleetError, match="without anything outstanding"):
        env.recv()
    env.send(0, random_actions(env))
    with pytest.raises(FleetError, match="has not answered"):
        env.send(0, random_actions(env))
    env.recv()
    with pytest.raises(FleetError, match="no environment 32"):
        env.get_state(32)


def test_an_absent_orchestrator_is_said_within_seconds():
    with pytest.raises(FleetUnavailable, match=r"no orchestrator answers .*websim up"):
        make_vec("HalfCheetah-v5", 8, fleet="tcp://127.0.0.1:1")
    with pytest.raises(FleetUnavailable, match="not a fleet's address"):
        make_vec("HalfCheetah-v5", 8, fleet="here")
