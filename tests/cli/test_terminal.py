"""What a real terminal shows, by its width: the program runs behind a pseudo-terminal."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from planner.store.engine import upgrade
from tests.cli.pseudo_terminal import raw_of, screens
from tests.notebooks.conftest import STORED
from tests.service.exported import export_some

WIDTHS = (80, 100, 120, 160)
UNBOUNDED = 1000
"""Columns that leave nothing out and wrap nothing."""
QUESTION = ("--task", "asr", "--flops", "20G")
LISTINGS = [
    ["plan", *QUESTION],
    ["plan", *QUESTION, "--latency", "60s", "--engine", "any", "--explain"],
    ["runs", "list"],
    ["fit", "list"],
    ["frontier", "--task", "asr"],
    ["suggest", *QUESTION, "--hours", "2"],
    ["answers", "list"],
    ["sweep", "report", "quickstart"],
    ["backbones", "list"],
]
NUMBERED = [LISTINGS[0], *LISTINGS[2:]]


def name_of(listing):
    """What it is called in a test's name and in a picture's."""
    parts = [word for word in listing if re.fullmatch("[a-z]+", word) and word != "asr"]
    return " ".join([*parts, *(["explain"] if "--explain" in listing else [])])


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A real quickstart's runs, some of them scored and timed in engines, and an answer."""
    path = str(shutil.copy(STORED, tmp_path_factory.mktemp("terminal") / "runs.db"))
    upgrade(path)
    export_some(path)
    return path


@pytest.fixture(scope="module")
def shown(db):
    """Each listing at each width: its lines, and what was said beside it."""
    asked = [(width, listing) for listing in LISTINGS for width in (*WIDTHS, UNBOUNDED)]
    found = screens([(width, [*listing, "--db", db]) for width, listing in asked])
    keep = os.environ.get("SOUNDSCALE_SCREENSHOTS")
    for (width, listing), (lines, _) in zip(asked, found, strict=True):
        if keep and width in WIDTHS:
            Path(keep).mkdir(parents=True, exist_ok=True)
            name = f"terminal-{name_of(listing).replace(' ', '-')}-{width}.txt"
            (Path(keep) / name).write_text("\n".join(lines) + "\n")
    return {(w, " ".join(x)): one for (w, x), one in zip(asked, found, strict=True)}


each_listing = pytest.mark.parametrize("listing", LISTINGS, ids=map(name_of, LISTINGS))
each_width = pytest.mark.parametrize("columns", WIDTHS)


@each_width
@each_listing
def test_a_listing_breaks_no_word_and_is_not_wider_than_the_terminal(shown, listing, columns):
    (lines, _), (unbounded, _) = (shown[n, " ".join(listing)] for n in (columns, UNBOUNDED))
    assert max(len(line) for line in lines) <= columns
    words = {word for line in lines for word in line.split() if not set(word) & set("─…")}
    assert words <= {word for line in unbounded for word in line.split()}


NUMBER = re.compile(r"[-+−]?\d[\d.,]*(e[-+]?\d+)?( ?(%|[a-zA-Zμ]+))?( ± [\d.]+)?(  ?\[.*\])?")


def tables_of(lines):
    """Of each part between blank lines: the rows below its rule, or below its first line."""
    for part in "\n".join(line.rstrip() for line in lines).split("\n\n"):
        rows = part.split("\n")
        rule = next((i for i, row in enumerate(rows) if "───" in row), 0)
        yield rows[rule + 1 :]


def columns_of(rows):
    """The cells of each column of a table: parts that two blank columns or more keep apart."""
    width = max(map(len, rows), default=0)
    padded = [row.ljust(width) for row in rows]
    filled = "".join(" " if all(row[i] == " " for row in padded) else "x" for i in range(width))
    spans = [found.span() for found in re.finditer(r"x+(?: x+)*", filled)]
    return [[row[a:b] for row in padded if row[a:b].strip() not in ("", "–")] for a, b in spans]


@each_width
@pytest.mark.parametrize("listing", NUMBERED, ids=map(name_of, NUMBERED))
def test_numbers_stand_to_the_right(shown, listing, columns):
    lines, _ = shown[columns, " ".join(listing)]
    numbers = [
        cells
        for rows in tables_of(lines)
        for cells in columns_of(rows)
        if all(NUMBER.fullmatch(cell.strip()) for cell in cells)
    ]
    assert numbers
    assert [cells for cells in numbers if any(cell.endswith(" ") for cell in cells)] == []


def test_a_narrow_terminal_keeps_the_error_and_names_what_it_left_out(shown):
    lines, said = shown[80, "runs list"]
    heading = " ".join(lines[: next(i for i, line in enumerate(lines) if "───" in line)])
    assert "error" in heading
    assert "adaptation" not in heading
    assert "too narrow for:" in said
    assert "adaptation" in said


def test_a_plan_fits_a_terminal_of_80_by_24(shown):
    lines, _ = shown[80, " ".join(LISTINGS[0])]
    assert len(lines) <= 24


def test_colour_and_bold_are_on_a_terminal_alone_and_not_where_nobody_wants_them(db):
    listing = ("runs", "list", "--db", db)
    assert "\x1b[1m" in raw_of(80, *listing)
    plain = raw_of(80, *listing, NO_COLOR="1")
    assert "\x1b" not in plain
    assert max(len(line) for line in plain.replace("\r", "").split("\n")) <= 80


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


def test_limits_of_stored_answers_are_in_their_units(shown):
    lines, _ = shown[160, "answers list"]
    assert any("20 GFLOPs" in line for line in lines)
    assert not any("20000000000" in line for line in lines)
