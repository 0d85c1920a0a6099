"""Noise as a loss sees it, and the Huber threshold that the noise itself asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.laws.losses import HUBER_TUNING, Loss, robust_sigma
from planner.laws.observations import Floats

TUNINGS = (HUBER_TUNING, 0.7, 0.35, 0.15)
"""Thresholds tried, in robust standard deviations, widest first: from nearly normal noise to noise
whose tails are so heavy that least absolute deviations are best."""
SMALLEST_THRESHOLD = 1e-12


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Noise as the loss sees it.

    `variance` is that of a residual at weight 1 and multiplies (J^T W J)^-1; the objective rises by
    `rise` t^2 / 2 from the estimate to the end of a profile interval; `doubt` is the relative
    standard error of the square root of the variance.
    """

    variance: float
    rise: float
    doubt: float


def dispersion(residual: Floats, loss: Loss, dof: int) -> Dispersion:
    """The dispersion of residuals at weight 1, shape (n,), with `dof` degrees of freedom.

    For Huber's loss the variance is E psi^2 / (E psi')^2, with E psi' from the density of the
    residuals about 0 where the threshold is below the noise (Huber 1981, 7.6; Koenker 2005, 3.4 for
    the limit of least absolute deviations).
    """
    n, dof = len(residual), max(dof, 1)
    if loss.delta is None:
        variance = float(residual @ residual / dof)
        return Dispersion(variance, variance, float((2.0 * dof) ** -0.5))
    width = max(loss.delta, 0.9 * robust_sigma(residual) * n**-0.2)
    inside = max(float((np.abs(residual) <= width).mean()), 1.0 / n)
    psi_slope = inside * min(loss.delta / width, 1.0)
    psi_square = float((np.clip(residual, -loss.delta, loss.delta) ** 2).mean()) * n / dof
    doubt = float(np.sqrt((1.0 - inside) / (inside * n)))
    # Huber's correction for fitted parameters: few rows inside the threshold carry all of them.
    correction = 1.0 + (n - dof) / n * (1.0 - inside) / inside
    variance = psi_square / psi_slope**2 * correction**2
    return Dispersion(variance, psi_square / psi_slope * correction, doubt)


def tuned_threshold(
    refit: Callable[[Loss, Floats], tuple[Floats, Floats]],
    theta: Floats,
    residual: Floats,
    dof: int,
) -> Loss:
    """Huber's loss with the threshold of the smallest estimated variance (Wang et al. 2007).

    The threshold starts at 1.345 robust standard deviations, which loses 5 % on normal noise, and is
    lowered only where that gains more than the estimate of the variance is unsure.

    Args:
        refit: takes a loss and a start, gives working parameters and residuals at weight 1.
        theta: the least-squares estimate.
        residual: its residuals.
        dof: degrees of freedom.
    """
    small_sample = np.sqrt(len(residual) / max(dof, 1))
    sigma = robust_sigma(residual) * small_sample
    for _ in range(3):
        wide = Loss(delta=max(HUBER_TUNING * sigma, SMALLEST_THRESHOLD))
        theta, residual = refit(wide, theta)
        sigma = robust_sigma(residual) * small_sample
    best = Loss(delta=max(HUBER_TUNING * sigma, SMALLEST_THRESHOLD))
    lowest = dispersion(residual, best, dof)
    for tuning in TUNINGS[1:]:
        loss = Loss(delta=max(tuning * sigma, SMALLEST_THRESHOLD))
        theta, residual = refit(loss, theta)
        found = dispersion(residual, loss, dof)
        if found.variance**0.5 * (1.0 + found.doubt) < lowest.variance**0.5:
            best, lowest = loss, found
    return best
