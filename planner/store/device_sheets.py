"""Data sheets of devices: those stored by their owners before the built-in ones."""

from __future__ import annotations

from sqlalchemy import Engine

from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.latency.transfer import DataSheet
from planner.store import read

DETAIL = "datasheet"
"""Key of a device's details that holds its sheet."""


def data_sheet(engine: Engine | None, name: str) -> DataSheet | None:
    """The data sheet of a device by its name, the user's own first; None where there is none."""
    for device in read.devices(engine) if engine is not None else ():
        if device.name == name and device.details and DETAIL in device.details:
            return DataSheet(**device.details[DETAIL])
    return DATA_SHEETS.get(name)
