"""What the database itself refuses, through any door."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from planner.store.claims import finish
from planner.store.schema import metadata
from planner.store.views import VIEWS
from tests.store.samples import (
    LEASE,
    WORKER,
    claim_any,
    count,
    finished,
    latency,
    rows_of,
    sweep_of,
)

REAL_COLUMNS = [
    (table.name, column.name)
    for table in metadata.sorted_tables
    for column in table.columns
    if column.type.python_type is float
]
FILLED = ("trials", "runs", "evaluations", "utterances", "run_steps", "latencies")


@pytest.fixture
def filled(store):
    assert finish(store, claim_any(store, sweep_of(store, 1), WORKER, LEASE), finished())
    return store


def update(store, statement, **values):
    with store.begin() as connection:
        connection.execute(text(statement), values)


@pytest.mark.parametrize("value", ["9e999", "-9e999", "'abc'"], ids=["inf", "-inf", "text"])
def test_no_column_of_numbers_takes_infinity_or_text(filled, value):
    for table, column in REAL_COLUMNS:
        if filled.dialect.name == "postgresql" and "e999" in value:
            number = f"CAST('{'-' if value[0] == '-' else ''}Infinity' AS double precision)"
        else:
            number = value
        if table in FILLED:
            with pytest.raises(DBAPIError):
                update(filled, f"UPDATE {table} SET {column} = {number}")


@pytest.mark.postgres
def test_no_column_of_numbers_takes_nan_on_postgresql(postgres_store):
    finish(
        postgres_store,
        claim_any(postgres_store, sweep_of(postgres_store, 1), WORKER, LEASE),
        finished(),
    )
    for table, column in REAL_COLUMNS:
        if table in FILLED:
            with pytest.raises(DBAPIError, match=r"violates check constraint|invalid input"):
                update(postgres_store, f"UPDATE {table} SET {column} = 'NaN'")


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=st.floats(max_value=-1e-300) | st.sampled_from([float("nan"), float("inf")]))
def test_an_error_rate_is_a_finite_number_from_zero_on(filled, value):
    with pytest.raises(DBAPIError):
        update(filled, "UPDATE evaluations SET error = :v", v=value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trials SET state = 'done'",
        "UPDATE runs SET status = 'OK'",
        "UPDATE runs SET provenance = 'guessed'",
        "UPDATE latencies SET kv_cache = 2",
        "UPDATE trials SET state = 'running'",
        "UPDATE trials SET lease_until_seconds = 5",
        "UPDATE evaluations SET run_id = 99",
        "UPDATE utterances SET reference = NULL",
        "DELETE FROM runs",
        "DELETE FROM devices",
    ],
)
def test_words_leases_keys_and_facts_are_checked(filled, statement):
    with pytest.raises(DBAPIError):
        update(filled, statement)


def test_a_trial_has_at_most_one_finished_run(filled):
    second = (
        "INSERT INTO runs (trial_id, attempt, token, status, started_utc)"
        " SELECT trial_id, 2, 2, :status, started_utc FROM runs"
    )
    with pytest.raises(DBAPIError):
        update(filled, second, status="finished")
    update(filled, second, status="failed")


def test_a_fingerprint_names_one_trial(filled):
    columns = [c.name for c in metadata.tables["trials"].columns if c.name != "trial_id"]
    names = ", ".join(columns)
    with pytest.raises(DBAPIError):
        update(filled, f"INSERT INTO trials ({names}) SELECT {names} FROM trials")


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers_with_rows(filled, view):
    expected = {"v_utterances": 3, "v_axes": 3, "v_planned_vs_actual": 0, "v_engines": 0}
    assert count(filled, view) == expected.get(view, 1)


@pytest.mark.postgres
def test_the_views_have_the_same_columns_on_both_databases(sqlite_store, postgres_store):
    for view in VIEWS:
        query = text(f"SELECT * FROM {view} LIMIT 0")
        with sqlite_store.connect() as one, postgres_store.connect() as other:
            assert list(one.execute(query).keys()) == list(other.execute(query).keys())


def test_the_frontier_holds_what_nothing_beats(store):
    sweep = sweep_of(store, 4)
    for error, p50 in [(0.2, 10.0), (0.1, 20.0), (0.3, 30.0), (0.1, 25.0)]:
        claim = claim_any(store, sweep, WORKER, LEASE)
        assert finish(store, claim, finished(error=error, latencies=(latency(p50_ms=p50),)))
    found = rows_of(store, "SELECT error, latency_p50_ms FROM v_frontier ORDER BY error")
    assert found == [(0.1, 20.0), (0.2, 10.0)]
