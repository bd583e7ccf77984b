import numpy as np
import pytest
import torch

from websim_learner.models import ActionScale, ActorCritic, NumpyActor
from websim_learner.normalizers import ObservationScale, RunningMoments

OBS_DIM, ACTION_DIM = 5, 2


def make_model(seed=0, **overrides):
    arguments = {"hidden": (64, 64), "init_log_std": -0.5, **overrides}
    generator = torch.Generator().manual_seed(seed)
    return ActorCritic(OBS_DIM, ACTION_DIM, generator=generator, **arguments)


def make_scale():
    moments = RunningMoments(OBS_DIM)
    moments.merge(np.random.default_rng(0).normal(2.0, 3.0, (100, OBS_DIM)))
    return ObservationScale.of(moments)


def test_the_first_weights_follow_from_the_seed_alone():
    torch.manual_seed(1)
    first = make_model(7).state_dict()
    torch.manual_seed(2)
    second = make_model(7).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["actor.0.weight"], make_model(8).state_dict()["actor.0.weight"])


def test_layers_are_orthogonal_at_first():
    weight = make_model().actor[2].weight
    torch.testing.assert_close(weight @ weight.T, 2.0 * torch.eye(64), rtol=0, atol=1e-5)


def test_tanh_has_the_value_and_gradient_of_torch():
    x = torch.linspace(-4, 4, 101, requires_grad=True)
    ours = make_model().actor[1](x)
    theirs = torch.tanh(x)
    torch.testing.assert_close(ours, theirs)
    (gradient,) = torch.autograd.grad(ours.sum(), x)
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs.sum(), x)[0])


def test_log_prob_and_entropy_are_those_of_a_normal_distribution():
    model = make_model()
    obs, action = torch.randn(9, OBS_DIM), torch.randn(9, ACTION_DIM)
    normal = torch.distributions.Normal(model.actor(obs), model.log_std.exp())
    torch.testing.assert_close(model.log_prob(obs, action), normal.log_prob(action).sum(dim=1))
    torch.testing.assert_close(model.entropy(), normal.entropy().sum(dim=1)[0])


def test_the_numpy_actor_computes_what_torch_does():
    model, scale = make_model(), make_scale()
    obs = np.random.default_rng(1).normal(2.0, 3.0, (20, OBS_DIM)).astype(np.float32)
    expected = model.actor(torch.from_numpy(scale(obs))).detach().numpy()
    np.testing.assert_allclose(NumpyActor(model, scale, 32).mean(obs), expected, atol=1e-6)


def test_a_row_is_mapped_to_the_same_bits_whatever_the_tile_holds_besides():
    actor = NumpyActor(make_model(), make_scale(), 128)
    obs = np.random.default_rng(1).normal(2.0, 3.0, (128, OBS_DIM)).astype(np.float32)
    whole = actor.mean(obs).copy()
    for n in (1, 2, 17, 100):
        assert np.array_equal(actor.mean(obs[:n]), whole[:n])


def test_the_numpy_actor_is_frozen():
    model = make_model()
    actor = NumpyActor(model, make_scale(), 4)
    obs = np.ones((4, OBS_DIM), np.float32)
    before = actor.mean(obs).copy()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert np.array_equal(actor.mean(obs), before)


def test_actions_are_mapped_from_unit_range_and_clipped():
    scale = ActionScale.of((-2.0, 0.0), (2.0, 10.0))
    action = np.array([[0.0, 0.0], [1.0, -1.0], [3.0, -3.0], [0.5, 0.5]], np.float32)
    assert scale(action).tolist() == [[0.0, 5.0], [2.0, 0.0], [2.0, 0.0], [1.0, 7.5]]
    assert scale(action).dtype == np.float32


@pytest.mark.parametrize("bounds", [(-np.inf, np.inf), (0.0, np.inf)])
def test_actions_without_bounds_keep_their_units(bounds):
    scale = ActionScale.of((bounds[0],), (bounds[1],))
    assert scale(np.array([[3.0]], np.float32)).tolist() == [[3.0]]
