"""Student's t distribution by continued fractions: planning needs no scipy at query time."""

from __future__ import annotations

import functools
import math


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Lentz's continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + numerator / c
            c = c if abs(c) > tiny else tiny
            fraction *= d * c
        if abs(d * c - 1.0) < 1e-15:
            break
    return fraction


def regularised_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), the regularised incomplete beta function, for 0 <= x <= 1."""
    if x <= 0.0 or x >= 1.0:
        return float(x > 0.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, 1.0 - x) / b


def t_cdf(value: float, dof: float) -> float:
    """P(T <= value) for T with `dof` degrees of freedom."""
    if math.isinf(dof):
        return 0.5 * math.erfc(-value / math.sqrt(2.0))
    square = value * value
    if square < dof:
        # Near 0 the tail is 1/2 minus little: count from the middle, which keeps the digits.
        half = 0.5 * regularised_beta(0.5, 0.5 * dof, square / (dof + square))
        return 0.5 + math.copysign(half, value)
    tail = 0.5 * regularised_beta(0.5 * dof, 0.5, dof / (dof + square))
    return 1.0 - tail if value > 0 else tail


@functools.lru_cache(maxsize=1024)
def t_quantile(probability: float, dof: float) -> float:
    """The value that T stays below with that probability.

    >>> round(t_quantile(0.95, 5.0), 6)
    2.015048
    """
    if probability < 0.5:
        return -t_quantile(1.0 - probability, dof)
    low, high = 0.0, 1.0
    while t_cdf(high, dof) < probability:
        low, high = high, 2.0 * high
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if t_cdf(middle, dof) < probability else (low, middle)
    return 0.5 * (low + high)
