"""Anybody's table says which cell is no number: row, line, column and the cell."""

import pytest

from planner.errors import InputError
from planner.service.own_table import fit_file


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("7B", "without its unit"),
        ("30 s", "without its unit"),
        ("12.3 %", "as a fraction .0.123."),
        ("1,5", "a point before decimals"),
    ],
)
def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path, cell, remedy):
    path = tmp_path / "t.csv"
    shown = f'"{cell}"' if "," in cell else cell
    path.write_text(f"params,loss\n1,0.3\n\n2,0.25\n{shown},0.2\n")
    said = f"row 3 of t.csv .line 5.: params is not a number: '{cell}'; .*{remedy}"
    with pytest.raises(InputError, match=said):
        fit_file(str(path), ["params"], predict=None, error="loss")
