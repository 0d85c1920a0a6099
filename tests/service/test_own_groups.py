"""`soundscale fit table --group-law` on a file: known and new groups, in every format, and what it does not take."""

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import InputError

ASKED = ["fit", "table", "curves.csv", "--axes", "params", "--error", "wer", "--group-law", "set"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Six test sets of three models each, one of them of two, and rows to predict."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    rows = ["set,params,wer"]
    for i, level in enumerate((0.05, 0.08, 0.1, 0.15, 0.2, 0.3)):
        for n in (39e6, 244e6, 1.55e9)[: 2 if i == 0 else 3]:
            wer = level * (0.5 + 0.5 * (n / 244e6) ** -0.5) * np.exp(0.03 * rng.standard_normal())
            rows.append(f"set {i},{n / 1e6}M,{100 * wer}%")
    (tmp_path / "curves.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "ahead.csv").write_text("set,params\nset 0,1.55B\nset 3,1.55B\n,1.55B\nset 3,20B\n")
    return tmp_path


def test_known_two_point_and_new_groups_are_foretold(folder):
    done = CliRunner().invoke(
        cli, [*ASKED, "--predict", "ahead.csv", "-f", "json"], catch_exceptions=False
    )
    found = json.loads(done.stdout)
    two, three, new, _ = found["predictions"]
    assert [p["known"] for p in found["predictions"]] == [True, True, False, True]
    width = [np.log(p["high"] / p["low"]) for p in (three, two, new)]
    assert width == sorted(width)
    assert [w["code"] for w in found["warnings"]] == ["beyond-data"]
    assert {p["group"] for p in found["parameters"]} == {None, *(f"set {i}" for i in range(6))}
    offsets = found["offsets"]
    assert [(o["group"], o["against"]) for o in offsets] == [
        (f"set {i}", "set 0") for i in range(1, 6)
    ]
    assert [o["ratio"] for o in offsets] == sorted(o["ratio"] for o in offsets)
    text = CliRunner().invoke(cli, [*ASKED], catch_exceptions=False).stdout
    assert "(a new group)" in text
    assert "error over that of set 0" in text
    listed = CliRunner().invoke(
        cli, [*ASKED, "--predict", "ahead.csv", "-f", "csv"], catch_exceptions=False
    )
    rows = list(csv.DictReader(io.StringIO(listed.stdout)))
    assert [float(r["mean"]) for r in rows] == [p["mean"] for p in found["predictions"]]


def test_what_a_law_of_groups_has_no_use_for_is_refused(folder):
    done = CliRunner().invoke(cli, [*ASKED, "--law", "multiplicative", "--save", "law.json"])
    assert done.exit_code == 2
    assert "it takes no --law, --save" in done.stderr


def refused(words):
    with pytest.raises(InputError) as problem:
        CliRunner().invoke(cli, words, catch_exceptions=False)
    return str(problem.value)


@pytest.mark.parametrize("link", ["odds", "signed"])
def test_a_link_whose_values_would_be_told_in_its_own_scale_is_refused(folder, link):
    assert "of the error's logarithm" in refused([*ASKED, "--link", link])


@pytest.mark.parametrize("level", ["0", "1", "90", "nan"])
def test_a_level_that_is_no_probability_is_refused(folder, level):
    assert "level must lie between 0 and 1" in refused([*ASKED, "--level", level])


@pytest.mark.parametrize(("column", "said"), [("wer", "the error itself"), ("params", "an axis")])
def test_the_error_and_an_axis_are_no_groups(folder, column, said):
    assert said in refused([*ASKED[:-1], column])


def test_a_row_without_a_group_is_left_out_and_said_and_is_no_group_to_predict(folder):
    table = folder / "curves.csv"
    table.write_text(table.read_text() + ",39M,80%\n")
    words = [*ASKED, "--predict", "ahead.csv", "-f", "json"]
    found = json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).stdout)
    assert found["n_groups"] == 6
    assert [p["known"] for p in found["predictions"]] == [True, True, False, True]
    (note,) = (w for w in found["warnings"] if w["code"] == "rows-excluded")
    assert "whose set is empty: 1, the first row 18" in note["message"]


def test_groups_that_hardly_differ_are_told_alike_by_every_seed_or_say_that_they_are_not(folder):
    rng = np.random.default_rng(11)
    rows = ["set,params,wer"]
    for i in range(6):
        for n in np.geomspace(3e7, 3e9, 5):
            wer = 0.03 * (1 + 0.9 * (n / 2e8) ** -0.45) * np.exp(0.02 * rng.standard_normal())
            rows.append(f"g{i},{n},{wer}")
    (folder / "curves.csv").write_text("\n".join(rows) + "\n")
    ends = []
    for seed in range(4):
        words = [*ASKED, "--predict", "ahead.csv", "--seed", str(seed), "-f", "json"]
        found = json.loads(CliRunner().invoke(cli, words, catch_exceptions=False).stdout)
        few = found["n_effective"] < 100
        assert found["status"] == ("few-draws" if few else "converged")
        assert few == any(w["code"] == "few-draws" for w in found["warnings"])
        if not few:
            new = found["predictions"][2]
            ends.append([np.log(new["low"]), np.log(new["high"])])
    assert len(ends) >= 2
    width = np.mean([high - low for low, high in ends])
    assert np.ptp(ends, axis=0).max() < 0.25 * width
