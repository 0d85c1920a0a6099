from __future__ import annotations

import csv
import io

import pytest

from planner.report.delimited import csv_text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1"])
def test_a_cell_that_begins_like_a_formula_is_quoted_for_spreadsheets(text):
    made = csv_text([text], [[text]], for_spreadsheet=True)
    assert list(csv.reader(io.StringIO(made, newline=""))) == [[f"'{text}"]] * 2


def test_programs_read_back_what_was_written():
    rows = [["=1", 'a,"b"'], ["-x", "two\nlines"]]
    made = csv_text(["a", "b"], rows)
    assert list(csv.reader(io.StringIO(made, newline="")))[1:] == rows


def test_numbers_stay_numbers_for_spreadsheets():
    assert csv_text(["n", "m"], [[-2.5, None]], for_spreadsheet=True) == "n,m\n-2.5,\n"
