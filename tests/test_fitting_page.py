"""The examples of the pages about laws of anybody's table, in order; what they print is what the page shows."""

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
PAGES = (
    "fitting.md", "allocating.md", "many-curves.md", "best-values.md", "comparing-laws.md",
    "own-laws.md",
)  # fmt: skip
DRAWS = re.compile(r"--(?:report|plot) \S+ ?")
"""Files that take seconds to draw; `test_the_page_draws` has them."""
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def blocks(page):
    """Kind and text of each block."""
    text = (DOCS / page).read_text()
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


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
    """Each line of the page begins a line of the output, numbers to three digits."""
    lines = output.splitlines()
    for line in filter(str.strip, shown.splitlines()):
        words, wanted = NUMBER.sub("#", line).split(), [float(x) for x in NUMBER.findall(line)]
        near = [other for other in lines if NUMBER.sub("#", other).split()[: len(words)] == words]
        found = [[float(x) for x in NUMBER.findall(other)][: len(wanted)] for other in near]
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


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_and_prints_what_it_shows(page, folder):
    run_page(folder, [(kind, DRAWS.sub("", block)) for kind, block in blocks(page)])


@pytest.mark.slow
def test_the_page_draws(folder):
    lines = [
        line for kind, text in blocks("fitting.md") if kind == "sh" for line in text.splitlines()
    ]
    drawn = [line for line in lines if DRAWS.search(line)]
    assert drawn
    for line in drawn:
        command(line)
    assert "Profiles of the likelihood" in (folder / "law.html").read_text()
    assert (folder / "law.svg").read_text().startswith("<svg")
