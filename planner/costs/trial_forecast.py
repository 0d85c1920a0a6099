"""How long a trial will take and how much memory, before it starts, as intervals (90 %).

Seconds of a trial are train_flops / train_rate + score_flops / score_rate + other seconds (loading,
saving, probing) and, where no trial on the device tells the rates as they are, the launches of kernels. Its
peak memory is the closed form (planner.costs.memory.peak) times the ratio that a device shows. Rates and ratios
are log-normal. Earlier trials on the device give them; before there is one a data sheet does, with an
interval of a factor of about 3 either way. An interval has two parts: what all trials share (the rate is
not known better) and each trial's own scatter, so that a sum of trials is known better than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from planner.costs.latency.probe_points import CORE
from planner.costs.latency.transfer import COMMON_SD, EFFICIENCIES, DataSheet
from planner.costs.memory.peak import Memory
from planner.errors import InputError
from planner.words.catalogue import Backbone, Wav2Vec2
from planner.words.families.base import Conformer
from planner.words.student import t_quantile_95
from planner.words.units import format_bytes

LEVEL = 0.9
PRIOR_SD = 0.2
"""Scatter of a trial's rate about the device's, in ln, before it was seen (assumption)."""
PRIOR_DOF = 2.0
"""Weight of `PRIOR_SD`, in trials (assumption)."""
OTHER_SECONDS = 20.0
"""Loading, saving and probing before a trial was seen (s; assumption, within a factor of 2)."""
OTHER_SD = 0.4
"""Spread of that in ln (assumption)."""
MEMORY_RATIO = {"cpu": (2.0, 0.4), "cuda": (1.15, 0.15)}
"""Measured peak over the closed form and its spread in ln: assumption; a CPU's allocator and libraries
hold more than tensors (1.9 to 3.9 times in the quickstart's trials), CUDA's little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEstimate:
    """A positive quantity with its interval at `LEVEL`."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """A quantity that scatters in ln.

    Attributes:
        log_mean: its mean in ln.
        own_sd: scatter of one trial about that.
        mean_sd: how well the mean is known; all trials share its error.
        dof: degrees of freedom of the two.
    """

    log_mean: float
    own_sd: float
    mean_sd: float
    dof: float

    def times(self, value: float) -> float:
        """A value times the quantity's median."""
        return value * math.exp(self.log_mean)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an earlier trial on the device took.

    Attributes:
        train_flops, train_seconds: of its training steps; None for a trial that trained nothing.
        score_flops, score_seconds: forward FLOPs of the windows that were scored, and their time.
        other_seconds: the rest of its time.
        closed_bytes, peak_bytes: peak memory by the closed form and as measured.
    """

    train_flops: float | None
    train_seconds: float | None
    score_flops: float | None
    score_seconds: float | None
    other_seconds: float | None
    closed_bytes: float | None
    peak_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A device as a place to train: seconds per FLOP, other seconds, and the ratio of memory."""

    device: str
    source: str
    n_trials: int
    train: LogNormal
    score: LogNormal
    other: LogNormal
    memory: LogNormal


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a trial asks of a device.

    Attributes:
        train_flops: of all steps.
        score_flops: forward FLOPs of the windows to score.
        closed_bytes: peak memory by the closed form, as it would be run.
        least_bytes: the same with one window at a time.
        launch_seconds: launching the kernels of all steps and of scoring on a device of that kind.
    """

    train_flops: float
    score_flops: float
    closed_bytes: float
    least_bytes: float
    launch_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a trial is expected to take on a device."""

    device: str
    source: str
    train_flops: float
    score_flops: float
    trial_seconds: TrialEstimate
    peak_memory_bytes: TrialEstimate


LAUNCHES = LogNormal(log_mean=0.0, own_sd=PRIOR_SD, mean_sd=COMMON_SD, dof=1e6)
"""Launch times come from assumptions about the kind of device (planner.costs.latency.transfer.EFFICIENCIES)."""


def launch_seconds(
    shape: Backbone, kind: str, *, n_passes: float, n_score_batches: float, n_output_tokens: int
) -> float:
    """Seconds of launching kernels: training passes, and scoring by batches (assumptions).

    A training pass is forward, backward (twice as many kernels) and its share of the optimiser: 3 times
    the layers of a forward pass. A decoder layer in training costs what one step of decoding does.
    """
    reached = EFFICIENCIES[kind]
    encoder = shape.encoder_layers * reached.layer_ms
    layers = 0 if isinstance(shape, Wav2Vec2 | Conformer) else shape.decoder_layers
    step = layers * reached.layer_step_ms + (reached.step_ms if layers else 0.0)
    scoring = n_score_batches * (encoder + n_output_tokens * step)
    return (3.0 * n_passes * (encoder + step) + scoring) / 1e3


def learnt(observed: Sequence[float], prior: tuple[float, float] | None = None) -> LogNormal:
    """The quantity from positive observations, or from a prior median and spread without any.

    The scatter is pulled to `PRIOR_SD` with the weight of `PRIOR_DOF` observations.

    Raises:
        InputError: there is neither an observation nor a prior.
    """
    logs = [math.log(v) for v in observed]
    if not logs:
        if prior is None:
            raise InputError(
                "neither an earlier trial nor a data sheet tells how fast the device is"
            )
        return LogNormal(log_mean=math.log(prior[0]), own_sd=PRIOR_SD, mean_sd=prior[1], dof=1e6)
    mean, n = math.fsum(logs) / len(logs), len(logs)
    square = math.fsum((v - mean) ** 2 for v in logs) + PRIOR_DOF * PRIOR_SD**2
    dof = n - 1 + PRIOR_DOF
    sd = math.sqrt(square / dof)
    return LogNormal(log_mean=mean, own_sd=sd, mean_sd=sd / math.sqrt(n), dof=dof)


UNKNOWN = {
    "cpu": CORE,
    "cuda": DataSheet(
        name="an accelerator", kind="cuda", peak_flops=1e14, bandwidth=6e11, dtype="bfloat16"
    ),
}
"""What stands in for a device without a data sheet or an earlier trial (assumption)."""
UNKNOWN_SD = 1.3
"""Spread of such a device's rate in ln (assumption: accelerators in use differ by a factor of 15)."""


def rates_of(
    outcomes: Sequence[Outcome], sheet: DataSheet, device: str, *, assumed: bool = False
) -> Rates:
    """A device's rates from its earlier trials; its data sheet stands in for what they do not tell.

    Args:
        outcomes: earlier trials on the device.
        sheet: its data sheet, or one of `UNKNOWN`.
        device: its name.
        assumed: whether the sheet is one of `UNKNOWN`: the interval is wider, the source `assumption`.
    """
    slow = EFFICIENCIES[sheet.kind].compute * sheet.peak_flops
    by_sheet = (1.0 / slow, UNKNOWN_SD if assumed else COMMON_SD)
    train = [o.train_seconds / o.train_flops for o in outcomes if o.train_seconds and o.train_flops]
    score = [o.score_seconds / o.score_flops for o in outcomes if o.score_seconds and o.score_flops]
    other = [o.other_seconds for o in outcomes if o.other_seconds and o.other_seconds > 0]
    ratios = [o.peak_bytes / o.closed_bytes for o in outcomes if o.peak_bytes and o.closed_bytes]
    return Rates(
        device=device,
        source="measured" if train or score else "assumption" if assumed else "datasheet",
        n_trials=len(outcomes),
        train=learnt(train, by_sheet),
        score=learnt(score, by_sheet),
        other=learnt(other, (OTHER_SECONDS, OTHER_SD)),
        memory=learnt(ratios, MEMORY_RATIO[sheet.kind]),
    )


def forecast(work: Work, rates: Rates) -> Forecast:
    """Seconds and peak memory of one trial."""
    return Forecast(
        device=rates.device,
        source=rates.source,
        train_flops=work.train_flops,
        score_flops=work.score_flops,
        trial_seconds=total_seconds([work], rates),
        peak_memory_bytes=_interval(
            rates.memory.times(work.closed_bytes),
            math.hypot(rates.memory.own_sd, rates.memory.mean_sd),
            rates.memory.dof,
        ),
    )


def _unseen_launches(work: Work, rates: Rates) -> float:
    """Measured rates hold the launches already."""
    return 0.0 if rates.source == "measured" else work.launch_seconds


def total_seconds(works: Sequence[Work], rates: Rates) -> TrialEstimate:
    """Seconds of all trials, one after the other.

    The shared parts of training, scoring and the rest are added as if they erred together, which a
    slow machine makes them do; the trials' own parts are independent.
    """
    shared, own, value, weight = 0.0, 0.0, 0.0, 0.0
    for rate, amounts in (
        (rates.train, [w.train_flops for w in works]),
        (rates.score, [w.score_flops for w in works]),
        (rates.other, [1.0 for _ in works]),
        (LAUNCHES, [_unseen_launches(w, rates) for w in works]),
    ):
        seconds = [rate.times(a) for a in amounts]
        part = math.fsum(seconds)
        value += part
        shared += rate.mean_sd * part
        own += math.fsum((rate.own_sd * s) ** 2 for s in seconds)
        weight += part / rate.dof
    if value <= 0:
        return TrialEstimate(value=0.0, low=0.0, high=0.0)
    return _interval(value, math.hypot(shared, math.sqrt(own)) / value, value / max(weight, 1e-12))


def _interval(value: float, sd: float, dof: float) -> TrialEstimate:
    half = t_quantile_95(dof) * sd
    return TrialEstimate(value=value, low=value * math.exp(-half), high=value * math.exp(half))


def require_memory(what: str, least: Memory, device: str, memory_bytes: int | None) -> None:
    """Refuse what cannot fit: the closed form with one window at a time exceeds the device's memory.

    Raises:
        InputError: it cannot fit; the message carries the parts.
    """
    if memory_bytes is None or least.total <= memory_bytes:
        return
    parts = sorted(least.parts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{name} {format_bytes(n)}" for name, n in parts if n)
    raise InputError(
        f"{what} needs at least {format_bytes(least.total)} with one window at a time ({shown}) and "
        f"{device} has {format_bytes(memory_bytes)}; use a smaller backbone, a shorter audio_seconds, "
        "a smaller adaptation or a larger device"
    )
