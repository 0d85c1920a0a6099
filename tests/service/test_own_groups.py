"""`soundscale fit table --group-law` on a file: known and new groups, in every format, and what it does not take."""

import csv
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner

from planner.cli.main import cli

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
