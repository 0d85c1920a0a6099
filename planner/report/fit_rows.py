"""What a fitted law looks like beside its runs: rows for charts and tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planner.evidence.fit_report import FitReport


def fit_rows(report: FitReport, level: float = 0.9) -> list[dict[str, Any]]:
    """Each run with what the law says of it and how far off it is.

    `low` and `high` are the interval of a new run at that place; `residual` is ln(measured / predicted);
    `normal_score` is the standard normal quantile of the residual's rank (Blom 1958), for a QQ plot.

    Args:
        report: a fit with its evidence.
        level: of the intervals.
    """
    observations = report.evidence.observations
    band = report.fit.predict(observations.x, level=level, kind="new-run")
    residual = np.log(observations.error) - np.log(band.mean)
    ranks = np.argsort(np.argsort(residual)) + 1
    rows = []
    for i, run in enumerate(report.evidence.rows):
        se = None if observations.std_error is None else float(observations.std_error[i])
        rows.append(
            {
                "run_id": run.run_id,
                "backbone": run.trial.backbone,
                **{n: float(v) for n, v in zip(observations.axes, observations.x[i], strict=True)},
                "reduction": str(run.trial.reduction),
                "error": float(observations.error[i]),
                "std_error": None if se is None or math.isnan(se) else se,
                "predicted": float(band.mean[i]),
                "low": float(band.low[i]),
                "high": float(band.high[i]),
                "residual": float(residual[i]),
                "normal_score": normal_quantile((ranks[i] - 0.375) / (len(residual) + 0.25)),
            }
        )
    return rows


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution.

    >>> round(normal_quantile(0.975), 4)
    1.96
    """
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def parameter_rows(report: FitReport) -> list[dict[str, Any]]:
    """The parameters of the leading form with their intervals; a missing bound is None."""
    return [
        {
            "name": p.name, "value": p.value, "low": p.low, "high": p.high, "unit": p.unit,
            "flags": " ".join(p.flags), "scale": "slope" if p.unit == "1" else "amount",
        }
        for p in report.fit.parameters
    ]  # fmt: skip
