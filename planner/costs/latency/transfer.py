"""Latency on a device that was hardly measured: from its data sheet, or another device's fitted costs.

A data sheet gives peak FLOP/s and bandwidth; with efficiencies and launch times that are assumptions they
make a cost for every column of the stage model, and an interval of a factor of about 4 either way. A
few anchor measurements (3 to 5) on the device scale the costs: each stage's factor is a normal variable
in ln, drawn around a factor common to all stages, and the interval narrows to what the anchors leave
open. From 6 anchors on, `planner.costs.latency.model.fit_latency_model` needs no base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from planner.costs.latency.measured import (
    by_configuration,
    configuration,
    noise_of,
    tail_ratio,
    usable,
)
from planner.costs.latency.model import LatencyModel, window_of
from planner.costs.latency.nonnegative import NonNegativeFit
from planner.costs.latency.stages import COLUMNS, GROUPS, columns_of, regressors
from planner.costs.memory.peak import element_bytes
from planner.costs.windows import Floats
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import Latency

COMMON_SD = 0.7
"""Spread of the factor that all stages share, in ln (assumption: published roofline predictions of
unmeasured hardware miss by 1.4 to 1.9 times, and eager launches are less certain than kernels)."""
STAGE_SD = 0.4
"""Spread of a stage's own factor about the common one, in ln (assumption)."""
POINT_SD = 0.25
"""Spread of one configuration about its stages' costs, in ln, before any anchor (assumption)."""
POINT_DOF = 3.0
"""Weight of `POINT_SD`, in observations (assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """What a kind of device reaches of its data sheet, and its launch times: all assumptions.

    Attributes:
        compute: share of peak FLOP/s in the encoder's products.
        bandwidth: share of peak bandwidth in reading weights and activations.
        layer_ms: launches of one encoder layer, ms.
        layer_step_ms: launches of one decoder layer in one step, ms.
        step_ms: launches and host work of one step beside the layers, ms.
        frame_ms: features of one mel frame, ms.
    """

    compute: float
    bandwidth: float
    layer_ms: float
    layer_step_ms: float
    step_ms: float
    frame_ms: float


EFFICIENCIES = {
    "cpu": Efficiency(
        compute=0.5, bandwidth=0.5, layer_ms=0.2, layer_step_ms=0.3, step_ms=0.3, frame_ms=0.005
    ),
    "cuda": Efficiency(
        compute=0.35, bandwidth=0.6, layer_ms=0.25, layer_step_ms=0.4, step_ms=0.5, frame_ms=0.001
    ),
}
"""Assumptions: eager dispatch of about 10 us an operation and 25 to 40 operations a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSheet:
    """A device as its maker describes it.

    Attributes:
        name: the device's name.
        kind: `cpu` or `cuda`.
        peak_flops: peak FLOP/s in `dtype` (2 per multiply-add).
        bandwidth: peak bytes/s of its memory.
        dtype: element type that is computed in.
        memory_bytes: capacity of its memory, where known.
    """

    name: str
    kind: str
    peak_flops: float
    bandwidth: float
    dtype: str = "float32"
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in EFFICIENCIES:
            raise UnknownNameError("device kind", self.kind, EFFICIENCIES)
        element_bytes(self.dtype)
        for field in ("peak_flops", "bandwidth"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{field} of {self.name} must be positive, got {value!r}")


def datasheet_costs(sheet: DataSheet) -> Floats:
    """Cost of each column in ms, shape (len(COLUMNS),)."""
    reached = EFFICIENCIES[sheet.kind]
    flop = 1e3 / (reached.compute * sheet.peak_flops)
    value = 1e3 * element_bytes(sheet.dtype) / (reached.bandwidth * sheet.bandwidth)
    costs = {
        "features.launch": reached.step_ms,
        "features.frames": reached.frame_ms,
        "encoder.flops": flop,
        # Attention's products are narrow and its softmax is not counted: half the rate.
        "encoder.attention": 2 * flop,
        "encoder.layers": reached.layer_ms,
        "encoder.elements": value,
        "encoder.weights": value,
        "decode.steps": reached.step_ms,
        "decode.layer_steps": reached.layer_step_ms,
        "decode.prefill": flop,
        "decode.weights": value,
        "decode.vocabulary": value,
        "decode.cache": value,
    }
    return np.array([costs.get(name, 0.0) for name in COLUMNS])


def datasheet_model(sheet: DataSheet) -> LatencyModel:
    """Predictions from the data sheet alone, tagged `datasheet`, with a wide interval."""
    cost, n = datasheet_costs(sheet), len(COLUMNS)
    sd = math.sqrt(COMMON_SD**2 + STAGE_SD**2 + POINT_SD**2)
    stages = {g: _scaled(cost, g, 0.0, sd, 1e6) for g in GROUPS}
    return LatencyModel(
        device=sheet.name, condition=(sheet.dtype, "sdpa"), n_configurations=0, stages=stages,
        least_sd=sd, log_ratio=math.log(1.1), ratio_sd=0.1, low=np.zeros(n), high=np.full(n, np.inf),
        source="datasheet",
    )  # fmt: skip


def _scaled(cost: Floats, group: str, log_factor: float, sd: float, dof: float) -> NonNegativeFit:
    own = np.zeros(len(COLUMNS))
    own[columns_of(group)] = cost[columns_of(group)] * math.exp(log_factor)
    active = tuple(int(i) for i in np.flatnonzero(own))
    inverse = np.zeros((len(active), len(active)))
    return NonNegativeFit(cost=own, sd=sd, dof=dof, active=active, inverse=inverse)


def transfer_model(
    base: LatencyModel,
    anchors: Sequence[Latency],
    device: str | None = None,
    *,
    catalogue: Catalogue = BUILT_IN,
) -> LatencyModel:
    """The base's costs, scaled to a few measurements of another device, tagged `transferred`.

    Args:
        base: a data sheet's model, or one fitted on another device.
        anchors: measurements of the device; without stage times one factor scales every stage.
        device: name of the device where the anchors are of several.
        catalogue: what the names of their backbones mean.

    Raises:
        InputError: there is no anchor, or they are of several devices.
    """
    own = usable(anchors, device)
    x = regressors([window_of(m, catalogue.backbone(m.backbone)) for m in own])
    cost = sum((f.cost for f in base.stages.values()), np.zeros(len(COLUMNS)))
    factors = _factors(own, x, cost)
    log_ratio, ratio_sd = tail_ratio(own)
    return replace(
        base,
        device=own[0].device.name,
        condition=(own[0].dtype, own[0].attention),
        n_configurations=len({configuration(m) for m in own}),
        stages={g: _scaled(cost, g, *factors[g]) for g in GROUPS},
        least_sd=noise_of(own),
        log_ratio=log_ratio,
        ratio_sd=math.hypot(ratio_sd, 0.1 / math.sqrt(len(own))),
        source="transferred",
        measured=by_configuration(own),
    )


def _factors(
    own: Sequence[Latency], x: Floats, cost: Floats
) -> dict[str, tuple[float, float, float]]:
    """Factor in ln, spread and degrees of freedom of each stage, by normal theory.

    Observations r = common + stage + error; common ~ N(0, COMMON_SD^2), stage ~ N(0, STAGE_SD^2), error
    with a spread that is estimated from the observations and `POINT_SD`.
    """
    groups, design, r = list(GROUPS), [], []
    for i, m in enumerate(own):
        timed = m.stages_ms or {}
        parts = {g: float(x[i, columns_of(g)] @ cost[columns_of(g)]) for g in groups}
        total = sum(parts.values())
        if set(groups) <= set(timed):
            for k, g in enumerate(groups):
                if parts[g] > 0 and timed[g] > 0:
                    design.append([1.0, *(1.0 if j == k else 0.0 for j in range(len(groups)))])
                    r.append(math.log(timed[g] / parts[g]))
        else:
            design.append([1.0, *(parts[g] / total for g in groups)])
            r.append(math.log(m.p50_ms / total))
    a, observed = np.array(design), np.array(r)
    prior = np.diag([COMMON_SD**2, *[STAGE_SD**2] * len(groups)])
    spread = POINT_SD
    for _ in range(20):  # the spread and the factors settle in a few rounds
        covariance = np.linalg.inv(a.T @ a / spread**2 + np.linalg.inv(prior))
        mean = covariance @ a.T @ observed / spread**2
        rest = observed - a @ mean
        used = float(np.trace(a @ covariance @ a.T)) / spread**2
        free = max(len(r) - used, 0.0) + POINT_DOF
        spread = math.sqrt((float(rest @ rest) + POINT_DOF * POINT_SD**2) / free)
    found = {}
    for k, g in enumerate(groups):
        pick = np.array([1.0, *(1.0 if j == k else 0.0 for j in range(len(groups)))])
        sd = math.sqrt(float(pick @ covariance @ pick) + spread**2)
        found[g] = (float(pick @ mean), sd, free)
    return found
