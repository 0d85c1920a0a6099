"""`soundscale design`: a sweep before any run, with the interval widths to expect.

The widths hold under an assumed additive law: a floor and three power terms of equal size at the centre,
exponents 0.5, and runs that scatter by `sigma` about it. They are assumptions until runs exist; what the
design does and does not identify hardly depends on them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.costs.flops.forward import encoder_tokens, forward_flops
from planner.errors import InputError, UnknownNameError
from planner.laws.forms.registry import build_form
from planner.laws.uncertainty.deviations import OMEGA_SPREAD
from planner.plan import design
from planner.plan.cost import Floats
from planner.words.axes import COMPUTE_AXES
from planner.words.catalogue import BUILT_IN
from planner.words.records import Reduction

EXPONENT = 0.5
"""Exponent of every axis: assumption (published ones for size lie between 0.3 and 0.6)."""
SIGMA = 0.05
"""Scatter of one run about the law in ln error: assumption (5 %)."""
SEEDS = 3
"""Runs of one configuration from which seeds tell their own scatter."""
DEFAULTS: dict[str, dict[str, list[Any]]] = {
    "asr": {
        "backbone": ["whisper-tiny", "whisper-base", "whisper-small", "whisper-medium"],
        "audio_seconds": [5.0, 10.0, 20.0, 30.0],
        "reduction": ["none", "stem:2", "stem:4"],
    },
    "emotion": {
        "backbone": ["whisper-tiny", "whisper-base", "wav2vec2-base", "wav2vec2-large-robust"],
        "audio_seconds": [1.0, 2.0, 4.0],
        "reduction": ["none", "stem:2", "stem:4"],
    },
}
"""Levels where none are given."""


def design_sweep(
    task: str,
    runs: int,
    kind: str,
    *,
    backbones: Sequence[str] = (),
    audio_seconds: Sequence[float] = (),
    reductions: Sequence[str] = (),
    sigma: float = SIGMA,
    level: float = 0.9,
) -> dict[str, Any]:
    """The runs of a design and the half-widths to expect from them.

    Raises:
        InputError: too few runs or levels, or a level that a backbone cannot take.
        UnknownNameError: an unknown task, kind or backbone.
    """
    _check(task, runs, kind, sigma)
    names = list(backbones) or DEFAULTS[task]["backbone"]
    seconds = [float(s) for s in audio_seconds] or DEFAULTS[task]["audio_seconds"]
    cuts = [str(Reduction.parse(r)) for r in reductions] or DEFAULTS[task]["reduction"]
    levels = _levels(names, seconds, cuts)
    points = [p for p in design.grid(levels) if _possible(names, seconds, cuts, p)]
    if not points:
        raise InputError(
            f"no backbone of {', '.join(names)} can hear {', '.join(f'{s:g} s' for s in seconds)} with reduction "
            f"{', '.join(cuts)}; their windows end at {_longest(names):g} s"
        )
    flops = np.array([_flops(task, names, seconds, cuts, p) for p in points])
    jacobian, spec = _assumed_law(levels, points)
    # Some runs are kept back for seeds of one configuration, unless the law would have none to spare.
    for kept in range(max(min(SEEDS, runs - jacobian.shape[1]), 1)):
        chosen = _choose(kind, runs - kept, levels, points, flops, jacobian)
        chosen += _more_seeds(chosen, kept, points, flops)
        if max(Counter(chosen).values()) >= SEEDS:
            break
    rows = [points.index(p) for p in chosen]
    # The point to predict: the costliest of the grid, where a plan has most to lose.
    target = int(flops.argmax())
    width = design.widths(jacobian[rows], jacobian[target], sigma, _z(level))
    return {
        "task": task, "kind": kind, "n_runs": len(rows), "sigma": sigma, "level": level,
        "identified": width.identified,
        "half_widths": {
            name: None if math.isnan(w) else float(w)
            for name, w in zip(spec, width.parameters, strict=True)
        },
        "prediction": {
            "config": _config(names, seconds, cuts, points[target]),
            "half_width": None if math.isnan(width.prediction) else width.prediction,
        },
        "window_flops": float(flops[rows].sum()),
        "runs": _with_seeds([_config(names, seconds, cuts, p) for p in chosen]),
        "seeds": _bought(Counter(chosen)),
        "assumptions": f"additive law, equal terms at the centre, exponents {EXPONENT:g}, scatter {sigma:g}",
    }  # fmt: skip


def _check(task: str, runs: int, kind: str, sigma: float) -> None:
    if task not in DEFAULTS:
        raise UnknownNameError("task", task, DEFAULTS)
    if kind not in design.KINDS:
        raise UnknownNameError("kind of design", kind, design.KINDS)
    if runs < 1 or not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"runs and sigma must be positive, got {runs!r} and {sigma!r}")


def _z(level: float) -> float:
    from statistics import NormalDist

    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level!r}")
    return NormalDist().inv_cdf(0.5 + level / 2)


def _levels(names: list[str], seconds: list[float], cuts: list[str]) -> list[list[float]]:
    sizes = [float(BUILT_IN.backbone(n).n_params) for n in names]
    rates = [Reduction.parse(c).tokens_per_second for c in cuts]
    return [sizes, seconds, rates]


def _possible(names: list[str], seconds: list[float], cuts: list[str], p: tuple[int, ...]) -> bool:
    try:
        shape = BUILT_IN.backbone(names[p[0]])
        return encoder_tokens(shape, seconds[p[1]], Reduction.parse(cuts[p[2]])) > 0
    except InputError:
        return False


def _longest(names: list[str]) -> float:
    return max(BUILT_IN.backbone(n).max_audio_seconds for n in names)


def _flops(
    task: str, names: list[str], seconds: list[float], cuts: list[str], p: tuple[int, ...]
) -> float:
    tokens = max(round(3.3 * seconds[p[1]]), 1) if task == "asr" else 0
    return float(
        forward_flops(
            BUILT_IN.backbone(names[p[0]]),
            audio_seconds=seconds[p[1]],
            reduction=Reduction.parse(cuts[p[2]]),
            n_output_tokens=tokens,
            task=task,
        ).total
    )


def _assumed_law(
    levels: list[list[float]], points: list[tuple[int, ...]]
) -> tuple[Floats, list[str]]:
    """Jacobian of ln error in the parameters at every point, shape (m, p), and their names."""
    x = np.array([[levels[k][i] for k, i in enumerate(p)] for p in points])
    roles = {name: "power" for name in COMPUTE_AXES}
    form = build_form("additive", roles, floor=True)
    z = np.log(x / np.exp(np.log(x).mean(axis=0)))
    theta = np.array([0.0 if spec.is_log else EXPONENT for spec in form.parameters])
    columns = form.at(z).linearise(theta[None]).jacobian[0]
    return np.asarray(columns.T), [
        f"ln {spec.name}" if spec.is_log else spec.name for spec in form.parameters
    ]


def _choose(
    kind: str,
    runs: int,
    levels: list[list[float]],
    points: list[tuple[int, ...]],
    flops: Floats,
    jacobian: Floats,
) -> list[tuple[int, ...]]:
    if kind == "optimal":
        return [points[j] for j in design.optimal(jacobian, runs)]
    if kind == "isoflop":
        return design.repeated(design.isoflop(points, flops), runs)
    if kind == "grid":
        return design.repeated(points, runs)
    centre = [(len(v) - 1) // 2 for v in levels]
    return design.repeated([p for p in design.star(levels, centre) if p in set(points)], runs)


def _config(
    names: list[str], seconds: list[float], cuts: list[str], p: tuple[int, ...]
) -> dict[str, Any]:
    return {"backbone": names[p[0]], "audio_seconds": seconds[p[1]], "reduction": cuts[p[2]]}


def _more_seeds(
    chosen: list[tuple[int, ...]], left: int, points: list[tuple[int, ...]], flops: Floats
) -> list[tuple[int, ...]]:
    """Further seeds of the configuration that already has most, the cheapest of those."""
    counts = Counter(chosen)
    return [min(counts, key=lambda p: (-counts[p], flops[points.index(p)], p))] * left


def _bought(counts: Counter[tuple[int, ...]]) -> dict[str, Any]:
    """How well the runs of equal configurations tell how far seeds lie apart.

    ln of the deviation of seeds is known beforehand with deviation s (`OMEGA_SPREAD`) and by d degrees of
    freedom with sqrt(trigamma(d / 2)) / 2; both together with 1 / sqrt(1 / s^2 + 4 / trigamma(d / 2)).
    """
    dof = sum(n - 1 for n in counts.values())
    told = 4.0 / _trigamma(0.5 * dof) if dof else 0.0
    before, after = (
        math.exp(_z(0.9) / math.sqrt(1.0 / OMEGA_SPREAD**2 + extra)) for extra in (0.0, told)
    )
    most = max(counts.values())
    text = (
        f"{most} runs of one configuration: how far seeds lie apart is then known within a factor of "
        f"{after:.2g} (90 %), {before:.2g} without; every interval and P(best) rests on it"
    )
    if most < SEEDS:
        text = (
            f"no configuration is run {SEEDS} times: how far seeds lie apart stays an assumption, right "
            f"within a factor of {after:.2g} (90 %); {SEEDS - most} more runs would measure it"
        )
    return {"most_of_one": most, "dof": dof, "factor_before": before, "factor": after, "text": text}


def _trigamma(x: float) -> float:
    """Trigamma at multiples of 1/2: trigamma(1/2) = pi^2 / 2, trigamma(1) = pi^2 / 6, and the recurrence."""
    at, value = (1.0, math.pi**2 / 6) if x == int(x) else (0.5, math.pi**2 / 2)
    while at < x:
        value, at = value - 1.0 / at**2, at + 1.0
    return value


def _with_seeds(configs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A configuration that comes again gets the next seed."""
    seen: dict[str, int] = {}
    out = []
    for config in configs:
        key = json.dumps(config, sort_keys=True)
        out.append({**config, "seed": seen.get(key, 0)})
        seen[key] = seen.get(key, 0) + 1
    return out
