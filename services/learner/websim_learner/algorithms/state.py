"""Networks as plain arrays by name, for checkpoints and digests."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Arrays = dict[str, NDArray[Any]]

Part = TypeVar("Part")


def module_arrays(module: nn.Module) -> Arrays:
    """Return copies of a network's parameters by name."""
    return {name: to_array(tensor) for name, tensor in module.state_dict().items()}


def load_module(module: nn.Module, arrays: Arrays) -> None:
    """Put parameters back.

    Raises:
        ValueError: the arrays belong to another network.
    """
    try:
        module.load_state_dict({name: torch.from_numpy(a) for name, a in arrays.items()})
    except RuntimeError as error:
        raise ValueError(f"the weights belong to another network: {error}") from None


def prefixed(prefix: str, parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return arrays, or dictionaries of them, under longer names: "<prefix>.<name>"."""
    return {f"{prefix}.{name}": part for name, part in parts.items()}


def unprefixed(prefix: str, parts: Mapping[str, Part]) -> dict[str, Part]:
    """Return those whose names begin so, under the rest of their names."""
    start = f"{prefix}."
    return {name[len(start) :]: part for name, part in parts.items() if name.startswith(start)}


def to_array(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a copy of a tensor."""
    array: NDArray[Any] = tensor.detach().cpu().numpy()
    return np.array(array)
