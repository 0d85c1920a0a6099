"""Finished runs of a sweep as contestants, and what their training took."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import InputError
from planner.store import read
from planner.store.engine_results import exports
from planner.words.records import Resources
from runner.probing.contestants import Contestant, distinct

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.row_types import RunRow
    from runner.data.clips import DataSpec

ANY = "any"
"""All engines that there are exports for."""


def finished_runs(engine: Engine, sweep: str, host: str | None = None) -> list[RunRow]:
    """The sweep's finished runs that were trained here, of one host or of all."""
    found = read.runs(engine, sweep=sweep, status="finished")
    mine = [r for r in found if r.provenance == "measured" and r.precision is not None]
    return [r for r in mine if host in (None, r.host)]


def of_runs(engine: Engine, sweep: str, rows: Sequence[RunRow]) -> list[Contestant]:
    """A contestant in torch for each configuration of these runs; runs that agree share one."""
    resources = {row.trial_id: row.resources for row in read.sweep_status(engine, sweep).rows}
    return distinct([_of_run(engine, row, resources[row.trial_id]) for row in rows])


def _of_run(engine: Engine, row: RunRow, resources: Resources) -> Contestant:
    scored = read.utterances(engine, row.run_id)
    on_gpu = row.device is not None and any(
        d.name == row.device and d.kind == "cuda" for d in read.devices(engine)
    )
    return Contestant(
        run_id=row.run_id,
        precision=row.precision or "float32",
        trial=row.trial,
        resources=Resources(
            cpus=resources.cpus,
            gpus=1.0 if on_gpu else 0.0,
            device_label=resources.device_label,
        ),
        utterances=tuple(
            (u.utterance_id, u.audio_seconds, u.n_output_tokens)
            for u in scored
            if u.failure_text is None
        ),
        mean_output_tokens=row.mean_output_tokens,
    )


def of_exports(
    engine: Engine, contestants: Sequence[Contestant], engines: Sequence[str]
) -> list[Contestant]:
    """The newest export of each of these runs in each engine and precision that is here, as a contestant.

    Args:
        engine: the database.
        contestants: of the runs, in torch.
        engines: names of engines; `any` is all.

    Raises:
        InputError: no export in one of the engines is here.
    """
    out: dict[str, Contestant] = {}
    for one in contestants:
        for run_id in (one.run_id, *one.also):
            for export in exports(engine, run_id):
                if not ({ANY, export.engine} & set(engines) and Path(export.folder).is_dir()):
                    continue
                made = dataclasses.replace(
                    one, run_id=run_id, also=(), engine=export.engine, precision=export.precision,
                    folder=export.folder,
                )  # fmt: skip
                out.setdefault(made.key, made)
    there = {c.engine for c in out.values()}
    for name in engines:
        if name not in there and not (name == ANY and there):
            raise InputError(
                f"no run has an export for engine {name} that is here; write one with: "
                "soundscale export RUN --to FORMAT OUT"
            )
    return list(out.values())


def data_of(engine: Engine, sweep: str) -> DataSpec:
    """The corpus that a stored sweep asked for.

    Raises:
        UnknownNameError: no sweep has the name.
        InputError: its stored file cannot be read by this version.
    """
    from runner.sweep.file import parse_spec

    stored = read.sweep_status(engine, sweep).spec_json
    spec = parse_spec(json.loads(stored), f"the stored sweep {sweep!r}", read.catalogue(engine))
    return spec.data_request


def busy_seconds(rows: Sequence[RunRow]) -> float:
    """How long at least one of the runs was under way: a pause between drivers is none of it.

    >>> from types import SimpleNamespace as Row
    >>> def row(a, b): return Row(started_utc=f"2026-01-01T00:00:{a}Z", finished_utc=f"2026-01-01T00:00:{b}Z")
    >>> busy_seconds([row("00", "10"), row("05", "20"), row("50", "59")])
    29.0
    """
    spans = sorted(
        (datetime.fromisoformat(r.started_utc), datetime.fromisoformat(r.finished_utc))
        for r in rows
        if r.started_utc and r.finished_utc
    )
    total, end = 0.0, None
    for start, stop in spans:
        begin = start if end is None else max(start, end)
        total += max(0.0, (stop - begin).total_seconds())
        end = stop if end is None else max(end, stop)
    return total


def require_some(contestants: Sequence[Contestant], sweep: str) -> None:
    """Refuse a stage without contestants.

    Raises:
        InputError: no run of the sweep is finished.
    """
    if not contestants:
        raise InputError(
            f"sweep {sweep!r} has no finished run whose latency could be measured; train it with: "
            "soundscale sweep run"
        )
