"""Time and memory of a sweep's trials before they start, learnt from earlier trials on the device."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from planner.costs.flops.forward import forward_flops
from planner.costs.trial_forecast import (
    UNKNOWN,
    Forecast,
    Outcome,
    Rates,
    Work,
    forecast,
    launch_seconds,
    rates_of,
    total_seconds,
)
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import Device, Resources, Trial
from runner.data.clips import Corpus
from runner.sweep.prepare import (
    PreparedSweep,
    database_exists,
    estimate,
    n_scored_windows,
    scoring_flops,
)
from runner.trial.estimates import n_label_tokens, training_flops
from runner.trial.memory import memory_of, require_room
from runner.trial.recipe import micro_batch_for

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.read import RunRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where trials are to run: the device, its rates and its memory."""

    rates: Rates
    kind: str
    memory_bytes: int | None


def place_here(engine: Engine | None, resources: Resources) -> Place:
    """This machine, as a trial with those resources meets it."""
    from runner.trial.device import describe, torch_device, use_threads

    use_threads(resources)
    return place_of(engine, describe(torch_device(resources), resources.device_label))


def resources_here(prepared: PreparedSweep) -> Resources:
    """What a trial of the sweep is given on this machine: a GPU where it has one, unless it says less."""
    from runner.trial.device import n_gpus

    return prepared.spec.resources.on(n_gpus())


def place_named(engine: Engine | None, name: str) -> Place:
    """A device by its name: one that trials ran on, or one with a data sheet.

    Raises:
        UnknownNameError: neither is known.
    """
    from planner.costs.latency.data_sheets import DATA_SHEETS
    from planner.store.device_sheets import data_sheet
    from planner.store.read import devices

    devices_by_name = {d.name: d for d in (devices(engine) if engine is not None else ())}
    sheet = data_sheet(engine, name)
    if name not in devices_by_name and sheet is None:
        remedy = f"data sheets are known of {', '.join(sorted(DATA_SHEETS))}; others: soundscale devices add"
        raise UnknownNameError("device", name, sorted(devices_by_name), remedy=remedy)
    device = devices_by_name.get(name)
    if device is None and sheet is not None:
        device = Device(
            name=name,
            kind=sheet.kind,
            model="data sheet",
            n_threads=1,
            memory_bytes=sheet.memory_bytes,
        )
    assert device is not None
    return place_of(engine, device)


def place_of(engine: Engine | None, device: Device) -> Place:
    """A device with the rates of its earlier trials, of its data sheet, or of assumptions alone."""
    from planner.store.device_sheets import data_sheet

    sheet = data_sheet(engine, device.name)
    base = sheet or UNKNOWN["cpu" if device.kind == "cpu" else "cuda"]
    if sheet is None and device.kind == "cpu":
        base = replace(base, peak_flops=base.peak_flops * device.n_threads)
    seen = outcomes(engine, device.name) if engine is not None else []
    return Place(
        rates=rates_of(seen, base, device.name, assumed=sheet is None),
        kind=base.kind,
        memory_bytes=device.memory_bytes or base.memory_bytes,
    )


LATEST = 50
"""Earlier trials that rates are learnt from: the machine's software changes, and old ones tell less."""


def outcomes(engine: Engine, device: str) -> list[Outcome]:
    """What the latest finished trials on a device took; those that cannot be counted are left out."""
    from planner.store.read import catalogue, latest_on_device

    earlier, backbones = [], catalogue(engine)
    for row in latest_on_device(engine, device, LATEST):
        if row.score_seconds is not None:
            with suppress(InputError):  # a backbone that this database does not describe
                earlier.append(_outcome(row, backbones))
    return earlier


def _outcome(row: RunRow, catalogue: Catalogue) -> Outcome:
    trained = row.train_seconds if row.train_flops else None
    labels = max(1, round((row.mean_output_tokens or 0.0) + 1))
    kind = "cpu" if row.precision == "float32" else "cuda"
    shape = catalogue.backbone(row.trial.backbone)
    closed = memory_of(row.trial, shape, labels, row.micro_batch, kind)
    return Outcome(
        train_flops=row.train_flops or None,
        train_seconds=trained,
        score_flops=_scored_flops(row, catalogue),
        score_seconds=row.score_seconds,
        other_seconds=_other_seconds(row),
        closed_bytes=float(closed.total) if closed else None,
        peak_bytes=float(row.peak_memory_bytes) if row.peak_memory_bytes else None,
    )


def _scored_flops(row: RunRow, catalogue: Catalogue) -> float | None:
    """Forward FLOPs behind `score_seconds`; None where validation, whose windows no row counts, took part."""
    if "validation_error" in row.evaluation_details:
        return None
    n_windows = (row.mean_windows or 1.0) * (row.n_utterances or 0)
    tokens = round(row.mean_output_tokens) if row.mean_output_tokens is not None else 0
    if not n_windows:
        return None
    trial = row.trial
    one = forward_flops(
        catalogue.backbone(trial.backbone), audio_seconds=trial.audio_seconds, reduction=trial.reduction,
        n_output_tokens=tokens, padding=trial.padding, task=trial.task,
    )  # fmt: skip
    return float(one.total) * n_windows


def _other_seconds(row: RunRow) -> float | None:
    if row.finished_utc is None:
        return None
    whole = datetime.fromisoformat(row.finished_utc) - datetime.fromisoformat(row.started_utc)
    return whole.total_seconds() - (row.train_seconds or 0.0) - (row.score_seconds or 0.0)


def work_of(
    trial: Trial, resources: Resources, corpus: Corpus, kind: str, catalogue: Catalogue = BUILT_IN
) -> Work:
    """What a trial asks of a device of that kind."""
    from runner.trial.hearing import WINDOWS_AT_ONCE

    shape = catalogue.backbone(trial.backbone)
    labels, micro = n_label_tokens(trial, corpus), micro_batch_for(trial, resources)
    usual, least = (
        memory_of(
            trial, shape, labels, n, kind, gradient_checkpointing=resources.gradient_checkpointing
        )
        for n in (micro, 1)
    )
    optimisation = trial.optimisation
    passes = optimisation.steps * math.ceil(optimisation.batch_size / micro)
    windows = n_scored_windows(trial, corpus, validate=resources.validate)
    return Work(
        train_flops=training_flops(trial, corpus, catalogue),
        score_flops=scoring_flops(trial, corpus, catalogue, validate=resources.validate),
        closed_bytes=float(usual.total) if usual else 0.0,
        least_bytes=float(least.total) if least else 0.0,
        launch_seconds=launch_seconds(
            shape,
            kind,
            n_passes=passes,
            n_score_batches=windows / WINDOWS_AT_ONCE,
            n_output_tokens=labels if trial.task == "asr" else 0,
        ),
    )


def before(
    prepared: PreparedSweep, todo: Sequence[Trial], db: str, *, here: bool, gpus: bool = True
) -> dict[str, Forecast]:
    """Forecasts by fingerprint of the trials that a sweep is about to run on this machine.

    Empty for a cluster, whose devices are not known from here; its workers check their own memory.

    Args:
        prepared: the sweep.
        todo: the trials that are to run.
        db: the database's URL.
        here: whether they run on this machine.
        gpus: whether this machine's GPUs are used.

    Raises:
        InputError: a trial cannot fit this machine's memory.
    """
    if not here or not todo:
        return {}
    here_resources = resources_here(prepared) if gpus else prepared.trials[0][1]
    with _known(db) as engine:
        place = place_here(engine, here_resources)
    wanted = {t.fingerprint for t in todo}
    device, kind, memory = place.rates.device, place.kind, place.memory_bytes
    for trial, resources in prepared.trials:
        if trial.fingerprint in wanted:
            shape = prepared.catalogue.backbone(trial.backbone)
            require_room(trial, shape, resources, prepared.corpus, device, kind, memory)
    return {
        trial.fingerprint: forecast(
            work_of(trial, resources, prepared.corpus, place.kind, prepared.catalogue), place.rates
        )
        for trial, resources in prepared.trials
        if trial.fingerprint in wanted
    }


def dry_run(
    prepared: PreparedSweep,
    stored_states: Mapping[str, str],
    db: str,
    device: str | None,
    workers: int | None,
) -> dict[str, Any]:
    """`{"trials": [...], "total": {...}}`: what a sweep will take on a device, in intervals."""
    resources = resources_here(prepared)
    with _known(db) as engine:
        place = place_named(engine, device) if device else place_here(engine, resources)
    rows = estimate(prepared, stored_states)
    for row, (trial, needs) in zip(rows, prepared.trials, strict=True):
        work = work_of(trial, needs, prepared.corpus, place.kind, prepared.catalogue)
        expected = forecast(work, place.rates)
        fits = place.memory_bytes is None or work.least_bytes <= place.memory_bytes
        row |= {
            "device": expected.device,
            "source": expected.source,
            "trial_seconds": asdict(expected.trial_seconds),
            "peak_memory_bytes": asdict(expected.peak_memory_bytes),
            "fits": fits,
        }
    todo = [
        t
        for t, _ in prepared.trials
        if stored_states.get(t.fingerprint) not in ("finished", "failed")
    ]
    at_once = workers or (1 if device else max(1, int((os.cpu_count() or 1) // resources.cpus)))
    return {"trials": rows, "total": totals(prepared, todo, place, at_once)}


@contextmanager
def _known(db: str) -> Iterator[Engine | None]:
    """The database where it is there already; a forecast creates none."""
    from planner.store.engine import opened

    if not database_exists(db):
        yield None
        return
    with opened(db, must_exist=True) as engine:
        yield engine


def totals(
    prepared: PreparedSweep, todo: Sequence[Trial], place: Place, workers: int
) -> dict[str, Any]:
    """The whole sweep: seconds of all trials together, and by the clock with so many workers.

    By the clock no less than the longest trial, and all trials shared out evenly otherwise.
    """
    wanted = {t.fingerprint for t in todo}
    works = [
        work_of(t, r, prepared.corpus, place.kind, prepared.catalogue)
        for t, r in prepared.trials
        if t.fingerprint in wanted
    ]
    together = total_seconds(works, place.rates)
    longest = max((total_seconds([w], place.rates).value for w in works), default=0.0)
    share = max(together.value / workers, longest) / together.value if works else 0.0
    return {
        "device": place.rates.device,
        "source": place.rates.source,
        "n_earlier_trials": place.rates.n_trials,
        "n_trials": len(works),
        "workers": workers,
        "train_flops": sum(w.train_flops for w in works),
        "score_flops": sum(w.score_flops for w in works),
        "trial_seconds": _plain(together.value, together.low, together.high),
        "wall_seconds": _plain(*(share * v for v in (together.value, together.low, together.high))),
        "level": 0.9,
    }


def _plain(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}
