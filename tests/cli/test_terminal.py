"""What a real terminal shows, by its width: the command runs behind a pseudo-terminal."""

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.service import asking, fitting
from planner.words.question import PlanQuery

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def on_terminal(columns: int, *arguments: str) -> tuple[list[str], str]:
    """The lines that the terminal got on stdout, and stderr."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "planner.cli.main", *arguments]
    with subprocess.Popen(
        command, stdout=theirs, stderr=subprocess.PIPE, stdin=theirs, env=environment
    ) as process:
        os.close(theirs)
        got = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed: Linux says so by an error
                break
            if not part:
                break
            got += part
        said = process.stderr.read().decode()
    os.close(ours)
    return ESCAPES.sub("", got.decode()).rstrip("\n").split("\n"), said


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("terminal") / "runs.db")
    fitting.import_results(path, "same2026")
    asking.plan(path, PlanQuery(task="asr", flops=520e9))
    return path


LISTINGS = [["runs", "list"], ["answers", "list"], ["backbones", "list"]]


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("listing", LISTINGS, ids=" ".join)
def test_a_listing_breaks_no_word_and_is_not_wider_than_the_terminal(db, listing, columns):
    whole = CliRunner().invoke(cli, [*listing, "--db", db]).stdout
    lines, _ = on_terminal(columns, *listing, "--db", db)
    assert max(len(line) for line in lines) <= columns
    assert {w for line in lines for w in line.split() if "─" not in w} <= set(whole.split())


def test_a_narrow_terminal_keeps_the_error_and_names_what_it_left_out(db):
    lines, said = on_terminal(80, "runs", "list", "--db", db)
    assert "error" in lines[1]
    assert "adaptation" not in lines[1]
    assert "too narrow for:" in said
    assert "adaptation" in said


def test_a_plan_fits_a_terminal_of_80_by_24(db):
    lines, _ = on_terminal(80, "plan", "--task", "asr", "--flops", "520G", "--db", db)
    assert len(lines) <= 24
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize("group", [[], ["runs"]], ids=" ".join)
def test_a_bare_group_prints_its_help_as_it_stands(group):
    bare = subprocess.run(
        [sys.executable, "-m", "planner.cli.main", *group],
        capture_output=True,
        text=True,
        check=False,
    )
    asked = subprocess.run(
        [sys.executable, "-m", "planner.cli.main", *group, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert bare.stdout == asked.stdout
    assert (bare.returncode, bare.stderr) == (2, "")


def test_limits_of_stored_answers_are_in_their_units(db):
    lines, _ = on_terminal(160, "answers", "list", "--db", db)
    assert any("520 GFLOPs" in line for line in lines)
    assert not any("520000000000" in line for line in lines)
