"""A fourth dimension and a further cost are classes that are registered, not edits."""

import dataclasses

import numpy as np
import pytest

from planner.evidence.study import gather
from planner.laws.fit_law import fit_law
from planner.plan import candidates, objectives
from planner.plan.answer import option
from planner.plan.choice import decide
from planner.plan.cost import Cost
from planner.plan.wording import amount
from planner.words import dimensions
from planner.words import question as plan_query
from planner.words.axes import Axis, register_axis
from planner.words.question import PlanQuery
from tests.benchmarks import simulated

BITS = {"int8": 8.0, "float16": 16.0, "float32": 32.0}


class Precision:
    """Weight precision: read from the trial, and an axis `bits` of a law."""

    name, title, coordinates = "precision", "weight precision", ("bits",)

    def of_trial(self, trial):
        return trial.precision

    def ordered(self, levels):
        return sorted(set(levels), key=BITS.__getitem__)

    def finer(self, levels):
        return list(levels)

    def coordinate(self, level, axis):
        return BITS[level]


class Energy:
    """Joules of an utterance, from FLOPs and bits."""

    name, unit = "energy_joules", "J"

    def of(self, situation):
        bits = np.array([BITS[c.value("precision")] for c in situation.configs])
        return Cost.exact(self.name, bits * np.arange(1.0, len(bits) + 1), "made up")


@pytest.fixture
def fourth(monkeypatch):
    monkeypatch.setattr(objectives, "OBJECTIVES", dict(objectives.OBJECTIVES))
    monkeypatch.setattr(objectives, "COST_UNITS", plan_query.COST_UNITS)
    register_axis(Axis(name="bits", symbol="b", unit="bits", title="weight precision"))
    dimensions.register_dimension(Precision())
    objectives.register_objective(Energy())
    yield
    dimensions.forget_dimension("precision")
    plan_query.COST_UNITS.pop("energy_joules")


def table_over_four_axes(**question):
    made, rng = simulated.world(3), np.random.default_rng(0)
    rows = []
    chosen = simulated.sweep(0, 24)
    for i, (name, j) in enumerate([(n, j) for n in BITS for j in chosen]):
        row = simulated.run_of(made, j, i + 1, rng)
        error = row.error * (1 + 2 / BITS[name])
        trial = dataclasses.replace(row.trial, precision=name)
        rows.append(dataclasses.replace(row, trial=trial, error=error, std_error=0.01 * error))
    axes = ("n_params", "audio_seconds", "tokens_per_second", "bits")
    evidence = gather(rows, "asr", axes=axes)
    fit = fit_law(evidence.observations, law="additive")
    asked = PlanQuery(task="asr", **question)
    return candidates.build(asked, evidence, fit, simulated.WORKLOAD, None), asked


def test_a_fourth_dimension_is_crossed_with_the_others_and_moves_the_error(fourth):
    table, _ = table_over_four_axes(flops=1e15)
    assert len(table) == 4 * 5 * 4 * 3
    place = {c: j for j, c in enumerate(table.configs)}
    first = dataclasses.replace(table.configs[0], extra=())
    at = [place[dataclasses.replace(first, extra=(("precision", name),))] for name in BITS]
    assert table.error[at[0]] > table.error[at[1]] > table.error[at[2]]
    assert table.configs[at[0]].label.endswith("precision int8")
    assert table.configs[at[0]].to_json()["precision"] == "int8"


def test_a_registered_cost_can_be_limited_and_is_shown(fourth):
    table, asked = table_over_four_axes(more_limits=(("energy_joules", 900.0),))
    decision = decide(table, asked.limits, asked.min_prob)
    shown = option(table, decision, decision.best, asked)["costs"]["energy_joules"]
    assert shown["value"] <= shown["limit"] == 900.0
    assert amount("energy_joules", 900.0) == "900 J"


def test_a_limit_on_a_cost_that_nobody_registered_is_refused():
    with pytest.raises(ValueError, match="unknown cost 'joy'"):
        PlanQuery(task="asr", more_limits=(("joy", 1.0),))
