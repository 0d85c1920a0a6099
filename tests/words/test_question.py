"""What can be asked is described once, and everything that asks is made from the description."""

import dataclasses

import pytest

from planner.errors import InputError
from planner.words.asked import check, named
from planner.words.question import (
    COST_UNITS,
    COSTS,
    FRONTIER,
    KINDS,
    LIMITS,
    QUESTION,
    SUGGEST,
    TARGET,
    WHATIF,
    PlanQuery,
    as_json,
)

EVERYTHING = (*QUESTION, *TARGET, *FRONTIER, *WHATIF, *SUGGEST)
RANGED = [one for one in EVERYTHING if one.low is not None]
NOT_ASKED = {"more_limits", "n_draws", "seed"}
"""Fields of a query that a program sets and nobody is asked for."""


def test_every_field_of_a_query_is_described_or_known_as_not_asked():
    fields = {f.name for f in dataclasses.fields(PlanQuery)}
    assert fields == {one.name for one in QUESTION} | NOT_ASKED


@pytest.mark.parametrize("one", EVERYTHING, ids=lambda one: one.name)
def test_an_option_is_the_key_with_dashes_and_without_the_unit_of_its_value(one):
    units = {"latency": "_ms", "bytes": "_bytes", "energy": "_j_per_hour", "power": "_watts"}
    unit = units.get(one.kind, "")
    assert one.option.removeprefix("--").replace("-", "_") + unit == one.name
    assert one.help.rstrip("]").endswith((".", "%"))


@pytest.mark.parametrize("one", RANGED, ids=lambda one: one.name)
def test_a_range_holds_its_ends_and_nothing_beyond(one):
    for value in (one.low, one.high, None):
        one.check(value)
    for value in (one.low / 2, one.high * 2, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=one.name):
            one.check(value)


@pytest.mark.parametrize("one", [o for o in RANGED if o in QUESTION], ids=lambda one: one.name)
def test_a_query_refuses_what_its_description_refuses(one):
    PlanQuery(task="asr", **{one.name: one.high})
    with pytest.raises(InputError, match=one.name):
        PlanQuery(task="asr", **{one.name: one.high * 2})


def test_choices_are_checked_too():
    with pytest.raises(InputError, match="quantile must be p95 or p50, got 'p99'"):
        PlanQuery(task="asr", quantile="p99")
    with pytest.raises(InputError, match="error"):
        check(TARGET, error=8.0)


def test_costs_are_named_as_their_limits_are():
    assert COSTS == {
        "flops": "flops", "latency": "latency_ms", "memory": "memory_bytes",
        "train-flops": "train_flops", "rtfx": "real_time_factor", "cost-per-1000h": "cost_per_1000h",
        "energy": "energy_j_per_hour", "size": "size_bytes", "train-hours": "train_hours",
    }  # fmt: skip
    assert set(COSTS.values()) == set(COST_UNITS)
    for one in (FRONTIER[0], named(TARGET, "minimise")):
        assert list(one.choices) == list(COSTS)


def test_a_query_without_limits_is_the_same_question_with_none():
    asked = PlanQuery(task="asr", flops=1e9, latency_ms=5.0, min_prob=0.5, per="window")
    bare = asked.without_limits
    assert (bare.limits, bare.min_prob, bare.per) == ({}, 0.9, "window")
    assert bare.limited_as(asked) == asked


def test_no_field_is_asked_twice_by_one_command():
    for command, fields in KINDS.items():
        names = [one.name for one in fields]
        assert len(names) == len(set(names)), command


def test_a_form_gets_every_field_but_a_file():
    told = {one["name"]: one for one in as_json()}
    assert set(told) == {one.name for one in QUESTION} - {"candidates"}
    assert told["latency_ms"]["limit"] is True
    assert {n for n, one in told.items() if one["limit"]} == {one.name for one in LIMITS}
    assert list(told["per"]["choices"]) == ["utterance", "window"]
