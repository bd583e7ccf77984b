"""Our Adam is torch's, bit for bit, without what torch's class imports."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from websim_learner.algorithms.adam import Adam

RATE, EPS = 1e-2, 1e-5


@pytest.fixture
def make_net():
    def make():
        generator = torch.Generator().manual_seed(3)
        net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
        for parameter in net.parameters():
            parameter.data.normal_(generator=generator)
        return net

    return make


def ours(net):
    optimizer = Adam(net.parameters(), EPS)
    optimizer.rate = RATE
    return optimizer


def theirs(net):
    return torch.optim.Adam(net.parameters(), RATE, eps=EPS, fused=True)


def learn(net, optimizer, steps, *, first=0):
    """Every third step reaches the last layer alone."""
    for n in range(first, first + steps):
        x = torch.from_numpy(np.random.default_rng(n).normal(size=(7, 3)).astype(np.float32))
        hidden = net[1](net[0](x))
        optimizer.zero_grad()
        net[2](hidden.detach() if n % 3 == 0 else hidden).square().mean().backward()
        optimizer.step()


def bits(net):
    return [parameter.detach().numpy().tobytes() for parameter in net.parameters()]


def test_steps_have_the_bits_of_torchs_class(make_net):
    one, other = make_net(), make_net()
    optimizer, reference = ours(one), theirs(other)
    learn(one, optimizer, 50)
    learn(other, reference, 50)
    assert bits(one) == bits(other)
    kept = {
        f"{index}.{name}": value.numpy()
        for index, values in reference.state_dict()["state"].items()
        for name, value in values.items()
    }
    assert optimizer.arrays().keys() == kept.keys()
    assert all(np.array_equal(array, kept[name]) for name, array in optimizer.arrays().items())


def test_a_loaded_state_goes_on_bit_for_bit(make_net):
    one, other = make_net(), make_net()
    first = ours(one)
    learn(one, first, 10)
    other.load_state_dict(one.state_dict())
    second = ours(other)
    second.load(first.arrays())
    learn(one, first, 10, first=10)
    learn(other, second, 10, first=10)
    assert bits(one) == bits(other)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda arrays: arrays.update({"9.step": np.zeros((), np.float32)}), "parameter 9"),
        (lambda arrays: arrays.pop("2.exp_avg"), "exp_avg of parameter 2"),
        (lambda arrays: arrays.update({"1.exp_avg_sq": np.zeros(4)}), "exp_avg_sq of parameter 1"),
    ],
)
def test_a_state_of_other_parameters_is_refused(make_net, change, says):
    net = make_net()
    optimizer = ours(net)
    learn(net, optimizer, 2)
    arrays = optimizer.arrays()
    change(arrays)
    with pytest.raises(ValueError, match=says):
        ours(net).load(arrays)


LEARNS = """
import sys
import torch
from websim_learner.algorithms.ppo import PPO
from websim_learner.defaults import PPOSettings
ppo = PPO(PPOSettings(), 3, 1, 4, 0)
ppo.model.value(torch.zeros(2, 3)).mean().backward()
torch.nn.utils.clip_grad_norm_(ppo.model.parameters(), 0.5)
ppo.optimizer.step()
print("torch._dynamo" in sys.modules)
"""


def test_a_learner_imports_no_compiler():
    done = subprocess.run(
        [sys.executable, "-c", LEARNS], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
