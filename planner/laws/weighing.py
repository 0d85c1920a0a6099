"""What each form weighs in an answer: by its hold-outs and its evidence, without jumps.

The rule and its reasons stand in `planner.laws.selection`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from planner.laws.diagnose import identified
from planner.laws.observations import Floats
from planner.laws.one_form import Fitted
from planner.laws.uncertainty.beyond import Beyond

SMALLEST_WEIGHT = 0.02
"""Forms of a smaller weight leave the answer."""
RESAMPLES = 200
"""Bayesian bootstraps of the hold-outs: weights are then known to a few per cent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A form that was tried; `fitted` is None where it was not fitted, and `note` says why."""

    law: str
    n_parameters: int
    fitted: Fitted | None
    aicc: float | None = None
    cv_error: float | None = None
    weight: float = 0.0
    note: str = ""
    bic: float | None = None
    held: tuple[Floats, ...] = ()
    """Squared log residuals on each hold-out of the fit to the others; none where there is no hold-out."""
    beyond: Beyond = field(default_factory=Beyond)


def weights_of(fitted: list[Candidate], n_held: int) -> list[float]:
    """Weights of sum 1; forms that could not be judged like the others have none."""
    usable = _usable(fitted)
    judged = [c for c in usable if c.cv_error is not None]
    by_noise = [c for c in usable if c.fitted is not None and c.fitted.deviations is not None]
    if judged:
        noise = min((c.fitted.sigma for c in by_noise if c.fitted is not None), default=0.0)
        scores = [
            -n_held * math.log(max(math.hypot(c.cv_error or 0.0, noise), 1e-12)) for c in judged
        ]
    else:
        judged = [c for c in usable if c.bic is not None] or usable[:1]
        scores = [-0.5 * (c.bic or 0.0) for c in judged]
    raw = _shares(scores)
    if by_noise and judged[0].cv_error is not None:
        raw = _averaged_shares(judged, noise)
        # Hold-outs are few, and so are the rows of the evidence: each corrects the other's accidents.
        evidence = _shares([-0.5 * c.bic if c.bic is not None else -math.inf for c in judged])
        raw = [0.5 * (a + b) for a, b in zip(raw, evidence, strict=True)]
    kept = {c.law: w for c, w in zip(judged, raw, strict=True) if w >= SMALLEST_WEIGHT * sum(raw)}
    return [kept.get(c.law, 0.0) / sum(kept.values()) for c in fitted]


def _averaged_shares(judged: list[Candidate], noise: float) -> list[float]:
    """Shares by hold-outs of known noise, averaged over Bayesian bootstraps of hold-outs and of their rows."""
    rng = np.random.default_rng(0)
    n_held = len(judged[0].held)
    scores = np.zeros((RESAMPLES, len(judged)))
    of_hold_out = n_held * rng.dirichlet(np.ones(n_held), RESAMPLES)
    for h in range(n_held):
        squares = np.array([c.held[h] for c in judged])
        row = rng.dirichlet(np.ones(squares.shape[1]), RESAMPLES)
        scores -= 0.5 * of_hold_out[:, [h]] * np.log(row @ squares.T + max(noise, 1e-12) ** 2)
    raw = np.exp(scores - scores.max(axis=1, keepdims=True))
    return [float(w) for w in (raw / raw.sum(axis=1, keepdims=True)).mean(axis=0)]


def _shares(scores: list[float]) -> list[float]:
    """exp(score), of sum 1; all equal where none is finite."""
    top = max(scores)
    if not math.isfinite(top):
        return [1.0 / len(scores)] * len(scores)
    raw = [math.exp(score - top) for score in scores]
    return [w / sum(raw) for w in raw]


def left_out(candidate: Candidate) -> str:
    """Why a fitted form has no part in the answer, where it is the form's and not its errors' doing."""
    fitted = candidate.fitted
    if fitted is None or candidate.weight > 0:
        return ""
    if not identified(fitted):
        return "not identified by these runs"
    return "" if fitted.estimate.converged else "the optimiser did not end: the next form is taken"


def _usable(fitted: list[Candidate]) -> list[Candidate]:
    """Forms whose every parameter the rows tell and whose optimiser ended; all, where none is so."""
    sound = [c for c in fitted if c.fitted is not None and identified(c.fitted)]
    ended = [c for c in sound if c.fitted is not None and c.fitted.estimate.converged]
    return ended or sound or fitted
