"""The examples of docs/fitting.md, run in order in one folder; what they print is what the page shows."""

import contextlib
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.main import cli

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "fitting.md").read_text()
BLOCKS = re.findall(r"^```(python|text|sh)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DRAWS = re.compile(r"--(?:report|plot) \S+ ?")
"""Files that take seconds to draw; `test_the_page_draws` has them."""
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def command(line):
    """One line of shell; the product's own command runs in this process."""
    before, pipe, last = line.rpartition(" | ")
    if not last.startswith("soundscale "):
        subprocess.run(["bash", "-c", line], check=True)
        return ""
    given = (
        subprocess.run(["bash", "-c", before], check=True, capture_output=True).stdout
        if pipe
        else None
    )
    done = CliRunner().invoke(cli, shlex.split(last)[1:], input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def printed(kind, block, names):
    """What a block prints."""
    if kind == "python":
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(block, names)
        return out.getvalue()
    return "".join(command(line) for line in block.splitlines() if line)


def assert_shown(shown, output):
    """Each line of the page is a line of the output, numbers to three digits."""
    lines = output.splitlines()
    words = [NUMBER.sub("#", line).split() for line in lines]
    for line in filter(str.strip, shown.splitlines()):
        near = [lines[i] for i, other in enumerate(words) if other == NUMBER.sub("#", line).split()]
        wanted = [float(x) for x in NUMBER.findall(line)]
        found = [[float(x) for x in NUMBER.findall(other)] for other in near]
        assert any(f == pytest.approx(wanted, rel=2e-3, abs=2e-3) for f in found), (line, output)


def run_page(folder, blocks):
    names: dict[str, object] = {}
    output = ""
    for kind, block in blocks:
        if kind == "text":
            assert_shown(block, output)
        else:
            output = printed(kind, block, names)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for path in (DOCS / "data").glob("*.csv"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_runs_and_prints_what_it_shows(folder):
    run_page(folder, [(kind, DRAWS.sub("", block)) for kind, block in BLOCKS])


@pytest.mark.slow
def test_the_page_draws(folder):
    lines = [line for kind, block in BLOCKS if not kind for line in block.splitlines()]
    drawn = [line for line in lines if DRAWS.search(line)]
    assert drawn
    for line in drawn:
        command(line)
    assert "Profiles of the likelihood" in (folder / "law.html").read_text()
    assert (folder / "law.svg").read_text().startswith("<svg")
