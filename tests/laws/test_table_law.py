"""A law in Python's hands: pandas in and out, rows with their influence, a file that predicts without data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from planner import laws
from planner.errors import InputError
from planner.laws.fit_law import fit_law
from planner.laws.influence import influence
from tests.laws.answers import fit_table


@pytest.fixture(scope="module")
def frame():
    """Runs of E + A n^-a + B d^-b with 1 % noise, by name; the last one has no loss."""
    rng = np.random.default_rng(7)
    n, d = (g.ravel() for g in np.meshgrid(np.geomspace(1e6, 1e9, 5), np.geomspace(1e8, 1e11, 5)))
    loss = (1.7 + 300 * n**-0.35 + 900 * d**-0.35) * np.exp(0.01 * rng.standard_normal(25))
    loss[-1] = np.nan
    return pd.DataFrame({"n": n, "d": d, "loss": loss}, index=[f"run{i}" for i in range(25)])


@pytest.fixture(scope="module")
def fitted(frame):
    return laws.fit(frame, error="loss", axes=["n", "d"], law="additive")


def test_a_frame_gives_the_numbers_of_the_command(frame, fitted):
    table = fit_table(frame, error="loss", axes=["n", "d"], law="additive")
    assert fitted.parameters["value"].tolist() == [p["value"] for p in table["parameters"]]
    assert fitted.formula == table["formula"]


def test_predictions_keep_the_index_and_say_how_far_outside_they_lie(fitted):
    asked = pd.DataFrame({"n": [1e8, 4e9], "d": [1e10, 2e11]}, index=["inside", "outside"])
    found = fitted.predict(asked)
    assert found.index.tolist() == ["inside", "outside"]
    assert found["beyond"].tolist() == pytest.approx([1.0, 4.0])


def test_a_saved_law_predicts_to_the_last_bit_without_its_table(fitted, tmp_path):
    fitted.save(tmp_path / "law.json")
    loaded = laws.load(tmp_path / "law.json")
    asked = {"n": [3e7, 4e9], "d": [1e9, 2e12]}
    pd.testing.assert_frame_equal(loaded.predict(asked), fitted.predict(asked), check_exact=True)
    with pytest.raises(InputError, match="loaded without its table"):
        loaded.rows()


@pytest.mark.parametrize("text", ["{", "[1]", '{"schema": "other/1"}'])
def test_a_file_that_holds_no_law_is_refused(text, tmp_path):
    (tmp_path / "law.json").write_text(text)
    with pytest.raises(InputError, match="holds no law"):
        laws.load(tmp_path / "law.json")


def test_rows_go_by_the_frames_index_and_one_left_out_says_why(frame, fitted):
    rows = fitted.rows().set_index("key")
    assert rows.index.tolist() == frame.index.tolist()
    assert rows.loc["run24", "left_out"] == "loss is nan"
    used = rows[rows["left_out"].isna()]
    off = np.log(used["loss"].astype(float) / fitted.predict(frame[:24])["mean"].to_numpy())
    assert used["residual"].astype(float).to_numpy() == pytest.approx(off.to_numpy(), abs=1e-12)


def test_leverages_add_up_to_the_parameters(fitted):
    found = influence(fitted.observations, fitted.law)
    assert sum(one.leverage for one in found) == pytest.approx(fitted.law.n_parameters)


@pytest.mark.parametrize("row", [0, 4, 12])
def test_influence_is_the_move_of_a_fit_without_the_row(fitted, row):
    runs, law = fitted.observations.rows(np.arange(24)), fitted.law
    scales = dict(zip(law.members[0].form().axes, law.members[0].scales, strict=True))
    without = fit_law(runs.rows(np.arange(24) != row), law="additive", loss=law.loss)
    moved = []
    covariance = np.diag(law.members[0].covariance)
    for i, (mine, spec) in enumerate(
        zip(without.parameters, law.members[0].form().parameters, strict=True)
    ):
        value = mine.value
        if spec.kind == "amplitude":  # the refit has scales of its own
            own = dict(zip(without.members[0].form().axes, without.members[0].scales, strict=True))
            exponent = next(p.value for p in without.parameters if p.name == f"alpha_{spec.axis}")
            value *= (own[spec.axis] / scales[spec.axis]) ** exponent
        there = np.log(value) if spec.is_log else value
        moved.append(abs(there - law.members[0].theta[i]) / np.sqrt(covariance[i]))
    assert influence(runs, law)[row].moved == pytest.approx(max(moved), rel=1e-3)


def test_a_law_draws_itself(fitted):
    pytest.importorskip("altair", reason="charts need Altair")
    text = fitted.plot().to_json()
    for title in (
        "Measured against predicted",
        "The law along n",
        "Residuals along d",
        "costliest 30 %",
    ):
        assert title in text


def test_points_and_curve_of_an_axis_meet_where_a_row_has_no_residual():
    from planner.report.table_charts import along

    sizes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    exact = laws.fit(
        {"n": sizes, "e": [2 + 3 * n**-0.5 for n in sizes]}, error="e", axes=["n"], law="additive"
    )
    _, points = along(exact.observations, exact.law, "n")
    assert [p["error"] for p in points] == pytest.approx([2 + 3 * n**-0.5 for n in sizes])
