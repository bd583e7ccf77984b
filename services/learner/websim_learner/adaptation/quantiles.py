"""Quantiles of Student's t for whole degrees of freedom, with nothing but arithmetic and atan."""

import math


def t_quantile(probability: float, degrees: int) -> float:
    """Return the value that Student's t stays below with `probability`.

    Exact to about 1e-12: the distribution has a closed form for whole degrees of freedom, and
    bisection inverts it.

    Args:
        probability: within 0 and 1, both excluded.
        degrees: degrees of freedom, at least 1.
    """
    if not 0.0 < probability < 1.0 or degrees < 1:
        raise ValueError(f"no t quantile for probability {probability}, {degrees} degrees")
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(1.0 - probability, degrees)
    low, high = 0.0, 1.0
    while _t_distribution(high, degrees) < probability:
        high *= 2.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if _t_distribution(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return high


def _t_distribution(t: float, degrees: int) -> float:
    """Return P(T < t) for t >= 0.

    Abramowitz and Stegun (1964), 26.7.3 and 26.7.4.
    """
    theta = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = degrees % 2
    # odd:  A = 2/pi {theta + sin [cos + 2/3 cos^3 + 2/3 4/5 cos^5 ...]} up to cos^(degrees - 2)
    # even: A = sin {1 + 1/2 cos^2 + 1/2 3/4 cos^4 ...} up to cos^(degrees - 2)
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine * cosine
    within = 2.0 / math.pi * (theta + sine * total) if odd else sine * total
    return 0.5 + 0.5 * within
