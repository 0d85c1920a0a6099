"""`soundscale fit allocate` on a file: the numbers of the room, in every format."""

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.errors import OutsideDataError

ASKED = ["fit", "allocate", "t.csv", "--axes", "n,d", "--error", "loss", "--law", "additive", "--draws", "20",
         "--bootstrap", "20"]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Five isoFLOP slices of seven sizes with 1 % noise, and their cost in a column."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    rows = ["n,d,flop,loss"]
    for c in np.geomspace(1e19, 1e21, 5):
        for n in 0.1 * (c / 6) ** 0.52 * np.logspace(-1, 1, 7):
            d = c / 6 / n
            loss = (1.8 + 480 * n**-0.34 + 2100 * d**-0.37) * np.exp(0.01 * rng.standard_normal())
            rows.append(f"{n},{d},{6 * n * d},{loss}")
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def answer(*more):
    done = CliRunner().invoke(cli, [*ASKED, *more], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_formula_and_a_column_of_the_same_cost_buy_the_same(folder):
    by_formula = json.loads(answer("--cost", "6*n*d", "--budget", "1e20", "-f", "json"))
    by_column = json.loads(answer("--cost", "flop", "--budget", "1e20", "-f", "json"))
    for one, other in zip(by_formula["approaches"], by_column["approaches"], strict=True):
        for a, b in zip(one["optima"][0]["places"], other["optima"][0]["places"], strict=True):
            assert a["value"] == pytest.approx(b["value"], rel=1e-3)
    assert [len(a["exponents"]) for a in by_formula["approaches"]] == [2, 2, 2]


def test_listings_and_replicates_hold_what_the_answer_summarises(folder):
    found = json.loads(answer("--cost", "6*n*d", "-f", "json", "--replicates", "r.csv"))
    rows = list(csv.DictReader((folder / "r.csv").open()))
    assert len(rows) == 4 * 20
    third = [float(r["n"]) for r in rows if r["kind"] == "bootstrap 3"]
    exponent = found["approaches"][2]["exponents"][0]
    assert [exponent["low"], exponent["high"]] == pytest.approx(
        np.quantile(third, [0.05, 0.95]).tolist()
    )
    listed = list(csv.DictReader(io.StringIO(answer("--cost", "6*n*d", "-f", "csv"))))
    assert len(listed) == 3 * 3 * 2


def test_the_screen_says_bias_penalty_and_what_lies_outside(folder):
    text = answer("--cost", "6*n*d", "--budget", "5e21", "--beyond", "5x")
    for word in ("2 isoFLOP parabolas", "approach 2", "cost wasted"):
        assert word in text
    refused = CliRunner().invoke(cli, [*ASKED, "--cost", "6*n*d", "--budget", "5e21"])
    assert isinstance(refused.exception, OutsideDataError)
