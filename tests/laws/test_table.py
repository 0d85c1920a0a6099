"""Tables of others: columns by name, and pandas frames in and out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from planner.errors import InputError
from planner.laws.fit_law import fit_law
from planner.laws.table import prediction_frame, table_observations
from tests.laws.answers import fit_table

SIZE = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
COLUMNS = {"size": SIZE, "wer": [0.1 + 0.4 * s**-0.6 for s in SIZE], "seed": list("aabbcc")}
ASKED = {"axes": ["size"], "error": "wer", "law": "additive", "group": "seed"}


def test_a_frame_is_fitted_as_its_columns_are():
    by_name = fit_table(COLUMNS, predict={"size": [64.0]}, **ASKED)
    framed = fit_table(pd.DataFrame(COLUMNS), predict=pd.DataFrame({"size": [64.0]}), **ASKED)
    assert framed == by_name


def test_a_missing_value_of_a_frame_is_an_excluded_row():
    frame = pd.DataFrame(COLUMNS).convert_dtypes()
    frame.loc[2, "wer"] = pd.NA
    table = table_observations(frame, axes=["size"], error="wer")
    assert np.flatnonzero(np.isnan(table.error)).tolist() == [2]
    assert fit_law(table, law="additive").n_runs == 5


def test_a_frame_of_text_is_refused_by_its_row():
    frame = pd.DataFrame({**COLUMNS, "wer": ["a"] * 6})
    with pytest.raises(InputError, match="row 1 holds 'a'"):
        fit_table(frame, **ASKED)


def test_predictions_come_as_a_frame_with_the_rows_of_the_one_asked():
    fit = fit_law(table_observations(COLUMNS, axes=["size"], error="wer"), law="additive")
    asked = pd.DataFrame({"size": [3.0, 64.0]}, index=["inside", "outside"])
    found = prediction_frame(fit, asked)
    assert found.index.tolist() == ["inside", "outside"]
    assert found["mean"].tolist() == fit.predict([[3.0], [64.0]]).mean.tolist()
    assert found["distance_size"].tolist() == pytest.approx([0.0, np.log(2)])
