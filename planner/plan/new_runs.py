"""What runs of one configuration will show on the scored test set, from the joint draws of an answer.

ln error of run r = ln error of the configuration on these utterances + training noise + its own scoring noise.
The draws of an answer are of new speech: the common level is taken off them again. All runs of a draw share the
configuration's error, so that several runs are one piece of evidence about it and not several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.laws.result import INDEPENDENT, LawFit
from planner.plan.belief import common_level
from planner.plan.cost import Draws, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRuns:
    """ln error of k runs under n joint draws, shape (n, k)."""

    logs: Floats

    def interval(self, level: float) -> tuple[float, float, float]:
        """Middle, lower and upper error of any one of the runs."""
        low, middle, high = np.exp(
            np.quantile(self.logs[:, 0], [0.5 - level / 2, 0.5, 0.5 + level / 2])
        )
        return float(middle), float(low), float(high)

    def z(self, errors: Floats) -> float:
        """Standard score of the mean ln error of the first runs, shape (j,), among its draws; 0 if these are one."""
        drawn = self.logs[:, : len(errors)].mean(axis=1)
        spread = float(drawn.std())
        return float(np.log(errors).mean() - drawn.mean()) / spread if spread > 0 else 0.0


def new_runs(fit: LawFit, draws: Draws, variance: float, n_runs: int, seed: int) -> NewRuns:
    """The runs that a candidate's draws foretell.

    Args:
        fit: the law of the answer.
        draws: of the candidate's error on new speech, shape (n,), made with `seed`.
        variance: of ln error of one run about its configuration where the law does not tell it by member
            (fits of the rule before).
        n_runs: how many.
        seed: of the answer.
    """
    n = len(draws)
    each = np.full(n, variance)
    if fit.rule != INDEPENDENT:
        omega2 = np.array([m.omega2 or 0.0 for m in fit.members])
        each = omega2[fit.draw_members(n, seed)] + float(np.median(fit.own_variance))
    noise = np.random.default_rng([seed, 2]).standard_normal((n, n_runs))
    level = np.log(draws.astype(np.float64)) - common_level(fit, n, seed)
    return NewRuns(logs=level[:, None] + np.sqrt(each)[:, None] * noise)
