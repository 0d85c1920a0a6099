"""Whatever stands in a table of results: never a traceback, and no number that pandas reads otherwise."""

from __future__ import annotations

import csv
import io
import math
from contextlib import suppress
from fractions import Fraction

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import SoundscaleError
from planner.evidence.published.tables import load_table
from planner.service.own_table import read_columns, read_table

NUMBERS = st.one_of(
    st.floats(0, 3, allow_nan=False).map(repr),
    st.sampled_from([
        "0.1", ".5", "5.", "1e-1", "+0.2", "12", "30", "0", "1,5", "1.234,5", "52 576", "52,576", "7B", "30 s", "12 %",
        "0.1%", "nan", "NaN", "", "-", "None", "-0.1", "1e999", "inf", "0x1f", "1_000", "١٢", "1.5.2", '"0.1"',
        "1:05", "abc", " 0.2 ", "\u00a00.3", "0.3\u200b",
    ]),
)  # fmt: skip
PLAIN = {
    "task": st.just("asr"),
    "backbone": st.sampled_from(["whisper-tiny", "whisper-base", "whisper-small"]),
    "audio_seconds": st.sampled_from(["8", "30", "2.5"]),
    "reduction": st.sampled_from(["none", "stem:2", ""]),
    "adaptation": st.sampled_from(["none", "lora:8"]),
    "n_units": st.integers(1, 60_000).map(str), "n_errors": st.just(""), "seed": st.integers(0, 99).map(str),
    "n_train": st.just("100"), "device": st.just("gpu"),
    "std_error": st.just("0.0001"), "learning_rate": st.just("1e-3"),
    "source": st.sampled_from(["table 2", '"a, b"', "é", ""]),
    "latency_p50_ms": st.sampled_from(["20", "20.5"]), "latency_p95_ms": st.sampled_from(["30", "1e2"]),
    "mean_output_tokens": st.sampled_from(["25", "31.5"]),
}  # fmt: skip
"""Cells that are as they should be; an error is a fraction of 0.001 to 0.5."""
ODD = {
    "task": st.sampled_from(["emotion", "ASR", ""]),
    "backbone": st.sampled_from(["whisper-tny", ""]),
    "reduction": st.sampled_from(["stem:x", "stem:2"]), "adaptation": st.sampled_from(["lora", "full"]),
    "source": st.sampled_from(["a, b", '"', 'say "a"', "a\nb", "a\tb"]), "device": st.just(""),
}  # fmt: skip
ERRORS = ("wer", "wer", "error", "error_percent", "WER (%)", "wer %", "Wer")
MORE = ("reduction", "adaptation", "n_units", "n_errors", "seed", "n_train", "source", "std_error",
        "latency_p50_ms", "latency_p95_ms", "mean_output_tokens", "learning_rate")  # fmt: skip
LINE_ENDS = ("\n", "\n", "\r\n", "\n\n", "\r")


@st.composite
def tables(draw):
    """Name and text of a table in which up to three things are not as they should be."""
    header = ["task", "backbone", "audio_seconds", draw(st.sampled_from(ERRORS))]
    header += draw(st.lists(st.sampled_from(MORE), max_size=4, unique=True))
    if any(column.startswith("latency") for column in header):
        header = [column for column in header if column != "device"] + ["device"]
    error = st.floats(0.001, 0.5).map(repr)
    rows = [
        [draw(PLAIN.get(column, error)) for column in header]
        for _ in range(draw(st.integers(1, 4)))
    ]
    for accident in draw(
        st.lists(st.sampled_from(["cell", "cell", "cell", "width", "header"]), max_size=3)
    ):
        row = draw(st.sampled_from(rows))
        if accident == "cell":
            at = draw(st.integers(0, len(header) - 1))
            row[at : at + 1] = [draw(ODD.get(header[at], NUMBERS))]
        elif accident == "width":
            row[:] = row[:-1] if draw(st.booleans()) else [*row, "x"]
        else:
            header = draw(st.sampled_from([header[1:], [*header, header[0]], header[::-1]]))
    tabs = draw(st.integers(0, 4)) == 0
    delimiter = draw(st.sampled_from("\t" if tabs else ",,,,,,,;"))
    end = draw(st.sampled_from(LINE_ENDS))
    text = end.join(delimiter.join(row) for row in [header, *rows]) + draw(
        st.sampled_from(["", end])
    )
    return ("r.tsv" if tabs else "r.csv"), draw(st.sampled_from(["", "", "\ufeff"])) + text


def as_pandas_reads(name, text):
    delimiter = "\t" if name.endswith(".tsv") else ","
    return pd.read_csv(
        io.StringIO(text.removeprefix("\ufeff"), newline=""), sep=delimiter, dtype=str, keep_default_na=False,
        skipinitialspace=False, index_col=False,
    )  # fmt: skip


def one_line(problem):
    assert "\n" not in str(problem)


def plain(cell):
    """The number that a cell is to Python; None where it is none."""
    with suppress(ValueError):
        value = float(cell.strip())
        return value if math.isfinite(value) else None
    return None


def imports_agree(folder, table):
    """No traceback; each number of an accepted table is what pandas sees in the row and column."""
    name, text = table
    (folder / name).write_bytes(text.encode())
    try:
        found = load_table(str(folder / name))
    except SoundscaleError as problem:
        one_line(problem)
        return
    frame = as_pandas_reads(name, text)
    frame.columns = [column.strip() for column in frame.columns]
    column = next(c for c in frame.columns if c in ERRORS)
    scale = 1.0 if column in ("wer", "error") else 100.0
    told = [row for _, row in frame.iterrows() if any(str(cell).strip() for cell in row)]
    told = [row for row in told if plain(row[column]) is not None]
    assert len(told) == len(found.rows)
    for ours, theirs in zip(found.rows, told, strict=True):
        evaluation = ours.record.evaluations[0]
        assert evaluation.error == plain(theirs[column]) / scale
        assert ours.trial.audio_seconds == plain(theirs["audio_seconds"])
        assert ours.trial.backbone == theirs["backbone"].strip()
        for field in ("n_units", "n_errors", "mean_output_tokens"):
            value = plain(theirs[field]) if field in frame.columns else None
            assert getattr(evaluation, field) == value
        if "seed" in frame.columns:
            assert ours.trial.seed == (plain(theirs["seed"]) or 0)
        for latency in ours.record.latencies:
            p50 = plain(theirs["latency_p50_ms"]) if "latency_p50_ms" in frame.columns else None
            assert p50 is None or latency.p50_ms == p50


def columns_agree(folder, table):
    """The same of anybody's table, cell for cell."""
    name, text = table
    (folder / name).write_bytes(text.encode())
    try:
        found = read_columns(str(folder / name))
    except SoundscaleError as problem:
        one_line(problem)
        return
    frame = as_pandas_reads(name, text)
    frame = frame[[any(str(cell).strip() for cell in row) for _, row in frame.iterrows()]]
    for column, theirs in zip(found, frame.columns, strict=True):
        assert column == theirs.strip()
        for ours, cell in zip(found[column], frame[theirs], strict=True):
            assert ours == (cell.strip() if isinstance(ours, str) else float(cell))


SCALES = {
    "k": 1000,
    "K": 1000,
    "M": 10**6,
    "B": 10**9,
    "G": 10**9,
    "T": 10**12,
    "%": Fraction(1, 100),
}


def in_words(cell):
    """The number that a person means by a cell, by exact fractions; None where it is none or could be two."""
    body, scale = cell.strip(), Fraction(1)
    if body and body[-1] in SCALES:
        body, scale = body[:-1].strip(), Fraction(SCALES[body[-1]])
    whole, _, _decimals = body.partition(".")
    groups = whole.lstrip("+-").split(",")
    if len(groups) > 1:
        if (
            groups[0].startswith("0")
            or any(len(g) != 3 for g in groups[1:])
            or not 1 <= len(groups[0]) <= 3
        ):
            return None
        body = body.replace(",", "")
    if (
        not body.isascii()
        or "_" in body
        or " " in body
        or body.lower().strip("+-") in ("nan", "inf", "infinity")
    ):
        return None
    with suppress(ValueError, OverflowError):
        value = float(Fraction(body) * scale)
        return value if math.isfinite(value) else None
    return None


FIGURES = st.one_of(
    NUMBERS,
    st.tuples(
        st.integers(0, 10**7).map(lambda n: f"{n:,}") | st.floats(0, 1e4).map(lambda x: f"{x:,.3f}")
        | st.sampled_from(["0,125", "1.234,5", "1 234", "12,34", "1,2345", "007", ",5", "1,000,00"]),
        st.sampled_from(["", "", "", "k", " M", "B", "T", "%", " %", "s", "KB", "m", "\u2030", "MM"]),
    ).map("".join),
)  # fmt: skip


@st.composite
def columns_of_figures(draw):
    """A table of one column that is to be numbers, each of a kind, with up to two cells of another kind."""
    usual = draw(st.sampled_from(["", "M", "%"]))
    cells = draw(
        st.lists(st.integers(1, 9999).map(lambda n: f"{n / 10}{usual}"), min_size=1, max_size=5)
    )
    for _ in range(draw(st.integers(0, 2))):
        cells[draw(st.integers(0, len(cells) - 1))] = draw(FIGURES)
    return cells


def figures_agree(folder, cells):
    """Each cell of a column that is asked for as numbers is what a person means by it, or all are refused."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["n", "x"], *([cell, "x"] for cell in cells)])
    (folder / "f.csv").write_bytes(out.getvalue().encode())
    try:
        (found, notes) = read_table(str(folder / "f.csv"), ["n"])
    except SoundscaleError as problem:
        one_line(problem)
        return
    kept = [cell for cell in cells if "\n" not in cell]
    for value, cell in zip(found["n"], kept, strict=True):
        assert math.isnan(value) or value == in_words(cell)
    said = [
        cell
        for cell, v in zip(kept, found["n"], strict=True)
        if not math.isnan(v) and plain(cell) != v
    ]
    assert len(notes) == bool(said)
    units = {
        cell.strip()[-1]
        for cell, v in zip(kept, found["n"], strict=True)
        if v and not math.isnan(v) and "," not in cell
    }
    assert len({unit if unit == "%" else unit in SCALES for unit in units}) <= 1


quickly = settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
thoroughly = settings(quickly, max_examples=2_500)


@quickly
@given(tables())
def test_no_number_of_an_imported_table_is_another_one_to_pandas(tmp_path, table):
    imports_agree(tmp_path, table)


@quickly
@given(tables())
def test_no_cell_of_anybodys_table_is_another_one_to_pandas(tmp_path, table):
    columns_agree(tmp_path, table)


@quickly
@given(columns_of_figures())
def test_no_figure_of_anybodys_table_is_another_one_to_a_person(tmp_path, cells):
    figures_agree(tmp_path, cells)


@pytest.mark.slow
@thoroughly
@given(columns_of_figures())
def test_no_figure_of_thousands_of_tables_is_another_one_to_a_person(tmp_path, cells):
    figures_agree(tmp_path, cells)


@pytest.mark.slow
@thoroughly
@given(tables())
def test_no_number_of_thousands_of_imported_tables_is_another_one_to_pandas(tmp_path, table):
    imports_agree(tmp_path, table)


@pytest.mark.slow
@thoroughly
@given(tables())
def test_no_cell_of_thousands_of_tables_is_another_one_to_pandas(tmp_path, table):
    columns_agree(tmp_path, table)
