"""What is known of a device: its measurements, its data sheet, and the latency model of both.

A data sheet is built in (planner.costs.latency.data_sheets) or stored with the device by `soundscale devices add`.
From `OWN_MODEL` measured configurations on, the device's own model is fitted; with fewer, the data sheet
is scaled to them where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from planner.costs.latency.measured import configuration
from planner.costs.latency.model import LatencyModel, fit_latency_model
from planner.costs.latency.transfer import DataSheet, datasheet_model, transfer_model
from planner.errors import InputError
from planner.store import read, write
from planner.store.device_sheets import DETAIL, data_sheet
from planner.words.catalogue import BUILT_IN
from planner.words.records import Device, Latency

OWN_MODEL = 6
"""Measured configurations from which a device needs no data sheet (assumption: 3 to 5 are anchors)."""


def model_of(engine: Engine | None, name: str, latencies: Sequence[Latency]) -> LatencyModel | None:
    """The latency model of a device: own, transferred from its data sheet, or that alone.

    None where it has neither measurements nor a data sheet.
    """
    n = len({configuration(m) for m in latencies})
    backbones = BUILT_IN if engine is None else read.catalogue(engine)
    if n >= OWN_MODEL:
        return fit_latency_model(latencies, catalogue=backbones)
    sheet = data_sheet(engine, name)
    if sheet is None:
        return fit_latency_model(latencies, catalogue=backbones) if n else None
    base = datasheet_model(sheet)
    return transfer_model(base, latencies, catalogue=backbones) if n else base


def measured_names(engine: Engine) -> list[str]:
    """Devices with measurements, sorted."""
    return sorted({s.latency.device.name for s in read.latencies(engine)})


def described(engine: Engine, name: str | None) -> Device | None:
    """A device as it is stored; None where it is not, or none is named."""
    return next((d for d in read.devices(engine) if d.name == name), None)


def add_sheet(engine: Engine, sheet: DataSheet) -> None:
    """Store a data sheet with its device; measurements under that name are kept.

    Raises:
        InputError: the device has another data sheet already.
    """
    values: dict[str, Any] = {k: v for k, v in asdict(sheet).items() if v is not None}
    device = Device(
        name=sheet.name, kind=sheet.kind, model="data sheet", n_threads=1,
        memory_bytes=sheet.memory_bytes, details={DETAIL: values},
    )  # fmt: skip
    write.save_device(engine, device)
    present = next(d for d in read.devices(engine) if d.name == sheet.name)
    stored = (present.details or {}).get(DETAIL)
    if stored is None:
        write.add_device_details(engine, sheet.name, {DETAIL: values})
    elif stored != values:
        raise InputError(
            f"device {sheet.name!r} has another data sheet already, and answers may rest on it; "
            "give the new one another name"
        )
