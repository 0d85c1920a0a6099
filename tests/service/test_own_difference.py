"""`soundscale fit difference`, and what `fit table` is told beforehand, on files and in every format."""

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import SoundscaleError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two optimisers' curves with 1 % noise, one table of both."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = ["n,optimiser,loss"]
    for name, exponent in (("adam", 0.3), ("muon", 0.4)):
        for n in np.tile(np.geomspace(1e6, 1e9, 8), 2):
            loss = (0.05 + 0.3 * (n / 1e7) ** -exponent) * np.exp(0.01 * rng.standard_normal())
            rows.append(f"{n},{name},{loss}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, ["fit", *words], catch_exceptions=False)


DIFFERENCE = [
    "difference",
    "t.csv",
    "--axes",
    "n",
    "--error",
    "loss",
    "--by",
    "optimiser",
    "--loss",
    "log",
]


def test_every_format_tells_the_same_difference(folder):
    found = json.loads(run(*DIFFERENCE, "-f", "json").stdout)
    alpha = next(p for p in found["pairs"][0]["parameters"] if p["name"] == "alpha_n")
    assert alpha["low"] < 0.1 < alpha["high"]
    rows = list(csv.DictReader(io.StringIO(run(*DIFFERENCE, "-f", "csv").stdout)))
    listed = next(row for row in rows if row["what"] == "alpha_n")
    assert float(listed["value"]) == alpha["value"]
    screen = run(*DIFFERENCE).stdout
    assert "muon against adam" in screen
    assert "the curves cross at n" in screen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--by", "optimizer"], "unknown column 'optimizer'"),
        (["--reference", "sgd"], "unknown optimiser 'sgd'"),
        (["--at", "n=0"], "--at n must be positive"),
        (["--at", "n"], "--at reads tokens=1e10"),
        (["--drop", "optimiser=muon"], "needs two groups of optimiser"),
    ],
)
def test_what_cannot_be_compared_is_one_line(folder, words, said):
    with pytest.raises(SoundscaleError) as raised:
        run(*DIFFERENCE, *words)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


TABLE = ["table", "t.csv", "--axes", "n", "--error", "loss", "--law", "additive", "--loss", "log"]


def test_what_is_given_beforehand_is_kept_and_told(folder):
    known = ["--fix", "alpha=0.35", "--bounds", "floor=0.01:0.2", "--drop", "optimiser=muon"]
    found = json.loads(run(*TABLE, *known, "-f", "json").stdout)
    assert [one["name"] for one in found["known"]] == ["alpha", "floor"]
    assert found["n_runs"] == 16
    assert "given alpha fixed at 0.35; floor within 0.01 to 0.2" in run(*TABLE, *known).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fix", "gamma=1"], "unknown parameter 'gamma'; known: E, A_n, alpha_n"),
        (["--bounds", "E=1"], "--bounds reads floor=0:0.05"),
        (["--prior", "E=1"], "--prior reads alpha_n=0.3"),
        (["--drop", "loss"], "a rule to drop rows reads"),
    ],
)
def test_what_cannot_be_followed_is_one_line(folder, words, said):
    with pytest.raises(SoundscaleError) as raised:
        run(*TABLE, *words)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_groups_that_borrow_take_nothing_beforehand(folder):
    done = run(*TABLE, "--group-law", "optimiser", "--fix", "alpha=1")
    assert done.exit_code == 2
    assert "it takes no --fix" in done.stderr


def test_a_saved_law_with_a_best_value_tells_it_where_the_column_is_left_out(folder):
    rng = np.random.default_rng(1)
    rows = ["lr,n,loss"]
    for n in (1e7, 1e8, 1e9):
        for lr in np.geomspace(1e-4, 1e-2, 7):
            valley = 0.03 * np.log(lr / (1e-3 * (n / 1e8) ** -0.3)) ** 2
            loss = (1 + (n / 1e8) ** -0.3) * np.exp(valley + 0.001 * rng.standard_normal())
            rows.append(f"{lr},{n},{loss}")
    (folder / "rates.csv").write_text("\n".join(rows) + "\n")
    (folder / "next.csv").write_text("n\n1e8\n1e9\n")
    asked = [
        "rates.csv",
        "--axes",
        "lr,n",
        "--error",
        "loss",
        "--law",
        "optimum:lr",
        "--save",
        "l.json",
    ]
    assert run("table", *asked).exit_code == 0
    told = list(
        csv.DictReader(io.StringIO(run("predict", "l.json", "next.csv", "-f", "csv").stdout))
    )
    assert [float(row["best_lr"]) for row in told] == pytest.approx(
        [1e-3, 1e-3 * 10**-0.3], rel=0.03
    )
    assert told[0]["lr"] == told[0]["best_lr"]


@pytest.mark.parametrize("level", ["0", "-1", "1", "2", "90", "nan"])
def test_a_level_that_is_no_probability_is_refused_at_once(folder, level):
    with pytest.raises(SoundscaleError, match="level must lie between 0 and 1"):
        run(*DIFFERENCE, "--level", level)


def test_the_error_is_no_axis_of_its_own_law(folder):
    with pytest.raises(SoundscaleError, match="loss is the error itself"):
        run("table", "t.csv", "--axes", "n,loss", "--error", "loss")
