"""Arithmetic of bounds: the smallest and the largest value of what has numbers between others.

What is above zero stays above it, however small: rounding to zero is not what these are for.
"""

import math
from collections.abc import Callable

Bounds = tuple[float, float]
"""Smallest and largest value; a number is in between, or NaN."""

UNKNOWN: Bounds = (-math.inf, math.inf)
NOT_NEGATIVE: Bounds = (0.0, math.inf)
_TINY = math.ulp(0.0)

RISING: dict[str, tuple[Callable[[float], float], Bounds]] = {
    "sqrt": (math.sqrt, NOT_NEGATIVE),
    "exp": (math.exp, (_TINY, math.inf)),
    "exp2": (math.exp2, (_TINY, math.inf)),
    "expm1": (math.expm1, (-1.0, math.inf)),
    "log": (math.log, UNKNOWN),
    "log2": (math.log2, UNKNOWN),
    "log10": (math.log10, UNKNOWN),
    "log1p": (math.log1p, UNKNOWN),
    "tanh": (math.tanh, (-1.0, 1.0)),
    "sinh": (math.sinh, UNKNOWN),
    "arctan": (math.atan, (-math.pi / 2.0, math.pi / 2.0)),
    "arcsin": (math.asin, (-math.pi / 2.0, math.pi / 2.0)),
    "floor": (math.floor, UNKNOWN),
    "ceil": (math.ceil, UNKNOWN),
}
"""Functions that grow with their argument, and what all their values are between."""


def rising(name: str, x: Bounds) -> Bounds:
    """Return the bounds of a function of RISING."""
    function, (least_value, greatest_value) = RISING[name]
    low = _value(function, x[0], least_value)
    return max(low, least_value), min(_value(function, x[1], greatest_value), greatest_value)


def negative(x: Bounds) -> Bounds:
    """Return the bounds of -x."""
    return -x[1], -x[0]


def plus(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of x + y."""
    return x[0] + y[0], x[1] + y[1]


def times(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of x * y."""
    # 0 times an unbounded number is 0 here: a bound is a number.
    corners = [a * b if a and b else 0.0 for a in x for b in y]
    return _signed(min(corners), max(corners), _sign(x) * _sign(y))


def divided(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of x / y."""
    if not _sign(y):
        return UNKNOWN
    corners = [0.0 if math.isinf(b) else a / b for a in x for b in y]
    return _signed(min(corners), max(corners), _sign(x) * _sign(y))


def modulo(divisor: Bounds) -> Bounds:
    """Return the bounds of x % divisor: between zero and the divisor, on its side."""
    return min(divisor[0], 0.0), max(divisor[1], 0.0)


def power(x: Bounds, exponent: float) -> Bounds:
    """Return the bounds of x ** exponent."""
    if exponent < 0.0:
        return divided((1.0, 1.0), power(x, -exponent))
    if exponent % 2.0 == 0.0:
        low, high = magnitude(x)
    elif exponent % 1.0:
        # The power of a negative number is NaN.
        low, high = max(x[0], 0.0), max(x[1], 0.0)
    else:
        low, high = x
    sign = 1 if low > 0.0 else 0
    return _signed(_power(low, exponent), _power(high, exponent), sign)


def magnitude(x: Bounds) -> Bounds:
    """Return the bounds of |x|."""
    low, high = x
    return max(low, -high, 0.0), max(-low, high)


def total(x: Bounds) -> Bounds:
    """Return the bounds of the sum of one or more x."""
    low, high = x
    return low if low >= 0.0 else -math.inf, high if high <= 0.0 else math.inf


def product(x: Bounds) -> Bounds:
    """Return the bounds of the product of one or more x."""
    low, high = x
    if low > 0.0:
        return min(low, 1.0) if low >= 1.0 else _TINY, high if high <= 1.0 else math.inf
    if low >= 0.0:
        return 0.0, high if high <= 1.0 else math.inf
    return (-1.0, 1.0) if magnitude(x)[1] <= 1.0 else UNKNOWN


def least(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of the smaller of x and y."""
    return min(x[0], y[0]), min(x[1], y[1])


def greatest(x: Bounds, y: Bounds) -> Bounds:
    """Return the bounds of the larger of x and y."""
    return max(x[0], y[0]), max(x[1], y[1])


def _sign(x: Bounds) -> int:
    """Return 1 or -1 when all numbers in x have that sign, and 0 when zero may be among them."""
    return 1 if x[0] > 0.0 else -1 if x[1] < 0.0 else 0


def _signed(low: float, high: float, sign: int) -> Bounds:
    """Keep bounds of what has a sign off zero."""
    return (max(low, _TINY) if sign > 0 else low), (min(high, -_TINY) if sign < 0 else high)


def _value(function: Callable[[float], float], x: float, outside: float) -> float:
    """Return function(x): infinite beyond all numbers, `outside` where it has no value."""
    try:
        return float(function(x))
    except OverflowError:
        return math.copysign(math.inf, x)
    except ValueError:
        return outside


def _power(x: float, exponent: float) -> float:
    try:
        return float(x**exponent)
    except OverflowError:
        return math.copysign(math.inf, x)
