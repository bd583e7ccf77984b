"""The actor-critic network, and the frozen numpy copy of its actor that acts during a rollout.

The policy is a diagonal Gaussian whose log standard deviation does not depend on the state. It acts
in units where the action space is [-1, 1]; `ActionScale` maps to the env's own units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from websim_learner.normalizers import ObservationScale

Float32 = NDArray[np.float32]


class _VectorTanh(torch.autograd.Function):
    """tanh by numpy: on a CPU numpy's vectorised float32 tanh is 7 times faster than torch's.

    With torch's own, tanh is a third of a training step of a 64x64 network. It also makes the
    update compute the very function that the numpy actor computes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch's own signature
        y = torch.from_numpy(np.tanh(x.numpy()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Tensor:  # noqa: ANN401 - torch's own signature
        (y,) = ctx.saved_tensors
        # d tanh(x) / dx = 1 - tanh(x)^2
        return torch.ops.aten.tanh_backward(grad_outputs[0], y)  # type: ignore[no-any-return]


class Tanh(nn.Module):
    """Hyperbolic tangent, by the fastest means of the tensor's device."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply elementwise."""
        if x.device.type != "cpu":
            return torch.tanh(x)
        return _VectorTanh.apply(x)  # type: ignore[no-any-return, no-untyped-call]


def _linear(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> nn.Linear:
    layer: nn.Linear = torch.nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, inputs, outputs
    )
    nn.init.orthogonal_(layer.weight, gain, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _mlp(
    inputs: int, hidden: tuple[int, ...], outputs: int, gain: float, generator: torch.Generator
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [_linear(inputs, size, math.sqrt(2.0), generator), Tanh()]
        inputs = size
    return nn.Sequential(*layers, _linear(inputs, outputs, gain, generator))


class ActorCritic(nn.Module):
    """Separate actor and critic perceptrons with tanh, orthogonally initialised."""

    def __init__(
        self,
        obs_dim: int,
        action_dim: int,
        hidden: tuple[int, ...],
        init_log_std: float,
        generator: torch.Generator,
    ) -> None:
        """Build and initialise.

        Args:
            obs_dim: columns of an observation.
            action_dim: columns of an action.
            hidden: sizes of the hidden layers, the same for both networks.
            init_log_std: first log standard deviation, in units where actions span [-1, 1].
            generator: the source of the first weights.
        """
        super().__init__()
        # A small last layer makes the first policy act near the middle of the action space
        # whatever it sees (Andrychowicz et al. 2021, "What Matters In On-Policy RL", 3.2).
        self.actor = _mlp(obs_dim, hidden, action_dim, 0.01, generator)
        self.critic = _mlp(obs_dim, hidden, 1, 1.0, generator)
        self.log_std = nn.Parameter(torch.full((action_dim,), init_log_std))

    def value(self, obs: Tensor) -> Tensor:
        """Return the critic's value of normalised observations (n, obs_dim). Shape: (n,)."""
        out: Tensor = self.critic(obs)
        return out.squeeze(-1)

    def log_prob(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return log pi(action | obs) of unclipped actions (n, action_dim). Shape: (n,)."""
        # log N(a; mu, sigma) = -((a - mu) / sigma)^2 / 2 - log sigma - log(2 pi) / 2, summed
        z = (action - self.actor(obs)) * torch.exp(-self.log_std)
        constant = 0.5 * math.log(2.0 * math.pi) * action.shape[1]
        return -0.5 * torch.square(z).sum(dim=1) - self.log_std.sum() - constant

    def entropy(self) -> Tensor:
        """Return the policy's entropy in nats, the same in every state. Shape: ()."""
        # H = sum(log sigma + log(2 pi e) / 2)
        constant = 0.5 * math.log(2.0 * math.pi * math.e) * len(self.log_std)
        return self.log_std.sum() + constant


@dataclass(frozen=True)
class ActionScale:
    """Maps policy units, where the action space is [-1, 1], to the env's units and clips.

    A dimension without two finite bounds keeps the env's units.
    """

    low: Float32
    """Shape: (action_dim,)."""
    high: Float32
    """Shape: (action_dim,)."""
    centre: Float32
    """Shape: (action_dim,)."""
    half: Float32
    """Shape: (action_dim,)."""

    @classmethod
    def of(cls, low: Sequence[float], high: Sequence[float]) -> "ActionScale":
        """Return the scale of an action space with these bounds."""
        lows, highs = np.asarray(low, np.float64), np.asarray(high, np.float64)
        bounded = np.isfinite(lows) & np.isfinite(highs)
        bottom, top = np.where(bounded, lows, -1.0), np.where(bounded, highs, 1.0)
        centre, half = (top + bottom) / 2, (top - bottom) / 2
        as_float32 = (array.astype(np.float32) for array in (lows, highs, centre, half))
        return cls(*as_float32)

    def __call__(self, action: Float32) -> Float32:
        """Return the action to send: float32, within the action space, of action's shape."""
        scaled: Float32 = action * self.half + self.centre
        return np.clip(scaled, self.low, self.high, out=scaled)


class NumpyActor:
    """A frozen copy of the actor for rollouts: every forward has one fixed shape, the tile.

    Results of a matrix product change in their last bits with the number of rows; with one shape,
    a shard's actions depend on that shard's observations alone. At 128 rows this takes 36 us, the
    same network in torch 88 us.
    """

    def __init__(self, model: ActorCritic, scale: ObservationScale, tile: int) -> None:
        """Copy the weights.

        Args:
            model: whose actor to copy; later updates to it are not seen.
            scale: the frozen observation normalisation.
            tile: rows of every forward, at least those of the largest shard.
        """
        self.scale = scale
        self.log_std: Float32 = model.log_std.detach().cpu().numpy().copy()
        self.std: Float32 = np.exp(self.log_std)
        layers = [layer for layer in model.actor if isinstance(layer, nn.Linear)]
        self._weights = [w.weight.detach().cpu().numpy().T.copy() for w in layers]
        self._biases = [w.bias.detach().cpu().numpy().copy() for w in layers]
        self._input: Float32 = np.zeros((tile, self._weights[0].shape[0]), dtype=np.float32)
        self._outputs = [np.zeros((tile, w.shape[1]), dtype=np.float32) for w in self._weights]

    def layers(self) -> list[tuple[Float32, Float32]]:
        """Return (weight (inputs, outputs), bias (outputs,)) of each layer; tanh between them."""
        return list(zip(self._weights, self._biases, strict=True))

    def mean(self, obs: Float32) -> Float32:
        """Return the mean action in policy units.

        Args:
            obs: Shape: (n, obs_dim), n at most the tile. Not normalised.

        Returns:
            Shape: (n, action_dim), a view that the next call overwrites.
        """
        n = len(obs)
        self.scale(obs, out=self._input[:n])
        x = self._input
        for i, (weight, bias, out) in enumerate(
            zip(self._weights, self._biases, self._outputs, strict=True)
        ):
            np.matmul(x, weight, out=out)
            np.add(out, bias, out=out)
            if i < len(self._weights) - 1:
                np.tanh(out, out=out)
            x = out
        return x[:n]
