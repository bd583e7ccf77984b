import dataclasses

import numpy as np
import pytest
import torch

from websim_learner.algorithms.ppo import PPO
from websim_learner.checkpoint import arrays_sha256
from websim_learner.collector import Collector
from websim_learner.defaults import PPOSettings
from websim_learner.evaluation import evaluate
from websim_learner.rollout import Rollout

NUM_ENVS = 24


def make_settings(**overrides):
    small = {"rollout_length": 16, "minibatch_size": 64, "epochs": 4, "hidden": (32, 32)}
    return PPOSettings(**{**small, **overrides})


def make_ppo(num_envs=NUM_ENVS, seed=3, **overrides):
    return PPO(make_settings(**overrides), 3, 1, num_envs, seed)


def make_rollout(client, ppo, collector=None, first_t=0):
    if collector is None:
        collector = Collector(client, ppo.seed)
        collector.reset(1)
    rollout = Rollout(ppo.settings.rollout_length, collector.num_envs, 3, 1)
    collector.collect(rollout, ppo.actor(collector.tile), first_t)
    return rollout


def digest(ppo):
    return arrays_sha256(ppo.arrays())


def train(client, ppo, updates):
    collector = Collector(client, ppo.seed)
    collector.reset(1)
    length = ppo.settings.rollout_length
    stats = None
    for k in range(updates):
        rollout = make_rollout(client, ppo, collector, k * length)
        stats = ppo.update(rollout, rollout.task_reward, 0.0)
    return stats


def numpy_forward(layers, x):
    """Return the activations of a tanh perceptron, the input first."""
    activations = [x]
    for i, (weight, bias) in enumerate(layers):
        x = x @ weight.T + bias
        x = np.tanh(x) if i < len(layers) - 1 else x
        activations.append(x)
    return activations


def numpy_backward(layers, activations, gradient):
    """Return the gradients of all weights and biases, given that of the output."""
    gradients = []
    for i in reversed(range(len(layers))):
        gradients += [gradient.sum(axis=0), gradient.T @ activations[i]]
        gradient = gradient @ layers[i][0]
        if i:
            gradient = gradient * (1.0 - np.square(activations[i]))
    return gradients[::-1]


def layer_names(net):
    return [f"{net}.{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")]


def test_the_gradient_is_that_of_the_clipped_objective(make_client):
    """One step on a whole batch, against backpropagation by hand in float64."""
    ppo = make_ppo(entropy_coefficient=0.01, max_gradient_norm=1e9, clip=0.01)
    rollout = make_rollout(make_client(NUM_ENVS), ppo)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # move the policy away from the one that acted, so that ratios clip
        for parameter in ppo.model.actor.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    weights = ppo.arrays()["weights"]
    batch, _ = ppo._batch(rollout, rollout.task_reward)
    n = len(batch.obs)
    ppo._step(batch, torch.arange(n))

    obs, action, log_prob, advantage, target = (
        getattr(batch, f.name).numpy().astype(np.float64) for f in dataclasses.fields(batch)
    )
    state = {name: array.astype(np.float64) for name, array in weights.items()}
    actor, critic = (
        [(state[f"{net}.{i}.weight"], state[f"{net}.{i}.bias"]) for i in (0, 2, 4)]
        for net in ("actor", "critic")
    )
    inverse_std = np.exp(-state["log_std"])
    hidden = numpy_forward(actor, obs)
    z = (action - hidden[-1]) * inverse_std
    log_new = (-0.5 * z**2 - state["log_std"] - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    ratio = np.exp(log_new - log_prob)
    # d/d log_new of -min(r A, clip(r) A): -r A where the unclipped term is the smaller one
    active = ~((advantage > 0) & (ratio > 1.01) | (advantage < 0) & (ratio < 0.99))
    assert 0 < active.sum() < n
    outer = (-ratio * advantage * active / n)[:, None]
    expected = {}
    gradients = numpy_backward(actor, hidden, outer * z * inverse_std)
    expected |= dict(zip(layer_names("actor"), gradients, strict=True))
    expected["log_std"] = (outer * (z**2 - 1.0)).sum(axis=0) - 0.01
    values = numpy_forward(critic, obs)
    error = values[-1][:, 0] - target
    gradients = numpy_backward(critic, values, (0.5 * 2.0 * error / n)[:, None])
    expected |= dict(zip(layer_names("critic"), gradients, strict=True))
    for name, parameter in ppo.model.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), expected[name], atol=2e-5, err_msg=name)


def test_the_stored_log_prob_is_that_of_the_policy_that_acted(make_client):
    ppo = make_ppo()
    batch, _ = ppo._batch(rollout := make_rollout(make_client(NUM_ENVS), ppo), rollout.task_reward)
    with torch.no_grad():
        torch.testing.assert_close(
            ppo.model.log_prob(batch.obs, batch.action), batch.log_prob, rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("shuffle", [None, 1, 2])
def test_the_same_seed_gives_the_same_bits_in_any_order_of_arrival(make_client, shuffle):
    reference, other = make_ppo(), make_ppo()
    train(make_client(NUM_ENVS), reference, 6)
    train(make_client(NUM_ENVS, shuffle=shuffle), other, 6)
    assert digest(reference) == digest(other)


def test_another_seed_gives_other_weights(make_client):
    first, second = make_ppo(seed=1), make_ppo(seed=2)
    train(make_client(NUM_ENVS), first, 1)
    train(make_client(NUM_ENVS), second, 1)
    assert digest(first) != digest(second)


def test_invalid_transitions_are_in_no_loss_and_no_statistic(make_client):
    client = make_client(NUM_ENVS, broken=lambda step, env_id: step in (3, 9) and env_id % 5 == 0)
    digests = set()
    for junk in (0.0, 1e6):
        ppo = make_ppo()
        rollout = make_rollout(make_client(NUM_ENVS, broken=client._rows[0].broken), ppo)
        assert rollout.invalid.sum() == 10
        assert np.isnan(rollout.task_reward[rollout.invalid]).all()
        rollout.action[rollout.invalid] = junk
        rollout.noise[rollout.invalid] = junk
        stats = ppo.update(rollout, rollout.task_reward, 0.0)
        assert np.isfinite(list(dataclasses.asdict(stats).values())).all()
        assert ppo.obs_moments.count == 16 * NUM_ENVS - 10
        digests.add(digest(ppo))
    assert len(digests) == 1


def test_a_rollout_without_a_valid_transition_teaches_nothing(make_client):
    ppo = make_ppo()
    rollout = make_rollout(make_client(NUM_ENVS, broken=lambda step, env_id: True), ppo)
    before = arrays_sha256({"weights": ppo.arrays()["weights"]})
    stats = ppo.update(rollout, rollout.task_reward, 0.0)
    assert stats.epochs == 0
    assert arrays_sha256({"weights": ppo.arrays()["weights"]}) == before


def test_normalisers_are_merged_once_at_the_end_of_a_rollout(make_client):
    ppo = make_ppo()
    rollout = make_rollout(make_client(NUM_ENVS), ppo)
    assert ppo.obs_moments.count == 0
    ppo.update(rollout, rollout.task_reward, 0.0)
    rows = rollout.obs[:-1].reshape(-1, 3).astype(np.float64)
    assert ppo.obs_moments.count == len(rows)
    np.testing.assert_allclose(ppo.obs_moments.mean, rows.mean(axis=0), atol=1e-12)


def test_an_update_ends_after_the_epoch_that_went_too_far(make_client):
    ppo = make_ppo(learning_rate=0.02, epochs=10, target_kl=0.01)
    rollout = make_rollout(make_client(NUM_ENVS), ppo)
    stats = ppo.update(rollout, rollout.task_reward, 0.0)
    assert stats.epochs < 10
    assert stats.kl_nats > 0.01


def test_the_learning_rate_falls_with_progress(make_client):
    ppo = make_ppo(learning_rate=1e-3, final_learning_rate=1e-4)
    rollout = make_rollout(make_client(NUM_ENVS), ppo)
    rates = [
        ppo.update(rollout, rollout.task_reward, p).learning_rate for p in (0.0, 0.5, 1.0, 2.0)
    ]
    assert rates == pytest.approx([1e-3, 5.5e-4, 1e-4, 1e-4])


def test_a_loaded_learner_goes_on_bit_for_bit(make_client):
    ppo, other = make_ppo(), make_ppo(seed=3)
    client = make_client(NUM_ENVS)
    train(client, ppo, 3)
    other.load({name: dict(part) for name, part in ppo.arrays().items()}, ppo.num_updates)
    rollout = make_rollout(make_client(NUM_ENVS), ppo)
    for learner in (ppo, other):
        learner.update(rollout, rollout.task_reward, 0.3)
    assert digest(ppo) == digest(other)


def test_a_state_of_another_shape_is_refused(make_client):
    with pytest.raises(ValueError, match="another network"):
        make_ppo().load(make_ppo(hidden=(8, 8)).arrays(), 0)


def test_the_scale_follows_another_reward(make_client):
    ppo, other = make_ppo(), make_ppo()
    client = make_client(NUM_ENVS)
    rollout = make_rollout(client, ppo)
    for learner in (ppo, other):
        learner.update(rollout, rollout.task_reward, 0.3)
    other.reward_changed()
    ppo.update(rollout, rollout.task_reward, 0.3)
    other.update(rollout, 10.0 * rollout.task_reward, 0.3)
    assert other.return_scale.inverse_std == pytest.approx(ppo.return_scale.inverse_std / 10)


def test_it_learns_the_toy_task(make_client):
    ppo = make_ppo(learning_rate=3e-3)
    start = evaluate(make_client(10), ppo.actor, 1).episode_return.mean()
    train(make_client(NUM_ENVS), ppo, 20)
    end = evaluate(make_client(10), ppo.actor, 1).episode_return.mean()
    assert start < 37.0
    assert end > 39.0  # 40 steps of at most 1 each
