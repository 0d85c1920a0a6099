"""Where two groups' curves cross along one axis, with draws of both laws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.laws.compare.records import Asked, Crossing
from planner.laws.observations import Floats, Observations
from planner.laws.one_form import Fitted
from planner.laws.solver.bounds import bounds_of
from planner.laws.uncertainty.theta_draws import theta_draws

N_POINTS = 201
N_DRAWS = 1000


def crossing_of(fits: Mapping[str, Fitted], observations: Observations, asked: Asked) -> Crossing:
    """The first crossing from below, of the estimates and of draws from both laws.

    Args:
        fits: of the two groups.
        observations: all rows: ends of the search, and the middle of the axes that are not held.
        asked: the axis, the others' values, and by how much the search leaves the data.
    """
    (first, a), (second, b) = fits.items()
    along = asked.along or observations.axes[0]
    low, high = observations.undropped().domain(along)
    logs = np.linspace(np.log(low / asked.beyond), np.log(high * asked.beyond), N_POINTS)
    at = {
        axis: asked.held.get(axis, float(np.exp(np.log(observations.x[:, i]).mean())))
        for i, axis in enumerate(observations.axes)
        if axis != along
    }
    rng = np.random.default_rng(asked.seed)
    gap = _curve(a, along, logs, at, None) - _curve(b, along, logs, at, None)
    drawn = _curve(a, along, logs, at, rng) - _curve(b, along, logs, at, rng)
    place, places = _first_zero(gap, logs)[0], _first_zero(drawn, logs)
    crossed = np.isfinite(places)
    ends = _ends(places, drawn, asked.level)
    return Crossing(
        axis=along,
        held=tuple(at.items()),
        value=float(np.exp(place)) if np.isfinite(place) else None,
        n=int((np.signbit(gap[0, :-1]) != np.signbit(gap[0, 1:])).sum()),
        low=ends[0],
        high=ends[1],
        probability=float(crossed.mean()),
        below=first if gap[0, 0] < 0 else second,
        above=first if gap[0, -1] < 0 else second,
        search=(float(np.exp(logs[0])), float(np.exp(logs[-1]))),
    )


def _curve(
    fit: Fitted, along: str, logs: Floats, at: Mapping[str, float], rng: np.random.Generator | None
) -> Floats:
    """Ln of the law along the axis: of the estimate (1, m), or of draws (N_DRAWS, m)."""
    form = fit.form
    z = np.stack(
        [logs if axis == along else np.full(len(logs), np.log(at[axis])) for axis in form.axes],
        axis=1,
    ) - np.log(fit.scales)
    theta = fit.estimate.theta[None]
    if rng is not None:
        theta = theta_draws(form, theta[0], fit.covariance, fit.dof, N_DRAWS, rng)
        theta = np.clip(theta, *bounds_of(form, fit.rows.z, fit.rows.y))
    return form.at(z).log_mean(theta)


def _first_zero(gap: Floats, logs: Floats) -> Floats:
    """Ln x of the first change of sign of each row, (b,); NaN where there is none."""
    turned = np.signbit(gap[:, :-1]) != np.signbit(gap[:, 1:])
    i = turned.argmax(axis=1)
    rows = np.arange(len(gap))
    left, right = gap[rows, i], gap[rows, i + 1]
    share = left / np.where(left == right, 1.0, left - right)
    return np.where(turned.any(axis=1), logs[i] + share * (logs[i + 1] - logs[i]), np.nan)


def _ends(places: Floats, gap: Floats, level: float) -> tuple[float | None, float | None]:
    """Quantiles of the crossings; a draw without one lies beyond the end where its curves are closer."""
    closer_below = np.abs(gap[:, 0]) < np.abs(gap[:, -1])
    outside = np.where(closer_below, -np.inf, np.inf)
    told = np.where(np.isfinite(places), places, outside)
    tail = 0.5 * (1.0 - level)
    ends = np.quantile(told, [tail, 1.0 - tail], method="nearest")
    low, high = (float(np.exp(e)) if np.isfinite(e) else None for e in ends)
    return low, high
