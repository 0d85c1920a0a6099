"""The diagnostics of a fit as one page that needs nothing else."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.laws.fit_law import fit_law
from planner.report.fit_page import fit_page, left_out_rows
from planner.service import fitting
from planner.store.engine import opened

pytest.importorskip("altair", reason="charts need Altair: pip install '.[notebooks]'")


@pytest.fixture
def report(published):
    with opened(published) as engine:
        return fitting.fit(engine, "asr")


def test_a_level_left_out_is_foretold_by_a_fit_without_it(report):
    observations = report.evidence.observations
    row = next(r for r in left_out_rows(report) if r["rms"] is not None)
    away = observations.x[:, observations.axes.index(row["axis"])] == row["level"]
    rest = fit_law(observations.rows(~away), law=report.fit.law, loss=report.fit.loss)
    off = np.log(observations.error[away] / rest.predict(observations.x[away]).mean)
    assert row["rms"] == pytest.approx(float(np.sqrt(np.mean(off**2))))
    assert row["n_runs"] == away.sum()


def test_every_level_of_every_axis_is_left_out_once(report):
    x, axes = report.evidence.observations.x, report.evidence.observations.axes
    levels = [(a, v) for i, a in enumerate(axes) for v in np.unique(x[:, i])]
    assert [(r["axis"], r["level"]) for r in left_out_rows(report)] == levels
    assert all((r["rms"] is None) == (r["reason"] is not None) for r in left_out_rows(report))


def test_the_page_holds_report_table_and_charts_and_asks_no_other_host(report):
    page = fit_page(report)
    assert "Each level left out in turn" in page
    assert report.fit.law in page
    assert "Residuals against normal quantiles" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_each_exponent_has_its_profile_with_the_cut_marked(report):
    page = fit_page(report)
    found = re.search('id="specs">(.*?)</script>', page, re.DOTALL)
    specs = [json.dumps(spec) for spec in json.loads(found.group(1))]
    exponents = [p.name for p in report.fit.parameters if p.unit == "1"]
    drawn = [spec for spec in specs if "90 % cut" in spec]
    assert len(drawn) == len(exponents) > 0
    assert all(any(f'"title": "{name}"' in spec for spec in drawn) for name in exponents)
    assert page.count("<figure>") == len(specs)


def test_charts_are_as_wide_as_their_frames(report):
    found = re.search('id="specs">(.*?)</script>', fit_page(report), re.DOTALL)
    assert {spec["width"] for spec in json.loads(found.group(1))} == {"container"}


def test_the_command_writes_the_page(published, tmp_path):
    file = tmp_path / "fit.html"
    done = CliRunner().invoke(
        cli, ["fit", "run", "--task", "asr", "--db", published, "--report", str(file)]
    )
    assert (done.exit_code, file.read_text("utf-8")[:15]) == (0, "<!doctype html>")
