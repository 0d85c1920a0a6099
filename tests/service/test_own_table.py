"""Anybody's table says which cell is no number: row, line, column and the cell; what it writes and lists agrees."""

import csv
import io
import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from planner.cli.main import cli
from planner.errors import InputError
from planner.service.own_table import fit_file, read_columns
from planner.words.table_text import column_figures, figure

ASKED = ["--axes", "n,d", "--error", "loss", "--law", "additive"]


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("30 s", "without its unit"),
        ("7m", "without its unit"),
        ("1,5", "a point before decimals"),
        ("12,34", "a point before decimals"),
        ("1e3.5", ""),
        ("seven", ""),
    ],
)
def test_a_cell_that_is_no_number_is_named_with_its_line(tmp_path, cell, remedy):
    path = tmp_path / "t.csv"
    shown = f'"{cell}"' if "," in cell else cell
    path.write_text(f"params,loss\n1,0.3\n\n2,0.25\n{shown},0.2\n")
    said = f"row 3 of t.csv .line 5.: params is not a number: '{cell}'.*{remedy}"
    with pytest.raises(InputError, match=said):
        fit_file(str(path), ["params"], predict=None, error="loss")


@pytest.mark.parametrize(
    ("cell", "value"),
    [("39M", 39e6), ("7B", 7e9), ("1.4T", 1.4e12), ("1,000", 1000.0), ("1,234,567.5", 1234567.5),
     ("12.3 %", 0.123), ("30%", 0.3), ("5k", 5000.0), ("1,500M", 1.5e9), ("-2e3", -2000.0)],
)  # fmt: skip
def test_cells_are_read_as_people_write_them(cell, value):
    assert figure(cell, "n") == value


@given(st.integers(0, 10**15))
def test_thousands_between_commas_are_the_number(value):
    assert figure(f"{value:,}", "n") == value


def test_a_column_of_shares_and_plain_numbers_is_refused():
    with pytest.raises(InputError, match=r"row 2: wer holds '0\.2' where row 1 holds '30%'"):
        column_figures(["30%", "0.2"], "wer")
    assert column_figures(["30%", "", "5 %"], "wer")[::2] == [0.3, 0.05]


@pytest.mark.parametrize(
    ("cells", "said"),
    [(["39", "74", "1.5B"], "row 3: params holds '1.5B' where row 1 holds '39'"),
     (["39M", "74M", "1550"], "row 3: params holds '1550' where row 1 holds '39M'")],
)  # fmt: skip
def test_a_column_of_which_some_cells_have_a_suffix_is_refused(cells, said):
    with pytest.raises(InputError, match=said):
        column_figures(cells, "params")
    assert column_figures(["39M", "0", "", "1.5B"], "params")[::3] == [39e6, 1.5e9]


@pytest.mark.parametrize("cell", ["0,125", "00,125", "1,5", "1.234,5", "12,34"])
def test_a_decimal_comma_is_no_thousand(cell):
    with pytest.raises(InputError, match="write a point before decimals"):
        figure(cell, "loss")


def test_what_is_not_a_plain_number_is_said_to_be_read_as_one(tmp_path):
    rows = [f'"{n:,}",{1.5 + 40 * n**-0.3:.3f}' for n in (500, 1000, 4000, 16000, 64000)]
    (tmp_path / "t.csv").write_text("steps,loss\n" + "\n".join(rows))
    found = fit_file(str(tmp_path / "t.csv"), ["steps"], predict=None, error="loss")
    (note,) = [w["message"] for w in found.to_json()["warnings"] if w["code"] == "read-as"]
    assert note.endswith("'1,000' (row 2) is read as 1000")


def test_only_the_columns_that_are_fitted_are_read_as_figures(tmp_path):
    (tmp_path / "t.csv").write_text("size,name\n39M,39M\n")
    assert read_columns(str(tmp_path / "t.csv"), ["size"]) == {"size": [39e6], "name": ["39M"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Runs of an exact law and rows to predict, one of them ten times outside."""
    monkeypatch.chdir(tmp_path)
    places = [(n, d) for n in (1e6, 1e7, 1e8) for d in (1e8, 1e9, 1e10)]
    rows = [f"r{i},{n},{d},{1.5 + 40 * n**-0.3 + 90 * d**-0.3}" for i, (n, d) in enumerate(places)]
    (tmp_path / "t.csv").write_text("run,n,d,loss\n" + "\n".join(rows) + "\n")
    (tmp_path / "next.csv").write_text('run,n,d\na,20M,"2,000,000,000"\nb,1B,1B\n')
    return tmp_path


def soundscale(*arguments, given=None):
    done = CliRunner().invoke(cli, list(arguments), input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_a_saved_law_predicts_what_the_fit_predicted(folder):
    made = json.loads(
        soundscale("fit", "table", "t.csv", *ASKED, "--predict", "next.csv", "--save", "law.json",
                   "-f", "json").stdout
    )  # fmt: skip
    later = json.loads(soundscale("fit", "predict", "law.json", "next.csv", "-f", "json").stdout)
    for before, after in zip(made["predictions"], later, strict=True):
        assert {k: after[k] for k in ("n", "d", "mean", "low", "high", "beyond")} == {
            k: before[k] for k in ("n", "d", "mean", "low", "high", "beyond")
        }
    assert later[0]["d"] == 2e9


def test_what_lies_farther_outside_than_asked_is_said_once(folder):
    warned = soundscale(
        "fit", "table", "t.csv", *ASKED, "--predict", "next.csv", "--key", "run", "-f", "csv"
    )
    assert "row 2 to predict lies 10x outside the data on n (1e+09)" in warned.stderr
    quiet = soundscale(
        "fit",
        "table",
        "t.csv",
        *ASKED,
        "--predict",
        "next.csv",
        "--warn-beyond",
        "10.1x",
        "-f",
        "csv",
    )
    assert "to predict lies" not in quiet.stderr
    rows = list(csv.DictReader(io.StringIO(warned.stdout)))
    assert [r["key"] for r in rows] == ["a", "b"]


def test_a_table_on_stdin_is_the_file(folder):
    text = (folder / "t.csv").read_text()
    piped = soundscale("fit", "table", "-", *ASKED, "-f", "json", given=text)
    assert piped.stdout == soundscale("fit", "table", "t.csv", *ASKED, "-f", "json").stdout


def test_listings_in_csv_and_parquet_hold_the_same_rows(folder):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    asked = ["fit", "table", "t.csv", *ASKED, "--key", "run", "--rows", "runs"]
    rows = list(csv.DictReader(io.StringIO(soundscale(*asked, "-f", "csv").stdout)))
    found = parquet.read_table(
        io.BytesIO(soundscale(*asked, "-f", "parquet").stdout_bytes)
    ).to_pylist()
    assert [r["key"] for r in rows] == [r["key"] for r in found] == [f"r{i}" for i in range(9)]
    assert [float(r["leverage"]) for r in rows] == [r["leverage"] for r in found]


def test_a_picture_of_another_kind_is_refused_before_any_work(folder):
    done = CliRunner().invoke(cli, ["fit", "table", "t.csv", *ASKED, "--plot", "a.pdf"])
    assert isinstance(done.exception, InputError)
    assert "FILE.svg or FILE.png" in str(done.exception)
