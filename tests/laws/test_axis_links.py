"""Axes with zeros, and axes that are expressions of columns."""

from __future__ import annotations

import numpy as np
import pytest

from planner import laws
from planner.errors import UnknownNameError

SHARES = np.array([0.0, 0.1, 0.2, 0.5, 0.8, 1.0])
SHARE, SIZE = (g.ravel() for g in np.meshgrid(SHARES, np.geomspace(1e7, 1e9, 5)))


def loss_of(share, size):
    return 1.8 + 0.4 * (share + 0.05) ** -0.3 + 0.5 * (size / 1e8) ** -0.3


def frame(**columns):
    noise = np.exp(0.001 * np.random.default_rng(1).standard_normal(len(SHARE)))
    return {
        "share": SHARE.tolist(),
        "n": SIZE.tolist(),
        "loss": (loss_of(SHARE, SIZE) * noise).tolist(),
        **columns,
    }


def test_a_share_with_zeros_keeps_all_its_rows_and_says_what_it_became():
    found = laws.fit(frame(), error="loss", axes=["share", "n"], law="additive", loss="log")
    assert found.law.n_runs == len(SHARE)
    assert found.law.axes == ("(share+0.05)", "n")
    assert any(w.code == "axis-offset" and "holds 5 zeros" in w.message for w in found.law.warnings)
    alpha = next(p for p in found.law.parameters if p.name == "alpha_(share+0.05)")
    assert alpha.low < 0.3 < alpha.high
    assert "((share+0.05)/" in found.formula


def test_predictions_take_the_column_as_it_is_also_at_zero(tmp_path):
    found = laws.fit(frame(), error="loss", axes=["share", "n"], law="additive", loss="log")
    asked = {"share": [0.0, 0.35], "n": [2e8, 2e8]}
    truth = [loss_of(0.0, 2e8), loss_of(0.35, 2e8)]
    assert found.predict(asked)["mean"].tolist() == pytest.approx(truth, rel=2e-3)
    found.save(tmp_path / "law.json")
    assert laws.load(tmp_path / "law.json").predict(asked).equals(found.predict(asked))


def test_an_expression_of_columns_is_an_axis():
    asked = {"error": "loss", "law": "additive", "loss": "log"}
    named = laws.fit(frame(), axes=["share + 0.05", "n"], **asked)
    whole = laws.fit(frame(u=(SHARE + 0.05).tolist()), axes=["u", "n"], **asked)
    assert named.law.axes == ("(share+0.05)", "n")
    assert named.law.objective == whole.law.objective


def test_odds_leave_out_the_rows_that_have_none_and_say_why():
    found = laws.fit(frame(), error="loss", axes=["share/(1-share)", "n"], law="log-linear")
    assert {e.reason.split(" is ")[1].split(",")[0] for e in found.law.exclusions} == {"0", "inf"}


def test_products_and_valleys_take_such_axes():
    table = frame()
    assert laws.fit(table, error="loss", axes=["share", "n"]).law.n_runs == len(SHARE)
    valley = laws.fit(
        table, error="loss", axes=["share", "n"], law="optimum:(share+0.05)", loss="log"
    )
    assert "best_(share+0.05)" in {p.name for p in valley.law.parameters}


def test_a_single_zero_is_a_slip_and_is_left_out():
    sizes = SIZE.copy()
    sizes[3] = 0.0
    found = laws.fit(frame(n=sizes.tolist()), error="loss", axes=["n"], law="additive")
    assert found.law.axes == ("n",)
    assert found.law.exclusions[0].reason == "n is 0, a power law needs positive values"


@pytest.mark.parametrize(("axis", "unknown"), [("shares", "shares"), ("share/tokens", "tokens")])
def test_an_axis_of_no_column_is_named(axis, unknown):
    with pytest.raises(UnknownNameError, match=f"unknown column '{unknown}'"):
        laws.fit(frame(), error="loss", axes=[axis, "n"])
