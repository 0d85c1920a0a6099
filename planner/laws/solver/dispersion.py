"""Noise as a loss sees it, and the Huber threshold that the noise itself asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planner.laws.observations import Floats
from planner.laws.solver.losses import HUBER_TUNING, MAD_TO_SIGMA, Loss, robust_sigma

TUNINGS = (HUBER_TUNING, 0.7, 0.35, 0.15)
"""Thresholds tried, in robust standard deviations, widest first: from nearly normal noise to noise
whose tails are so heavy that least absolute deviations are best."""
SMALLEST_THRESHOLD = 1e-12
RESAMPLES = 100
"""Of the residuals, for the optimism of a threshold: its own error is then about a tenth of it."""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Noise as the loss sees it.

    `variance` is that of a residual at weight 1 and multiplies (J^T W J)^-1; the objective rises by
    `rise` t^2 / 2 from the estimate to the end of a profile interval; `doubt` is the relative
    standard error of the square root of the variance; one row moves the estimate by `influence` times
    rho' of its residual, in units of (J^T W J)^-1 J.
    """

    variance: float
    rise: float
    doubt: float
    influence: float

    def widened(self, ratio: float) -> Dispersion:
        """The same noise with its variance multiplied."""
        return dataclasses.replace(
            self,
            variance=self.variance * ratio,
            rise=self.rise * ratio,
            influence=self.influence * ratio**0.5,
        )


def dispersion(residual: Floats, loss: Loss, dof: int) -> Dispersion:
    """The dispersion of residuals at weight 1, shape (n,), with `dof` degrees of freedom.

    For Huber's loss the variance is E psi^2 / (E psi')^2, with E psi' from the density of the
    residuals about 0 where the threshold is below the noise (Huber 1981, 7.6; Koenker 2005, 3.4 for
    the limit of least absolute deviations).
    """
    if loss.delta is None:
        variance = float(residual @ residual / max(dof, 1))
        return Dispersion(variance, variance, float((2.0 * max(dof, 1)) ** -0.5), 1.0)
    parts = _robust(residual[None], np.array([loss.delta]), dof)
    psi_square, psi_slope, correction, doubt = (float(part[0]) for part in parts)
    raised = 1.0 + loss.doubt
    influence = correction * raised / psi_slope
    rise = psi_square / psi_slope * correction * raised**2
    return Dispersion(psi_square * influence**2, rise, doubt, influence)


def _robust(residual: Floats, delta: Floats, dof: int) -> tuple[Floats, Floats, Floats, Floats]:
    """E psi^2, E psi', Huber's correction and the doubt of b samples (b, n) at b thresholds (b,)."""
    n, dof = residual.shape[1], max(dof, 1)
    size = np.abs(residual)
    spread = MAD_TO_SIGMA * np.median(size, axis=1)
    width = np.maximum(delta, 0.9 * spread * n**-0.2)
    inside = np.maximum((size <= width[:, None]).mean(1), 1.0 / n)
    psi_slope = inside * np.minimum(delta / np.maximum(width, 1e-300), 1.0)
    psi_square = (np.minimum(size, delta[:, None]) ** 2).mean(1) * n / dof
    # Huber's correction for fitted parameters: few rows inside the threshold carry all of them.
    correction = 1.0 + (n - dof) / n * (1.0 - inside) / inside
    return psi_square, psi_slope, correction, np.sqrt((1.0 - inside) / (inside * n))


def _scatter(residual: Floats, delta: Floats, dof: int) -> tuple[Floats, Floats]:
    """Standard deviations of b samples at b thresholds, and the doubt of each."""
    psi_square, psi_slope, correction, doubt = _robust(residual, delta, dof)
    return np.sqrt(psi_square) / psi_slope * correction, doubt


def optimism(residual: Floats, dof: int) -> tuple[float, float]:
    """How far the scatter at a tuned threshold can be trusted (Efron 1983).

    The threshold is tied to the sample's own spread and chosen for its small scatter. In resamples the
    same choice is made, and the scatter that it finds is compared with that of the residuals themselves
    at the threshold it took. The resamples are the same for every call.

    Args:
        residual: at weight 1, shape (n,).
        dof: degrees of freedom of the law.

    Returns:
        By how much the scatter is too small, relative, and the degrees of freedom with which it is known:
        1 / 2 c^2 for a coefficient of variation c, as for a normal sample's (Satterthwaite 1946).
    """
    n = len(residual)
    drawn = residual[np.random.default_rng(0).integers(0, n, (RESAMPLES, n))]
    spread = MAD_TO_SIGMA * np.median(np.abs(drawn), axis=1) * np.sqrt(n / max(dof, 1))
    delta = np.maximum(TUNINGS[0] * spread, SMALLEST_THRESHOLD)
    lowest, _ = _scatter(drawn, delta, dof)
    for tuning in TUNINGS[1:]:
        other = np.maximum(tuning * spread, SMALLEST_THRESHOLD)
        found, doubt = _scatter(drawn, other, dof)
        better = found * (1.0 + doubt) < lowest
        delta, lowest = np.where(better, other, delta), np.where(better, found, lowest)
    honest, _ = _scatter(np.broadcast_to(residual, drawn.shape), delta, dof)
    if lowest.min() <= 0.0 or honest.min() <= 0.0:
        return 0.0, float(dof)
    excess = max(float(np.exp(np.log(honest / lowest).mean())) - 1.0, 0.0)
    variation = float(np.log(lowest).std())
    return excess, min(0.5 / max(variation, 1e-3) ** 2, float(dof))


def tuned_threshold(
    refit: Callable[[Loss, Floats], tuple[Floats, Floats]],
    theta: Floats,
    residual: Floats,
    dof: int,
) -> Loss:
    """Huber's loss with the threshold of the smallest estimated variance (Wang et al. 2007).

    The threshold starts at 1.345 robust standard deviations, which loses 5 % on normal noise, and is
    lowered only where that gains more than the estimate of the variance is unsure. The loss carries the
    `optimism` of that choice, by which the scatter is raised, and its degrees of freedom.

    Args:
        refit: takes a loss and a start, gives working parameters and residuals at weight 1.
        theta: the least-squares estimate.
        residual: its residuals.
        dof: degrees of freedom.
    """
    small_sample = float(np.sqrt(len(residual) / max(dof, 1)))
    sigma = robust_sigma(residual) * small_sample
    for _ in range(3):
        wide = Loss(delta=max(HUBER_TUNING * sigma, SMALLEST_THRESHOLD))
        theta, residual = refit(wide, theta)
        sigma = robust_sigma(residual) * small_sample
    best = Loss(delta=max(HUBER_TUNING * sigma, SMALLEST_THRESHOLD))
    lowest, final = dispersion(residual, best, dof), residual
    for tuning in TUNINGS[1:]:
        loss = Loss(delta=max(tuning * sigma, SMALLEST_THRESHOLD))
        theta, residual = refit(loss, theta)
        found = dispersion(residual, loss, dof)
        if found.variance**0.5 * (1.0 + found.doubt) < lowest.variance**0.5:
            best, lowest, final = loss, found, residual
    excess, known = optimism(final, dof)
    return dataclasses.replace(best, doubt=excess, dof=max(known, 1.0))
