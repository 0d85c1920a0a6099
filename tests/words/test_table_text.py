"""Tables are read cell for cell, or refused by row, line and column."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.words.table_text import number, table_rows, text_of


def read(text, **options):
    header, rows = table_rows("t.csv", text, **options)
    return header, [row.cells for row in rows]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2,3\n", r"row 1 of t.csv has 3 cells, the header has 2 \(line 2\)"),
        ("a,b\n1,2\n\n3\n", r"row 2 of t.csv has 1 cells, the header has 2 \(line 4\)"),
        ("a,b,text\n1,2,yes, well\n", "a comma inside a text or a number"),
        ("a,b\n0,5,7\n", "a comma inside a text or a number"),
        (
            'a,b\n1,"x\n2,y\n3,z"\n',
            "row 1 of t.csv .line 2.: a quote that opens here closes on line 4",
        ),
        ('a,b\n1,"x\n2,y\n', "row 1 of t.csv .line 2.: a quote is not closed"),
        ('a,b\n1,"x"y\n', "a quote is not closed or stands amid"),
        ("a,b,a\n1,2,3\n", "column a of t.csv is there twice .columns 1 and 3."),
        ("a,,b\n1,2,3\n", "column 2 of t.csv has no name"),
        ("a;b\n1,5;2\n", "separated by semicolons .*decimal commas"),
        ("a\tb\n1\t2\n", "separated by tabs"),
        ("\n\n", "t.csv is empty"),
    ],
)
def test_what_cannot_be_one_table_alone_is_refused_with_its_place(text, said):
    with pytest.raises(InputError, match=said):
        read(text)


def test_empty_lines_are_no_rows_and_keep_the_lines_numbers():
    _, rows = table_rows("t.csv", "a,b\n\n1,2\n,\n3,4\n\n")
    assert [(row.number, row.line) for row in rows] == [(1, 3), (2, 5)]


def test_a_quoted_comma_and_a_doubled_quote_are_text():
    assert read('a,b\n"x, y","say ""no"""\n')[1] == [{"a": "x, y", "b": 'say "no"'}]


def test_where_nothing_quotes_a_quote_is_text():
    text = 'path\tsentence\na.mp3\t"open\n'
    assert read(text, delimiter="\t", quoted=False)[1][0]["sentence"] == '"open'


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("7B", "without its unit"), ("30 s", "without its unit"), ("250ms", "without its unit"),
        ("12.3 %", "as a fraction .0.123."), ("12,5", "a point before decimals"),
        ("52,576", "nothing between thousands"), ("52 576", "nothing between thousands"),
        ("52'576", "nothing between thousands"), ("1_000", "not a number"), ("٣", "not a number"),
        ("inf", "not a number"), ("1e999", "too large"), ("0x10", "not a number"), ("x", "not a"),
    ],
)  # fmt: skip
def test_a_cell_that_is_not_a_number_alone_is_refused(cell, remedy):
    with pytest.raises(InputError, match=remedy):
        number(cell, "error")


def test_an_empty_cell_and_a_word_for_none_are_no_number():
    assert all(math.isnan(number(cell, "error")) for cell in ("", " ", "NaN", "NA", "null"))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("a,b\n".encode("utf-16"), "UTF-16"),
        ("a,b\nü,1\n".encode("latin-1"), "line 2, byte 4"),
        (b"a,b\n\0,1\n", "NUL"),
    ],
)
def test_a_file_that_is_not_utf8_says_so_in_one_line(tmp_path, raw, said):
    path = tmp_path / "t.csv"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=said):
        text_of(path)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffa,b\r\n1,2\r\n".encode())
    assert read(text_of(path)) == (("a", "b"), [{"a": "1", "b": "2"}])


CELLS = st.one_of(
    st.sampled_from(["1", "0.5", "1,5", "7B", '"x, y"', '"', "nan", "", " 2 ", "1e3", "12 %", "a\nb"]),
    st.text(alphabet='ab1.,"\n\r\t ;-eé', max_size=6),
)  # fmt: skip
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=6).map("\n".join)
PLAIN = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def independent(text):
    """What Python's own strict reader makes of it: rows that are not blank, or None where it refuses."""
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
    return [row for row in rows if any(cell.strip() for cell in row)]


def agree(text):
    try:
        header, rows = read(text)
    except InputError:
        return
    other = independent(text)
    assert other is not None
    assert [c.strip() for c in other[0]] == list(header)
    assert len(other) - 1 == len(rows)
    for ours, theirs in zip(rows, other[1:], strict=True):
        assert list(ours.values()) == [c.strip() for c in theirs]
        for cell in theirs:
            try:
                value = number(cell, "x")
            except InputError:
                assert not PLAIN.fullmatch(cell) or math.isinf(float(cell))
                continue
            assert math.isnan(value) or (PLAIN.fullmatch(cell) and value == float(cell))


@settings(max_examples=200, deadline=None)
@given(TABLES)
def test_no_cell_of_a_malformed_table_differs_from_what_another_reader_sees(text):
    agree(text)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(TABLES)
def test_no_cell_of_thousands_of_tables_differs_from_what_another_reader_sees(text):
    agree(text)
