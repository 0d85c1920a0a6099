"""`soundscale fit allocate` on a file: the numbers of the room, in every format."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.costs.flops.forward import forward_flops
from planner.errors import InputError, OutsideDataError
from planner.laws.allocate.allocation import Resampling
from planner.service.own_allocation import allocate_file, said_cost
from planner.words.catalogue import backbone
from planner.words.records import Reduction

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


PROMPTS = Path(__file__).resolve().parents[2] / "docs" / "data" / "prompts.csv"


def allocated(axes, cost, **options):
    how = Resampling(bootstrap=0, draws=2)
    return allocate_file(
        str(PROMPTS), axes, error="wer", cost=cost, budgets=(), how=how, law="additive", loss="log",
        std_error="std_error", **options,
    ).allocation  # fmt: skip


def test_our_own_flops_are_what_a_budget_is_solved_for():
    found = allocated(["n_params", "tokens_per_second"], "flops:whisper")
    assert (found.cost, found.unit) == ("flops:whisper", "FLOPs of a window")
    base = backbone("whisper-base")
    dear = forward_flops(base, audio_seconds=30.0, n_output_tokens=20).total
    cheap = forward_flops(
        backbone("whisper-tiny"), audio_seconds=30.0, n_output_tokens=20,
        reduction=Reduction.parse("stem:4"),
    ).total  # fmt: skip
    # The table's tiny.en has 384 parameters fewer than tiny, for its vocabulary.
    assert found.cost_range == pytest.approx((cheap, dear), rel=1e-4)
    (law,) = [one for one in found.approaches if one.number == 3]
    cost = said_cost("flops:whisper", ["n_params", "tokens_per_second"])
    for optimum in law.optima:
        logs = np.log([[place.value for place in optimum.places]])
        assert np.exp(cost.log_cost(logs)[0][0]) == pytest.approx(optimum.budget, rel=1e-6)


def test_where_a_smaller_budget_has_no_optimum_the_price_of_being_off_is_not_told():
    found = allocated(["audio_seconds", "tokens_per_second"], "flops:whisper-tiny.en")
    assert found.penalties
    assert any(one.extra_cost is None for one in found.penalties)


def test_a_column_that_flops_do_not_depend_on_is_named():
    with pytest.raises(InputError, match="wer is none of them"):
        allocated(["n_params", "wer"], "flops:whisper")
