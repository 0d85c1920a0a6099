"""Every row of a table with what its law says of it: prediction, residual, influence, or why it was left out."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from planner.laws.forms.link import Link
from planner.laws.influence import Influence, influence
from planner.laws.observations import Observations, usable_rows
from planner.laws.result import LawFit

_PREDICTED = ("predicted", "low", "high", "residual")
_INFLUENCE = tuple(field.name for field in dataclasses.fields(Influence))


def row_records(
    fit: LawFit, observations: Observations, keys: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """Every row as given: measured, predicted, residual and influence, or why it was left out.

    `row` counts from 1; `low` and `high` are the interval of a new run; `residual` is ln(measured / predicted)
    on the law's link; what `Influence` holds is of the leading form.
    """
    used = usable_rows(observations, signed=fit.link == "signed")
    reasons = {one.row: one.reason for one in fit.exclusions}
    fitted = observations.rows(used)
    band = fit.predict(fitted.x, level=fit.level, kind="new-run")
    link = Link(fit.link, fit.offset)
    off = link.forward(fitted.error) - link.forward(band.mean)
    effects = influence(observations, fit)
    found = iter(zip(band.mean, band.low, band.high, off, effects, strict=True))
    records = []
    for i, use in enumerate(used.tolist()):
        x = {a: _plain(v) for a, v in zip(observations.axes, observations.x[i], strict=True)}
        record: dict[str, Any] = {"row": i + 1, "key": keys[i], **x}
        record[observations.metric] = _plain(observations.error[i])
        if use:
            *numbers, effect = next(found)
            record |= dict(zip(_PREDICTED, map(float, numbers), strict=True))
            record |= dataclasses.asdict(effect) | {"left_out": None}
        else:
            record |= dict.fromkeys((*_PREDICTED, *_INFLUENCE)) | {
                "left_out": reasons.get(i, "not usable")
            }
        records.append(record)
    return records


def _plain(value: float) -> float | None:
    return None if not math.isfinite(value) else float(value)
