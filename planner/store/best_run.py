"""The best finished run within a latency, found from whichever side is rarer.

A walk in the order of errors is short where many runs are fast enough: it ends at the first of them.
Where few are, the fast ones are listed and the best of these is taken. For runs whose error says
nothing about their latency, the longer of the two is short at any limit (notebooks/LOG.md: a database
of a million runs). Where every accurate run is slow, a middling limit still is a long walk.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Exists, bindparam, exists, func, literal, select
from sqlalchemy.sql import ColumnElement

from planner.store.columns import DOUBLE, FINITE_MAX
from planner.store.prepared import PreparedStatement
from planner.store.read_runs import run
from planner.store.row_types import RunRow
from planner.store.schema import devices, evaluations, latencies, runs, trials
from planner.store.transactions import read
from planner.words.records import TASKS

FEW = 700
"""Most latencies that are listed. On a million runs 700 take 3 ms; where 700 of them are fast enough
the walk takes 2 ms, and three times that once in a hundred times (notebooks/LOG.md)."""

_METRIC = evaluations.c.metric == bindparam("metric")
_ON_TEST = evaluations.c.split == "test"
_FAST: ColumnElement[bool] = latencies.c.p50_ms <= bindparam("most", type_=DOUBLE)
_ON_DEVICE = latencies.c.device_id == bindparam("device")
_ITS_LATENCY = latencies.c.run_id == evaluations.c.run_id
_ORDER = (evaluations.c.error, evaluations.c.evaluation_id)


def _any(*conditions: ColumnElement[bool]) -> Exists:
    # Of a constant: `SELECT *` would have SQLite open the table beside an index that says it all.
    return exists(select(literal(1)).where(*conditions))


def _good(*within: ColumnElement[bool]) -> ColumnElement[bool]:
    """That an evaluation is of a finished run of the task, its own configuration within limits."""
    own = (
        latencies.c.run_id == runs.c.run_id,
        latencies.c.backbone == trials.c.backbone,
        latencies.c.audio_seconds == trials.c.audio_seconds,
        latencies.c.reduction == trials.c.reduction,
        *within,
    )
    return _any(
        runs.c.run_id == evaluations.c.run_id,
        runs.c.status == "finished",
        trials.c.trial_id == runs.c.trial_id,
        trials.c.task == bindparam("task"),
        *(own if within else ()),
    ).correlate(evaluations)


def _walk(*within: ColumnElement[bool]) -> PreparedStatement:
    """The first good run in the order of errors."""
    query = select(evaluations.c.run_id).where(_METRIC, _ON_TEST).order_by(*_ORDER).limit(1)
    if within:
        # An index alone answers this, for the many runs that are passed over.
        query = query.where(_any(_ITS_LATENCY, *within).correlate(evaluations))
    return PreparedStatement(query.where(_good(*within)))


_BEST, _BEST_FAST, _BEST_ON = _walk(), _walk(_FAST), _walk(_FAST, _ON_DEVICE)
_DEVICES = PreparedStatement(select(devices.c.device_id, devices.c.name))
_SOME = select(latencies.c.run_id).where(_FAST, _ON_DEVICE).limit(FEW + 1)
_N_FAST = PreparedStatement(select(func.count()).select_from(_SOME.subquery()))
_LISTED = PreparedStatement(
    select(*_ORDER)
    # Empty text keeps SQLite from the unique index, which has to fetch each row for its error.
    .where(_METRIC, evaluations.c.split.concat("") == "test")
    .where(evaluations.c.run_id.in_(select(latencies.c.run_id).where(_FAST, _ON_DEVICE)))
)
_CHECKED = PreparedStatement(
    select(evaluations.c.run_id)
    .where(evaluations.c.evaluation_id == bindparam("key"))
    .where(_good(_FAST, _ON_DEVICE))
)


def best_run(
    engine: Engine,
    task: str,
    *,
    metric: str | None = None,
    max_latency_ms: float | None = None,
    device: str | None = None,
) -> RunRow | None:
    """The finished run with the lowest error on `test` that meets a latency, or None.

    Of several with the same error, the one that was stored first.

    Args:
        engine: the database.
        task: `asr` or `emotion`.
        metric: another error than the task's.
        max_latency_ms: the largest median latency of its own configuration, as measured by the run.
        device: only latencies of this device.
    """
    asked = {"task": task, "metric": metric or TASKS[task]}

    def work(connection: Connection) -> int | None:
        if max_latency_ms is None and device is None:
            return _key(_BEST.first(connection, **asked))
        most = FINITE_MAX if max_latency_ms is None else max_latency_ms
        on = [key for key, name in _DEVICES.all(connection) if device in (None, name)]
        n_fast = 0
        for key in on:
            n_fast += _N_FAST.all(connection, most=most, device=key)[0][0]
            if n_fast > FEW:
                return _long_way(connection, None if device is None else key, most, asked)
        return _of_few(connection, on, most, asked)

    found = read(engine, work)
    return None if found is None else run(engine, found)


def _long_way(
    connection: Connection, device_id: int | None, most: float, asked: dict[str, str]
) -> int | None:
    if device_id is None:
        return _key(_BEST_FAST.first(connection, most=most, **asked))
    return _key(_BEST_ON.first(connection, most=most, device=device_id, **asked))


def _of_few(
    connection: Connection, on: list[int], most: float, asked: dict[str, str]
) -> int | None:
    listed = sorted(
        (error, evaluation_id, key)
        for key in on
        for error, evaluation_id in _LISTED.all(
            connection, most=most, device=key, metric=asked["metric"]
        )
    )
    for _, evaluation_id, key in listed:
        limits = {"most": most, "device": key, "task": asked["task"]}
        found = _key(_CHECKED.first(connection, key=evaluation_id, **limits))
        if found is not None:
            return found
    return None


def _key(row: tuple[int, ...] | None) -> int | None:
    return None if row is None else row[0]
