"""What a program may read: fields with their columns, the action's size, named constants."""

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from websim.programs.limits import MAX_COLUMNS

ProgramKind = Literal["reward", "terminated", "success", "fitness"]
"""The name of the program's one function, which also says what it returns."""

BOOLEAN_KINDS: frozenset[ProgramKind] = frozenset({"terminated", "success"})
"""Kinds that return bool; the others return floats."""

RESERVED_NAMES = frozenset({"np", "state", "action"})
"""Names with a fixed meaning in every program."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_plain_name(name: str) -> bool:
    """Tell whether `name` can be written in a program as a field, a constant or a variable."""
    return _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)


@dataclass(frozen=True)
class ProgramSchema:
    """The world of one task as its programs see it; N is the number of environments."""

    fields: Mapping[str, int]
    """Readable as `state.<name>`: 0 columns for shape (N,), k >= 1 for shape (N, k); float64."""
    action_dim: int
    """Columns of `action`, shape (N, action_dim), float32."""
    constants: Mapping[str, float | tuple[float, ...]] = field(default_factory=dict)
    """Free names of a task's own programs: numbers, or vectors read elementwise or as c[0]."""

    def __post_init__(self) -> None:
        for name, columns in self.fields.items():
            _require(is_plain_name(name), f"field name {name!r} is not a plain identifier")
            _require(0 <= columns <= MAX_COLUMNS, f"field {name!r} has {columns} columns")
        _require(1 <= self.action_dim <= MAX_COLUMNS, f"action_dim is {self.action_dim}")
        for name, value in self.constants.items():
            usable = is_plain_name(name) and name not in RESERVED_NAMES
            _require(usable, f"constant name {name!r} is not a free plain identifier")
            array = np.asarray(value, dtype=np.float64)
            _require(array.ndim < 2 and 1 <= array.size <= MAX_COLUMNS, f"constant {name!r} shape")
            _require(not np.isnan(array).any(), f"constant {name!r} is not a number")
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    def canonical(self) -> str:
        """Return the text that identifies this schema, whatever the order of its names."""
        fields = ",".join(f"{name}:{columns}" for name, columns in sorted(self.fields.items()))
        constants = ",".join(f"{name}={value!r}" for name, value in sorted(self.constants.items()))
        return f"fields[{fields}] action[{self.action_dim}] constants[{constants}]"


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(f"program schema: {problem}")
