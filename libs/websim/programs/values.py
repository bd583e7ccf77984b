"""Second layer: what is known about a value before anything runs.

A number or a vector of constants is known exactly. A column (N,) or a matrix (N, k) is known by its
columns and by a probe: an array of that shape with zero rows. Applying numpy's own functions to
probes yields numpy's own dtypes, so the checker never has to imitate its promotion rules.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kind = Literal["number", "constants", "column", "matrix"]

_DTYPES = frozenset({"bool", "int64", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class Value:
    """What the checker knows about one expression."""

    kind: Kind
    columns: int
    """Columns of a matrix, length of constants, otherwise 1."""
    probe: float | Array
    """The number or the constants themselves; zero rows of a column or matrix, with its dtype."""
    is_view: bool = False
    """True when it shares memory with an input array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype numpy gives this value."""
        return np.asarray(self.probe).dtype

    @property
    def is_bool(self) -> bool:
        """True for comparisons and what is made of them."""
        return bool(self.dtype == np.bool_)

    @property
    def shape(self) -> str:
        """The shape as people write it."""
        if self.kind == "number":
            return "a number"
        if self.kind == "constants":
            return f"a vector of {self.columns} constants"
        return "(N,)" if self.kind == "column" else f"(N, {self.columns})"


def number(value: float) -> Value:
    """Return the value of a literal or a named number."""
    return Value("number", 1, value)


def constants(values: Array) -> Value:
    """Return the value of a named vector of constants."""
    return Value("constants", len(values), values)


def rows(columns: int, dtype: npt.DTypeLike, *, is_view: bool = False) -> Value:
    """Return the value of an array over all environments; 0 columns mean shape (N,)."""
    if columns == 0:
        return Value("column", 1, np.empty(0, dtype), is_view)
    return Value("matrix", columns, np.empty((0, columns), dtype), is_view)


def broadcast(values: Sequence[Value]) -> tuple[Kind, int] | None:
    """Return kind and columns of an elementwise result, or None when the shapes do not align.

    Stricter than numpy: a column (N,) never meets a matrix or constants, because numpy would align
    environments with columns.
    """
    kinds = {value.kind for value in values} - {"number"}
    if not kinds:
        return "number", 1
    if kinds == {"column"}:
        return "column", 1
    if "column" in kinds:
        return None
    widths = {value.columns for value in values if value.kind != "number"}
    if len(widths - {1}) > 1:
        return None
    return ("matrix" if "matrix" in kinds else "constants"), max(widths)


def apply(
    function: Callable[..., Any], arguments: Sequence[object], kind: Kind, columns: int
) -> Value | str:
    """Run `function` on numbers, constants and probes; return its value or what is wrong with it.

    The arguments hold no rows, so this costs nothing whatever the number of environments.
    """
    try:
        probe = function(*arguments)
    except (ArithmeticError, TypeError, ValueError) as error:
        return str(error.args[-1]) if error.args else type(error).__name__
    dtype = np.asarray(probe).dtype
    if dtype.name not in _DTYPES:
        return f"numpy gives {dtype} here"
    return Value(kind, columns, probe)
