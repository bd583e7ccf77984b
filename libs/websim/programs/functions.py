"""The closed list of numpy functions, each with its arity, its rule and its weight.

The weight is the measured time of one column at 1024 rows in units of about half a microsecond,
taken on the slower paths (negative bases, no AVX-512), so that the static bound holds anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from websim.programs.values import Array

Rule = Literal["elementwise", "row", "rowdot", "like", "power"]
Booleans = Literal["refused", "required", "accepted"]


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the language, written as np.<name>."""

    name: str
    implementation: Callable[..., Any]
    """What runs; reductions get the axis as second argument."""
    arity: int
    rule: Rule
    weight: int
    """Cost units per column."""
    booleans: Booleans = "refused"
    """Whether its arguments may be comparisons."""

    def __str__(self) -> str:
        """Return the name as it is written."""
        return f"np.{self.name}"

    @property
    def takes_axis_by_position(self) -> bool:
        """True when numpy's second positional argument is the axis."""
        return self.rule == "row" and self.name != "linalg.norm"

    @property
    def usage(self) -> str:
        """How it is called."""
        arguments = ["c", "x", "y"] if self.name == "where" else ["x", "y", "z"]
        if self.name == "clip":
            arguments = ["x", "low", "high"]
        if self.rule == "power":
            arguments = ["x", "3.0"]
        if self.name == "full_like":
            arguments = ["x", "1.0"]
        axis = ["axis=1"] if self.rule == "row" else []
        return f"{self}({', '.join([*arguments[: self.arity], *axis])})"


def row_norm(x: Array, axis: int) -> Array:
    """Return the Euclidean norm of each row of x (N, k), with the bits of one taken per env.

    np.linalg.norm(x, axis=1) rounds differently in a tenth of all rows.
    """
    del axis  # np.vecdot takes the last one, and x has two
    norm: Array = np.sqrt(np.vecdot(x, x))
    return norm


def _elementwise(weight: int, arity: int, names: str) -> list[Function]:
    return [
        Function(name, getattr(np, name), arity, "elementwise", weight) for name in names.split()
    ]


_FUNCTIONS = [
    *_elementwise(1, 1, "abs absolute square floor ceil isfinite isnan isinf"),
    *_elementwise(2, 1, "negative sign reciprocal"),
    *_elementwise(3, 1, "sqrt"),
    *_elementwise(20, 1, "exp exp2 expm1 log log2 log10 log1p tanh sinh cosh arctan"),
    *_elementwise(30, 1, "arcsin arccos"),
    *_elementwise(40, 1, "sin cos tan"),
    *_elementwise(1, 2, "add subtract multiply"),
    *_elementwise(2, 2, "minimum maximum divide"),
    *_elementwise(20, 2, "hypot mod remainder"),
    *_elementwise(40, 2, "arctan2"),
    *_elementwise(4, 3, "clip"),
    Function("where", np.where, 3, "elementwise", 3, "accepted"),
    *(
        Function(name, getattr(np, name), arity, "elementwise", 1, "required")
        for name, arity in [
            ("logical_and", 2),
            ("logical_or", 2),
            ("logical_xor", 2),
            ("logical_not", 1),
        ]
    ),
    # np.sum(x, axis=1) is np.add.reduce(x, 1) behind two Python calls; the bits are the same.
    Function("sum", np.add.reduce, 1, "row", 3, "accepted"),
    Function("mean", np.mean, 1, "row", 3, "accepted"),
    Function("max", np.maximum.reduce, 1, "row", 5),
    Function("amax", np.maximum.reduce, 1, "row", 5),
    Function("min", np.minimum.reduce, 1, "row", 5),
    Function("amin", np.minimum.reduce, 1, "row", 5),
    Function("prod", np.multiply.reduce, 1, "row", 4),
    Function("std", np.std, 1, "row", 10),
    Function("var", np.var, 1, "row", 10),
    Function("any", np.logical_or.reduce, 1, "row", 2, "required"),
    Function("all", np.logical_and.reduce, 1, "row", 2, "required"),
    Function("linalg.norm", row_norm, 1, "row", 3),
    Function("vecdot", np.vecdot, 2, "rowdot", 2),
    Function("power", np.power, 2, "power", 120),
    Function("float_power", np.float_power, 2, "power", 40),
    Function("zeros_like", np.zeros_like, 1, "like", 1),
    Function("ones_like", np.ones_like, 1, "like", 1),
    Function("full_like", np.full_like, 2, "like", 1),
]

FUNCTIONS: dict[str, Function] = {function.name: function for function in _FUNCTIONS}
"""Every function a program may call, by the name after `np.`."""

REMEDIES: dict[str, str] = {
    **dict.fromkeys(
        ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"),
        "write the comparison itself, as in x > y",
    ),
    **dict.fromkeys(
        ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "invert"),
        "combine comparisons with & | ^ and ~",
    ),
    **dict.fromkeys(
        ("expand_dims", "reshape", "squeeze", "ravel", "transpose", "atleast_2d"),
        "select columns, as in x[:, 2:5] and x[:, 0]",
    ),
    **dict.fromkeys(
        ("nansum", "nanmean", "nanmax", "nanmin"),
        "fields are numbers; reduce them as in np.sum(x, axis=1)",
    ),
    "isclose": "np.abs(x - y) < 0.01 compares with a tolerance",
    "fmax": "np.maximum(x, y) is the larger of two",
    "fmin": "np.minimum(x, y) is the smaller of two",
    "maximum.reduce": "nest np.maximum(x, y), or np.max(x, axis=1) of a matrix",
    "minimum.reduce": "nest np.minimum(x, y), or np.min(x, axis=1) of a matrix",
    "logical_and.reduce": "combine comparisons with &, or np.all(x, axis=1) of a matrix",
    "logical_or.reduce": "combine comparisons with |, or np.any(x, axis=1) of a matrix",
    "cross": "multiply columns, as in x[:, 0] * y[:, 1] - x[:, 1] * y[:, 0]",
    "interp": "np.clip(a * x + b, low, high) is a ramp",
    "ptp": "np.max(x, axis=1) - np.min(x, axis=1) is the range of each row",
    "count_nonzero": "np.sum(x > 0.0, axis=1) counts",
    "average": "np.mean(x, axis=1) averages each row",
    "true_divide": "write x / y",
    "floor_divide": "np.floor(x / y) rounds down",
    "sigmoid": "1.0 / (1.0 + np.exp(-x)) is the logistic function",
    "dot": "np.vecdot(x, y) multiplies row by row",
    "matmul": "np.vecdot(x, y) multiplies row by row",
    "inner": "np.vecdot(x, y) multiplies row by row",
    "outer": "np.vecdot(x, y) multiplies row by row",
    "einsum": "np.vecdot(x, y) or np.sum(x * y, axis=1) multiplies row by row",
    "zeros": "np.zeros_like(x) of a column makes zeros",
    "ones": "np.ones_like(x) of a column makes ones",
    "full": "np.full_like(x, value) of a column makes a constant column",
    "array": "write numbers directly, or combine columns one by one",
    "stack": "combine the columns one by one, as in np.hypot(x, y)",
    "column_stack": "combine the columns one by one, as in np.hypot(x, y)",
    "concatenate": "reduce each part on its own, then combine the columns",
    "select": "nest np.where(condition, a, b)",
    "piecewise": "nest np.where(condition, a, b)",
    "heaviside": "np.where(x > 0.0, 1.0, 0.0) is a step",
    "sort": "np.max(x, axis=1) and np.min(x, axis=1) give the extremes of each row",
    "median": "np.mean(x, axis=1) averages each row",
    "cumsum": "a program sees one step; state.previous_obs is the step before",
    "diff": "subtract columns, as in x[:, 1:] - x[:, :-1]",
    "roll": "environments are never mixed; state.previous_obs is the step before",
    "gradient": "a program sees one step; state.previous_obs is the step before",
    "argmax": "np.max(x, axis=1) gives the largest value of each row",
    "argmin": "np.min(x, axis=1) gives the smallest value of each row",
    "round": "np.floor(x + 0.5) rounds",
    "fabs": "np.abs(x) gives magnitudes",
    "nan_to_num": "np.where(np.isfinite(x), x, 0.0) replaces what is not finite",
    "cbrt": "np.sign(x) * np.power(np.abs(x), 0.333) is close",
    "random": "programs are deterministic; there is no randomness",
    "asarray": "numbers need no conversion",
    "float32": "numbers need no conversion",
    "float64": "numbers need no conversion",
    "append": "combine the columns one by one, as in np.hypot(x, y)",
    "deg2rad": "multiply by np.pi / 180.0",
    "radians": "multiply by np.pi / 180.0",
}
"""What to write instead of well-known numpy names that are not in the language."""

VALUE_REMEDIES: dict[str, str] = {
    "inf": "np.minimum(x, high) and np.maximum(x, low) bound one side",
    "nan": "results must be finite",
    "newaxis": "x[:, 0:1] is a matrix of one column",
    "e": "np.exp(1.0) is the number e",
    "tau": "2.0 * np.pi is a full turn",
    "float32": "numbers need no conversion",
    "float64": "numbers need no conversion",
}
"""What to write instead of numpy's constants and types."""

BARE_REMEDIES: dict[str, str] = {
    "max": "np.maximum(x, y) of two, np.max(x, axis=1) of the columns",
    "min": "np.minimum(x, y) of two, np.min(x, axis=1) of the columns",
    "sum": "np.sum(x, axis=1) of the columns",
    "pow": "write x ** 2",
    "round": "np.floor(x + 0.5) rounds",
    "float": "numbers need no conversion",
    "int": "np.floor(x) rounds down",
    "bool": "compare, as in x > 0.0",
    "len": "the number of environments is never needed; np.ones_like(x) fits any",
    "print": "remove it",
    "range": "numpy acts on all environments at once",
}
"""What to write instead of Python's own functions."""

METHOD_REMEDIES: dict[str, str] = {
    "shape": "np.ones_like(x) fits any number of environments; write a number of columns out",
    "size": "the number of environments is never needed; np.ones_like(x) fits any",
    "pi": "write np.pi",
    "T": "np.vecdot(x, y) multiplies row by row",
    "dot": "np.vecdot(x, y) multiplies row by row",
    "copy": "inputs are never written to; use them as they are",
    "astype": "numbers need no conversion",
    "reshape": "select columns, as in x[:, 2:5]",
    "flatten": "select columns, as in x[:, 2:5]",
    "squeeze": "select one column, as in x[:, 0]",
}
"""What to write instead of methods and attributes of arrays."""
