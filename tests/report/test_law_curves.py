"""The law along one axis: its band between levels that were run."""

import numpy as np

from planner.report.law_curves import axis_curves
from planner.service.prepared import prepared_of
from planner.words.question import PlanQuery
from tests.notebooks.conftest import quickstart_db

__all__ = ["quickstart_db"]

LEVEL = 0.9


def test_between_two_levels_that_were_run_the_band_lies_within_those_at_the_two(quickstart_db):
    prepared = prepared_of(str(quickstart_db), PlanQuery(task="asr", flops=20e9))
    fit, evidence = prepared.report.fit, prepared.report.evidence
    config = prepared.table.configs[0]
    n_held = 0
    for i, curve in enumerate(axis_curves(fit, evidence, config, LEVEL)):
        levels = np.unique(evidence.observations.x[:, i])
        here = [other["at"] for other in axis_curves(fit, evidence, config, LEVEL)]
        x = np.tile(here, (len(levels), 1))
        x[:, i] = levels
        ends = fit.predict(x, level=LEVEL)
        for point in (p for p in curve["points"] if not p["outside"]):
            at = min(np.searchsorted(levels, point["x"], side="right") - 1, len(levels) - 2)
            low, high = ends.low[at : at + 2].min(), ends.high[at : at + 2].max()
            assert min(low, point["error"]) - 1e-12 <= point["low"]
            assert point["high"] <= max(high, point["error"]) + 1e-12
            n_held += 1
    assert n_held >= 10
