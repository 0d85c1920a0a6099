"""What a sweep's trials were expected to take, kept from before they started, beside what they took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping, and_, select

from planner.costs.trial_forecast import Forecast, TrialEstimate
from planner.store import schema, to_rows
from planner.store.clock import NowUtc
from planner.store.read_runs import trial_of
from planner.store.transactions import read, write
from planner.words.records import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastRow:
    """A trial of a sweep: the forecast (None: none was kept) and its last attempt's outcome."""

    trial_id: int
    trial: Trial
    state: str
    run_id: int | None
    forecast: Forecast | None
    trial_seconds: float | None
    train_seconds: float | None
    train_flops: float | None
    peak_memory_bytes: int | None
    device: str | None


def save(engine: Engine, sweep_id: int, forecasts: Mapping[str, Forecast]) -> int:
    """Keep forecasts by the fingerprints of a sweep's trials; the first of each stays. How many are new."""
    table, trials, members = schema.forecasts, schema.trials, schema.sweep_trials

    def work(connection: Connection) -> int:
        known = select(table.c.trial_id).where(table.c.sweep_id == sweep_id)
        query = (
            select(trials.c.trial_id, trials.c.fingerprint)
            .join(members, members.c.trial_id == trials.c.trial_id)
            .where(members.c.sweep_id == sweep_id, trials.c.trial_id.not_in(known))
        )
        now = connection.execute(select(NowUtc())).scalar_one()
        new = [
            _values(forecasts[row.fingerprint])
            | {"sweep_id": sweep_id, "trial_id": row.trial_id, "created_utc": now}
            for row in connection.execute(query).all()
            if row.fingerprint in forecasts
        ]
        to_rows.insert_new(connection, table, new)
        return len(new)

    return write(engine, work)


def of_sweep(engine: Engine, sweep_id: int) -> list[ForecastRow]:
    """Every trial of a sweep in order, forecast and outcome."""
    f, t, r, d = schema.forecasts, schema.trials, schema.runs, schema.devices
    members = schema.sweep_trials
    latest = and_(r.c.trial_id == t.c.trial_id, r.c.attempt == t.c.n_attempts)
    columns = [c.label(f"planned_{c.name}") for c in f.c if c.name not in ("sweep_id", "trial_id")]
    query = (
        select(
            t.c.trial_id, t.c.trial_json, t.c.state, r.c.run_id, r.c.started_utc, r.c.finished_utc,
            r.c.train_seconds, r.c.train_flops, r.c.peak_memory_bytes, d.c.name.label("device"), *columns,
        )
        .select_from(members)
        .join(t, t.c.trial_id == members.c.trial_id)
        .outerjoin(r, latest)
        .outerjoin(d, d.c.device_id == r.c.device_id)
        .outerjoin(f, and_(f.c.sweep_id == members.c.sweep_id, f.c.trial_id == t.c.trial_id))
        .where(members.c.sweep_id == sweep_id)
        .order_by(members.c.position)
    )  # fmt: skip
    return read(engine, lambda c: [_row(row) for row in c.execute(query).mappings()])


def _values(forecast: Forecast) -> dict[str, object]:
    seconds, memory = forecast.trial_seconds, forecast.peak_memory_bytes
    return {
        "device": forecast.device,
        "source": forecast.source,
        "train_flops": forecast.train_flops,
        "score_flops": forecast.score_flops,
        "trial_seconds": seconds.value,
        "trial_seconds_low": seconds.low,
        "trial_seconds_high": seconds.high,
        "peak_memory_bytes": memory.value,
        "peak_memory_bytes_low": memory.low,
        "peak_memory_bytes_high": memory.high,
    }


def _row(row: RowMapping) -> ForecastRow:
    finished = row["state"] == "finished"
    return ForecastRow(
        trial_id=row["trial_id"],
        trial=trial_of(row["trial_json"]),
        state=row["state"],
        run_id=row["run_id"],
        forecast=_forecast(row) if row["planned_device"] is not None else None,
        trial_seconds=_seconds(row) if finished else None,
        train_seconds=row["train_seconds"] if finished else None,
        train_flops=row["train_flops"] if finished else None,
        peak_memory_bytes=row["peak_memory_bytes"] if finished else None,
        device=row["device"],
    )


def _forecast(row: RowMapping) -> Forecast:
    def estimate(name: str) -> TrialEstimate:
        return TrialEstimate(
            value=row[f"planned_{name}"],
            low=row[f"planned_{name}_low"],
            high=row[f"planned_{name}_high"],
        )

    return Forecast(
        device=row["planned_device"],
        source=row["planned_source"],
        train_flops=row["planned_train_flops"],
        score_flops=row["planned_score_flops"],
        trial_seconds=estimate("trial_seconds"),
        peak_memory_bytes=estimate("peak_memory_bytes"),
    )


def _seconds(row: RowMapping) -> float | None:
    if row["finished_utc"] is None or row["started_utc"] is None:
        return None
    started, ended = (datetime.fromisoformat(row[k]) for k in ("started_utc", "finished_utc"))
    return (ended - started).total_seconds()
