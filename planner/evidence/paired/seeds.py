"""The paired difference of a configuration that was run with several seeds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from planner.evidence.paired.difference import Difference
from planner.words.student import t_cdf, t_quantile


def of_seeds(each: Sequence[Difference]) -> Difference:
    """The difference of a configuration from those of its seeds, D = mean of d_i over k seeds.

    All were scored on one set, whose noise does not average out over seeds, and seeds differ:

        se^2 = mean of se_i^2 + var(d_i) / k,

    on the fewest degrees of freedom of any, and on k - 1 where seeds lie further apart than the set's noise.
    One seed is its own difference.

    Args:
        each: the seeds' differences from one run, at one level, at least one.
    """
    if len(each) == 1:
        return each[0]
    values = np.array([d.difference for d in each])
    errors = np.array([d.std_error or 0.0 for d in each])
    dof = min(d.dof for d in each)
    dof = min(dof, len(each) - 1.0) if values.std() > errors.mean() else dof
    error = math.sqrt(float(np.mean(errors**2) + values.var(ddof=1) / len(each)))
    middle = float(values.mean())
    # Seeds that never differ from the run have no spread to read: their own intervals stand.
    unseen = max(d.high - d.difference for d in each) if error == 0 else 0.0
    half = max(t_quantile(0.5 + each[0].level / 2, dof) * error, unseen)
    p = min(2 * t_cdf(-abs(middle) / error, dof), 1.0) if error and middle else 1.0
    return dataclasses.replace(
        each[0], difference=middle, std_error=error, low=middle - half, high=middle + half, p=p,
        dof=dof,
    )  # fmt: skip
