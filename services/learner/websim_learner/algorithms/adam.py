"""Adam (Kingma & Ba 2015, arXiv:1412.6980): torch's fused kernel, its state as plain arrays.

`torch.optim.Adam` does the same, bit for bit; but the first optimiser that is made imports torch's
compiler, which is a quarter of what a learner needs to start.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from websim_learner.algorithms.state import Arrays, to_array

BETA_1, BETA_2 = 0.9, 0.999


@dataclass(frozen=True)
class _Moments:
    """Of one parameter; the tensors are written to."""

    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor


class Adam:
    """Moves parameters by their gradients; those that have none stay, and so do their moments."""

    def __init__(self, parameters: Iterable[nn.Parameter], eps: float) -> None:
        """Begin without moments.

        Args:
            parameters: what is moved, in the order by which `arrays` numbers them.
            eps: added to the root of the second moment.
        """
        self.rate = 0.0
        """Learning rate of the next steps."""
        self._parameters = list(parameters)
        self._eps = eps
        self._moments: dict[int, _Moments] = {}

    def zero_grad(self) -> None:
        """Forget all gradients: a parameter that gets none until the next step is left alone."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters."""
        moved = [(i, p, p.grad) for i, p in enumerate(self._parameters) if p.grad is not None]
        moments = [self._moments.get(i) or self._begin(i) for i, _, _ in moved]
        adam(
            [parameter for _, parameter, _ in moved],
            [gradient for _, _, gradient in moved],
            [each.exp_avg for each in moments],
            [each.exp_avg_sq for each in moments],
            [],
            [each.step for each in moments],
            fused=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self.rate,
            weight_decay=0.0,
            eps=self._eps,
            maximize=False,
        )

    def arrays(self) -> Arrays:
        """Return copies of the state: "<parameter's number>.<name>"."""
        return {
            f"{index}.{name}": to_array(tensor)
            for index, moments in sorted(self._moments.items())
            for name, tensor in vars(moments).items()
        }

    def load(self, arrays: Arrays) -> None:
        """Take over what `arrays` returned.

        Raises:
            ValueError: it belongs to other parameters.
        """
        loaded: dict[int, _Moments] = {}
        for index in sorted({int(key.partition(".")[0]) for key in arrays}):
            if index >= len(self._parameters):
                raise ValueError(f"the optimiser's state has a parameter {index} too many")
            loaded[index] = self._zeros(index)
            for name, tensor in vars(loaded[index]).items():
                array = arrays.get(f"{index}.{name}")
                if array is None or array.shape != tuple(tensor.shape):
                    raise ValueError(f"the optimiser's {name} of parameter {index} does not fit")
                tensor.copy_(torch.from_numpy(array))
        self._moments = loaded

    def _begin(self, index: int) -> _Moments:
        self._moments[index] = self._zeros(index)
        return self._moments[index]

    def _zeros(self, index: int) -> _Moments:
        parameter = self._parameters[index]
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        zeros = (torch.zeros_like(parameter, requires_grad=False) for _ in range(2))
        return _Moments(step, *zeros)
