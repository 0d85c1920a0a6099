"""Draws of a law's working parameters, floors in their own unit.

A floor is estimated as ln E, and where the data reach down to it hardly at all its logarithm may be anything: a
normal deviate of ln E then lifts the floor over the errors that were measured as often as it lets it vanish. In E
itself the estimate is nearly normal, cut at 0:

    E* = E (1 + delta),   theta*_o = theta_o + delta_o,

with delta a multivariate t with the covariance and degrees of freedom of the fit. Where E* is below 0 the refit would
end at E = 0 and the others move with it, by their regression on delta (the constrained estimate of a quadratic
objective; Self and Liang 1987).
"""

from __future__ import annotations

import numpy as np

from planner.laws.forms.base import Form
from planner.laws.observations import Floats
from planner.laws.result import root_of

LEAST_SHARE = 1e-12
"""Of a floor's standard error, or of the floor, what stands for a floor of 0."""


def theta_draws(
    form: Form, theta: Floats, covariance: Floats, dof: float, n: int, rng: np.random.Generator
) -> Floats:
    """Draws of the working parameters, shape (n, p).

    Args:
        form: whose parameters they are.
        theta: the estimate, shape (p,).
        covariance: of theta, shape (p, p); that of ln E may be without measure where E is nearly 0.
        dof: degrees of freedom.
        n: how many.
        rng: of the draws.
    """
    normal = rng.standard_normal((n, form.n_parameters))
    stretch = np.sqrt(dof / rng.chisquare(dof, n))[:, None]
    delta = normal * stretch @ root_of(covariance).T
    drawn = theta + delta
    for i in form.indices("floor"):
        spread = float(covariance[i, i])
        if spread <= 0.0:
            continue
        below = np.minimum(1.0 + delta[:, i], 0.0)
        drawn -= below[:, None] * covariance[i] / spread
        least = LEAST_SHARE * max(1.0, spread**0.5)
        drawn[:, i] = theta[i] + np.log(np.maximum(1.0 + delta[:, i], least))
    return drawn
