"""Quantities with units: in, out, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import UnitError
from planner.words.units import (
    format_bytes,
    format_duration,
    format_flops,
    format_ms,
    parse_bytes,
    parse_error,
    parse_flops,
    parse_latency_ms,
)

POSITIVE = st.floats(1e-3, 1e17, allow_nan=False)


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (parse_flops, "700G", 700e9),
        (parse_flops, "2PFLOP", 2e15),
        (parse_flops, "1.5 TFLOPs", 1.5e12),
        (parse_flops, "2e9", 2e9),
        (parse_latency_ms, "250ms", 250.0),
        (parse_latency_ms, "0.4s", 400.0),
        (parse_latency_ms, "90", 90.0),
        (parse_bytes, "8GiB", 8 * 2**30),
        (parse_bytes, "500MB", 5e8),
        (parse_error, "8%", 0.08),
        (parse_error, "0.08", 0.08),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_a_quantity_is_read_in_its_unit(reader, text, value):
    assert reader(text) == pytest.approx(value)


@pytest.mark.parametrize("reader", [parse_flops, parse_latency_ms, parse_bytes, parse_error])
@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "", "G", "1 parsec", "12QQ"])
def test_what_is_not_a_positive_quantity_is_refused(reader, text):
    with pytest.raises(UnitError):
        reader(text)


@given(POSITIVE)
def test_flops_survive_being_printed_to_four_digits(value):
    assert parse_flops(format_flops(value)) == pytest.approx(value, rel=1e-3)


@given(st.floats(1e-2, 5e4))
def test_latency_survives_being_printed_to_three_digits(value):
    assert parse_latency_ms(format_ms(value)) == pytest.approx(value, rel=1e-2)


@given(st.floats(1.0, 1e14))
def test_bytes_survive_being_printed(value):
    assert parse_bytes(format_bytes(value)) == pytest.approx(value, rel=1e-3)


def test_durations_read_as_people_say_them():
    assert [format_duration(s) for s in (38, 252, 3900)] == ["38 s", "4 min 12 s", "1 h 05 min"]
