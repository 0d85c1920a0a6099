"""Latency on a device from its measurements: a non-negative sum of stages, with an interval.

p50 of one window is the sum of its stages (stages.py), each fitted by non-negative least squares on
relative errors: to its own times where the measurements tell the stages apart, else all together.
How many columns are used follows the number of measured configurations (stage_fit.py), down to one
rate of FLOPs from a single measurement. The interval (90 %) is Student-t: the stages' spreads and
parameter variances, weighted by their shares of the prediction, widened outside the measured range.
p95 is p50 times the device's median ratio of the two, whose scatter widens its interval.

Both are of a window. Of whole requests, each with its own windows and tokens, quantiles are taken from
measurements that timed them; elsewhere planner.plan.workload has them from `token_share`.

Sources: `measured` (this very configuration on this device, its requests timed), `measured window` (one
window of it was repeated), either with `under load` where the device was not quiet and no quiet one is
known, `imported` (a table told it of this very configuration), `interpolated` (inside the measured range
of every quantity in use), `transferred` (outside it, or another device's costs scaled to a few anchors),
`datasheet` (peak FLOP/s and bandwidth alone, planner.costs.datasheet).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

import numpy as np

from planner.costs.latency.measured import (
    LEAST_SD,
    by_configuration,
    configuration,
    noise_of,
    tail_ratio,
    usable,
)
from planner.costs.latency.nonnegative import NonNegativeFit
from planner.costs.latency.stage_fit import fit_stages
from planner.costs.latency.stages import COLUMNS, quantities, regressors
from planner.costs.windows import Floats, Placed, Windows, together, windows_of
from planner.words.catalogue import BUILT_IN, Backbone, Catalogue
from planner.words.records import IMPORTED, Latency
from planner.words.student import t_quantile_95

OUTSIDE_SD = 0.5
"""Relative spread added for each factor of e outside the measured range (assumption)."""
EDGE = 0.1
"""ln distance beyond the measured range that still counts as inside: lengths are on a grid."""
NORMAL95 = 1.6448536269514722
"""95 % quantile of the normal distribution."""
WIDEST = 20.0
"""Half-width in ln beyond which an interval says nothing; keeps its ends finite."""
TOKEN_TOLERANCE = 2
"""A measurement stands for a configuration when its output tokens differ by at most so many; the
model's own difference between the two is applied."""


PER_TOKEN = [
    COLUMNS.index(f"decode.{n}") for n in ("steps", "layer_steps", "weights", "vocabulary", "cache")
]
"""Columns that grow with the output tokens."""

Seen = tuple[float, float, float, float, Any, str]
"""ln p50 and its half-width, ln(p95/p50) and its half-width, ms of requests at p50 and p95, source."""

Number = TypeVar("Number", float, Floats)
Text = TypeVar("Text", str, tuple[str, ...])


@dataclass(frozen=True, kw_only=True)
class LatencyPrediction(Generic[Number, Text]):
    """Latency at p50 and p95 with 90 % intervals, in ms, and where it comes from: of a window, or of m.

    Attributes:
        token_share: share of p50 that grows with the output tokens.
        request_p50_ms: median of whole scored utterances, 0 where none were timed.
        request_p95_ms: 95 % quantile of the same.
    """

    p50_ms: Number
    p50_low_ms: Number
    p50_high_ms: Number
    p95_ms: Number
    p95_low_ms: Number
    p95_high_ms: Number
    token_share: Number
    request_p50_ms: Number
    request_p95_ms: Number
    source: Text


Latencies = LatencyPrediction[Floats, tuple[str, ...]]
"""Of m windows: each a column of shape (m,)."""


def each(found: Latencies) -> list[LatencyPrediction[float, str]]:
    """The predictions window by window, as Python's numbers."""
    names = [f.name for f in fields(LatencyPrediction)]
    columns = [getattr(found, name) for name in names[:-1]]
    rows = zip(*(c.tolist() for c in columns), found.source, strict=True)
    return [LatencyPrediction(**dict(zip(names, row, strict=True))) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """A device: fitted costs of the stages, and the measurements themselves.

    Attributes:
        device: its name.
        condition: element type and attention that it holds for.
        n_configurations: distinct configurations behind it.
        stages: the fits that add up: one for each stage, or one for `all`.
        least_sd: relative spread below which no prediction goes: the measurements' own noise floor.
        log_ratio: median of ln(p95/p50) over the measurements.
        ratio_sd: scatter of that.
        low: least measured value of each column, shape (len(COLUMNS),).
        high: greatest measured value of each column.
        source: what a prediction inside the range is called.
        measured: measurements by backbone, seconds, reduction and batch size.
    """

    device: str
    condition: tuple[str, str]
    n_configurations: int
    stages: dict[str, NonNegativeFit]
    least_sd: float
    log_ratio: float
    ratio_sd: float
    low: Floats
    high: Floats
    source: str = "interpolated"
    measured: dict[tuple[str, float, str, int], tuple[Latency, ...]] = field(default_factory=dict)

    def predict(self, windows: Sequence[Windows]) -> Latencies:
        """Latencies of windows (or batches), as measured where this very configuration was measured."""
        return self.predict_placed(together(windows))

    def predict_each(self, windows: Sequence[Windows]) -> list[LatencyPrediction[float, str]]:
        """As `predict`, window by window."""
        return each(self.predict(windows))

    def predict_placed(self, groups: Sequence[Placed]) -> Latencies:
        """As `predict`, in the order that the windows' places say."""
        x = quantities(groups)
        p50, sd, dof = self._central(x)
        outside = self._outside(x)
        t = np.array([t_quantile_95(k) for k in dof.tolist()])
        half = np.hypot(t * np.maximum(sd, self.least_sd), NORMAL95 * OUTSIDE_SD * outside)
        inside = (outside <= 0) | (self.source == "datasheet")
        source = [self.source if i else "transferred" for i in inside.tolist()]
        log_ratio, ratio_half = np.full(len(x), self.log_ratio), t * self.ratio_sd
        log_p50 = np.log(p50)
        requests = np.zeros((2, len(x)))
        for j, seen in self._known(groups, log_p50):
            log_p50[j], half[j], log_ratio[j], ratio_half[j] = seen[:4]
            requests[:, j], source[j] = seen[4], seen[5]
        shares = self._token_share(x, p50)
        return latencies(log_p50, half, log_ratio, ratio_half, shares, requests, tuple(source))

    def _token_share(self, x: Floats, total: Floats) -> Floats:
        """Share of the model's p50 that grows with the output tokens, shape (m,)."""
        cost = sum((f.cost for f in self.stages.values()), np.zeros(x.shape[1]))
        return np.asarray(
            np.clip((x[:, PER_TOKEN] * cost[PER_TOKEN]).sum(axis=1) / total, 0.0, 1.0)
        )

    def _central(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """p50 in ms, its relative standard deviation and degrees of freedom, each of shape (m,)."""
        # Summed row by row: a product by BLAS may differ in the last bit with the number of rows.
        parts = [(f, (x * f.cost).sum(axis=1)) for f in self.stages.values()]
        total = np.maximum(sum((v for _, v in parts), np.zeros(len(x))), 1e-6)
        together, parameters, inverse_dof = (np.zeros(len(x)) for _ in range(3))
        for fitted, value in parts:
            share = value / total
            # What slows one stage of a sample (a busy machine, a hot core) slows the others as well.
            together += share * fitted.sd
            parameters += (share * fitted.sd) ** 2 * fitted.leverage(x, value)
            inverse_dof += share / fitted.dof
        return total, np.sqrt(together**2 + parameters), 1.0 / np.maximum(inverse_dof, 1e-9)

    def _outside(self, x: Floats) -> Floats:
        """Largest ln distance outside the measured range over the columns in use, shape (m,)."""
        used = sorted({i for f in self.stages.values() for i in f.active})
        part = x[:, used]
        with np.errstate(divide="ignore", invalid="ignore"):
            gap = np.maximum(np.log(self.low[used] / part), np.log(part / self.high[used]))
        gap = np.where(part > 0, gap, 0.0)  # a stage that does not run costs nothing
        return np.asarray(np.clip(gap.max(axis=1, initial=0.0) - EDGE, 0.0, 20.0))

    def _known(self, groups: Sequence[Placed], log_model: Floats) -> Iterator[tuple[int, Seen]]:
        """Windows that were measured: their place, and what `latencies` takes of each."""
        for at, windows in groups:
            if windows.padding != "dynamic":
                continue
            wanted = windows.backbone.name, str(windows.reduction), windows.batch_size
            for (name, seconds, reduction, batch), found in self.measured.items():
                if (name, reduction, batch) == wanted:
                    for k in np.flatnonzero(windows.audio_seconds == seconds).tolist():
                        j, n = int(at[k]), int(windows.n_output_tokens[k])
                        seen = self._seen(found, windows.backbone, n, float(log_model[j]))
                        if seen is not None:
                            yield j, seen

    def _seen(
        self,
        measured: Sequence[Latency],
        backbone: Backbone,
        n_output_tokens: int,
        log_model: float,
    ) -> Seen | None:
        near = [m for m in measured if abs(m.n_output_tokens - n_output_tokens) <= TOKEN_TOLERANCE]
        if not near:
            return None
        own = np.log(self._central(regressors([window_of(m, backbone) for m in near]))[0])
        shift = log_model - own
        p50 = np.log([m.p50_ms for m in near]) + shift
        ratio = float(np.mean(np.log([m.p95_ms / m.p50_ms for m in near])))
        noise = max((m.noise_floor or 0.0) for m in near)
        sd = max(LEAST_SD, float(np.std(p50)), noise)
        half = t_quantile_95(8.0) * sd
        requests = [(m.request_p50_ms, m.request_p95_ms) for m in near if m.request_p95_ms]
        timed = (
            np.exp(np.mean(np.log(np.array(requests, dtype=float)), axis=0))
            if requests
            else np.zeros(2)
        )
        source = "measured" if requests else "measured window"
        if all(m.method.startswith(IMPORTED) for m in near):
            source = IMPORTED
        if any(m.quiet is False for m in near):
            source += " under load"
        return float(np.mean(p50)), half, ratio, half, timed, source


def latencies(
    log_p50: Floats, half: Floats, log_ratio: Floats, ratio_half: Floats, token_share: Floats,
    requests: Floats, source: tuple[str, ...],
) -> Latencies:  # fmt: skip
    """Predictions from ln p50 and ln(p95/p50) with their half-widths in ln, each of shape (m,).

    `requests` are ms at p50 and p95 as measured, shape (2, m).
    """
    narrow = np.minimum(half, WIDEST)
    log_p95 = log_p50 + log_ratio
    wide = [
        min(math.hypot(h, r), WIDEST)
        for h, r in zip(half.tolist(), ratio_half.tolist(), strict=True)
    ]
    return LatencyPrediction(
        p50_ms=_exp(log_p50), p50_low_ms=_exp(log_p50 - narrow), p50_high_ms=_exp(log_p50 + narrow),
        p95_ms=_exp(log_p95), p95_low_ms=_exp(log_p95 - wide), p95_high_ms=_exp(log_p95 + wide),
        token_share=token_share, request_p50_ms=requests[0], request_p95_ms=requests[1],
        source=source,
    )  # fmt: skip


def _exp(values: Floats) -> Floats:
    """By the C library, number by number: numpy's own may differ in the last bit between processors."""
    return np.array([math.exp(v) for v in values.tolist()])


def window_of(m: Latency, backbone: Backbone) -> Windows:
    """The window that a measurement of that backbone is of."""
    return windows_of(
        backbone, m.audio_seconds, m.reduction, n_output_tokens=m.n_output_tokens,
        batch_size=m.batch_size,
    )  # fmt: skip


def fit_latency_model(
    latencies: Sequence[Latency], device: str | None = None, *, catalogue: Catalogue = BUILT_IN
) -> LatencyModel:
    """The stage model of one device from its measurements.

    Measurements under another element type or attention than the most frequent one are left out, as are
    those without a key/value cache.

    Args:
        latencies: measurements; of one device, or of several with `device` naming one.
        device: name of the device.
        catalogue: what the names of their backbones mean.

    Raises:
        InputError: there is no measurement, or they are of several devices.
        MissingResourceError: the named device has none.
    """
    own = usable(latencies, device)
    x, y = (
        regressors([window_of(m, catalogue.backbone(m.backbone)) for m in own]),
        np.array([m.p50_ms for m in own]),
    )
    labels = [configuration(m) for m in own]
    log_ratio, ratio_sd = tail_ratio(own)
    return LatencyModel(
        device=own[0].device.name,
        condition=(own[0].dtype, own[0].attention),
        n_configurations=len(set(labels)),
        stages=fit_stages(x, y, [m.stages_ms or {} for m in own], labels),
        least_sd=noise_of(own),
        log_ratio=log_ratio,
        ratio_sd=ratio_sd,
        low=x.min(axis=0),
        high=x.max(axis=0),
        measured=by_configuration(own),
    )
