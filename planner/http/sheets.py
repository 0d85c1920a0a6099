"""What the page shows beside an answer: candidates in compact form, and what the database holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, text

from planner import __version__
from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.http.world import World
from planner.plan.configurations import Config
from planner.plan.frontier import kind_of, pareto
from planner.report import law_curves
from planner.service.prepared import UNUSABLE, Prepared
from planner.store.engine import redacted, resolve_url
from planner.store.transactions import read
from planner.words.records import TASKS, Reduction

MAX_CANDIDATES = 2000
"""Candidates that the page is sent; beyond, those on the frontiers and the measured come first."""


def candidates(prepared: Prepared) -> dict[str, Any]:
    """Every candidate with its error and costs, and which of them lie on each frontier."""
    table = prepared.table
    frontiers = {name: [p.index for p in pareto(table, name)] for name in table.shown(())}
    chosen = _chosen(prepared, frontiers)
    place = {j: i for i, j in enumerate(chosen)}
    return {
        "fit_id": prepared.report.fit_id,
        "study": prepared.report.evidence.study.label,
        "metric": prepared.report.evidence.study.metric,
        "device": prepared.query.device,
        "convention": prepared.query.convention,
        "n_candidates": len(table),
        "items": [_candidate(prepared, j) for j in chosen],
        "frontiers": {k: [place[j] for j in v if j in place] for k, v in frontiers.items()},
        "unknown": {k: why for k, why in table.unknown.items() if k not in table.hidden},
    }


def _chosen(prepared: Prepared, frontiers: dict[str, list[int]]) -> list[int]:
    table = prepared.table
    if len(table) <= MAX_CANDIDATES:
        return list(range(len(table)))
    first = dict.fromkeys(j for points in frontiers.values() for j in points)
    first |= dict.fromkeys(j for j in range(len(table)) if table.run_ids[j])
    rest = range(0, len(table), max(len(table) // MAX_CANDIDATES, 1))
    return list(first | dict.fromkeys(rest))[:MAX_CANDIDATES]


def _candidate(prepared: Prepared, j: int) -> dict[str, Any]:
    table = prepared.table
    measured = table.measured_error[j]
    return {
        **table.configs[j].to_json(),
        "label": table.configs[j].label,
        "error": float(table.error[j]),
        "low": float(table.error_low[j]),
        "high": float(table.error_high[j]),
        "kind": kind_of(table, j),
        "run_ids": list(table.run_ids[j]),
        "measured_error": None if measured != measured else float(measured),
        "costs": {name: float(cost.value[j]) for name, cost in table.shown(()).items()},
    }


def drawn(
    prepared: Prepared, backbone: str, audio_seconds: float, reduction: str
) -> dict[str, Any]:
    """The axis curves through one configuration, and the iso-FLOP curves of the study.

    Raises:
        InputError: the backbone is unknown, or the reduction cannot be read.
    """
    report, query = prepared.report, prepared.query
    first = prepared.table.configs[0]
    config = Config(
        backbone=backbone, audio_seconds=audio_seconds, reduction=Reduction.parse(reduction),
        adaptation=first.adaptation, padding=first.padding,
    )  # fmt: skip
    return {
        "config": config.to_json(),
        "metric": report.evidence.study.metric,
        "level": query.level,
        "axes": law_curves.axis_curves(
            report.fit, report.evidence, config, query.level, _believed(prepared, config)
        ),
        "iso_flops": law_curves.iso_flops(prepared.table, query, report.fit, report.evidence),
    }


def _believed(prepared: Prepared, config: Config) -> float | None:
    """The expected error of a configuration that is among the candidates."""
    table = prepared.table
    if config not in table.configs:
        return None
    return float(table.error[table.configs.index(config)])


_COUNTS = """
SELECT t.task, t.dataset, r.provenance, t.adaptation, r.status, count(*) AS n
FROM runs r JOIN trials t ON t.trial_id = r.trial_id
GROUP BY t.task, t.dataset, r.provenance, t.adaptation, r.status
ORDER BY n DESC, t.task, t.dataset
"""
_DEVICES = """
SELECT d.name, count(*) AS n FROM latencies l JOIN devices d ON d.device_id = l.device_id
GROUP BY d.name ORDER BY d.name
"""


def overview(world: World) -> dict[str, Any]:
    """What can be asked of this database: tasks and studies with runs, devices with measurements."""
    return read(world.engine, lambda c: _overview(c, world.db))


def _overview(connection: Any, db: str | None) -> dict[str, Any]:
    rows = connection.execute(text(_COUNTS)).mappings().all()
    tasks: dict[str, dict[str, Any]] = {}
    for row in rows:
        task = tasks.setdefault(
            row["task"],
            {"task": row["task"], "metric": TASKS.get(row["task"], "error"), "n_finished": 0,
             "n_runs": 0, "studies": []},
        )  # fmt: skip
        task["n_runs"] += row["n"]
        if row["status"] == "finished":
            task["n_finished"] += row["n"]
            keys = ("dataset", "provenance", "adaptation", "n")
            task["studies"].append({k: row[k] for k in keys})
    devices = connection.execute(text(_DEVICES)).mappings().all()
    return {
        "version": __version__,
        "database": redacted(resolve_url(db)),
        "n_runs": sum(r["n"] for r in rows),
        "tasks": sorted(tasks.values(), key=lambda t: -t["n_finished"]),
        "devices": [{"name": d["name"], "n_latencies": d["n"]} for d in devices],
        "data_sheets": sorted({*DATA_SHEETS} - {d["name"] for d in devices}),
    }


def usable_fit(engine: Engine) -> bool:
    """Whether a law that may be planned from is stored."""
    query = "SELECT count(*) FROM law_fits WHERE status NOT IN ({})".format(
        ", ".join(f"'{s}'" for s in sorted(UNUSABLE))
    )
    return bool(read(engine, lambda c: c.execute(text(query)).scalar_one()))
