"""The scatter of a table with hardly a row more than its law has parameters."""

from __future__ import annotations

from planner.laws.solver.dispersion import Dispersion

FEW_DOF = 2.0
"""Spare rows from which their scatter stands for itself."""
USUAL_SCATTER, PRIOR_ROWS = 0.03, 2.0
"""Scatter of runs about a law in ln error, and rows that it counts for where none is spare (assumption: between
what losses and what word error rates of the tables set aside in tests/benchmarks/real_tables.py show)."""


def with_usual(noise: Dispersion, dof: int) -> tuple[Dispersion, float]:
    """The noise with what runs usually scatter by beside it, and the degrees of freedom that this adds.

    One or two spare rows may fit by chance, and Student's quantile of one degree of freedom knows no scale:
    variance = (q s^2 + d v) / (q + d) with d spare rows of variance v and q = PRIOR_ROWS (1 - d / FEW_DOF) rows of
    the usual variance s^2; never below v.
    """
    prior = PRIOR_ROWS * max(1.0 - dof / FEW_DOF, 0.0)
    if prior == 0.0:
        return noise, 0.0
    usual = (prior * USUAL_SCATTER**2 + max(dof, 0) * noise.variance) / (prior + max(dof, 0))
    return noise.widened(max(usual / max(noise.variance, 1e-300), 1.0)), prior
