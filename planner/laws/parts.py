"""What a fitted law is made of: frozen values that plain JSON holds, and a form written out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from planner.laws.forms.base import Form
from planner.laws.forms.coverage import Covered, DurationHistogram
from planner.laws.forms.registry import build_form
from planner.laws.observations import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class FitWarning:
    """Something the reader must know: a stable code, one line, and the axis it is about."""

    code: str
    message: str
    axis: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter in natural units with its interval; None where the data give no bound.

    `flags`: `at-bound`, `not-identified`. `unit` is the metric's name or `1`.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    std_error: float | None
    unit: str
    kind: str
    axis: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormScore:
    """One form that was tried: information criterion, extrapolation error, weight in the answer."""

    law: str
    n_parameters: int
    objective: float | None
    aicc: float | None = None
    cv_error: float | None = None
    weight: float = 0.0
    status: str = "converged"
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Resampled refits of the first form: natural units, in the order of the parameters.

    `clustered`: groups were resampled whole. `second_start_wins`: replicates in which a start from the
    whole grid ended lower than the one from the estimate; more than a few mean several basins.
    """

    n: int
    clustered: bool
    second_start_wins: int
    std_errors: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One form inside the answer, with what it takes to predict from it.

    `theta` are working parameters, `covariance` theirs (rows of tuples), `sigma` the standard
    deviation of one run's log residual, `coverage` the duration histogram of a known floor. `tau2` and
    `omega2` are the variances of a configuration's own deviation and of a training run that the member
    stands for; None where the noise of the runs was not known.
    """

    law: str
    weight: float
    roles: tuple[tuple[str, str], ...]
    floor: bool
    scales: tuple[float, ...]
    theta: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    dof: float
    sigma: float
    coverage: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    tau2: float | None = None
    omega2: float | None = None

    def form(self) -> Form:
        """The form, rebuilt from its name."""
        base = build_form(self.law, dict(self.roles), floor=self.floor)
        if self.coverage is None:
            return base
        scale = self.scales[base.axes.index("audio_seconds")]
        return Covered(base, DurationHistogram(*self.coverage), "audio_seconds", scale)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Predicted error at m points.

    Attributes:
        mean, low, high: the error and the interval at `level`, shape (m,).
        distance: log-range outside the data on each axis, 0 inside, shape (m, k).
        level: probability of the interval; kind: `mean` or `new-run`.
    """

    mean: Floats
    low: Floats
    high: Floats
    distance: Floats
    level: float
    kind: str


def triangle(square: Floats) -> tuple[float, ...]:
    """Entries below the diagonal of a symmetric matrix (n, n), row by row: what JSON holds of it."""
    return tuple(square[np.tril_indices(len(square), -1)].tolist())


def correlation(below: tuple[float, ...]) -> Floats:
    """The matrix with a diagonal of 1 and those entries below and above it.

    >>> correlation((0.5,)).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    n = round(0.5 + math.sqrt(0.25 + 2 * len(below)))
    out = np.zeros((n, n))
    out[np.tril_indices(n, -1)] = below
    return np.asarray(out + out.T + np.eye(n))


def formula(member: Member, offset: float = 0.0) -> str:
    """One form with its numbers, to six digits; `offset`: of the signed link, which is taken off the floor."""
    form = member.form()
    text = form.formula()
    scales = dict(zip(form.axes, member.scales, strict=True))
    for axis, scale in scales.items():
        text = text.replace(f"({axis}/s)", f"({axis}/{scale:.6g})")
    theta = form.natural(np.array(member.theta)[None])[0].tolist()
    largest = max(theta[i] for i in form.log_parameters)
    numbers, off = {}, offset
    for spec, number in zip(form.parameters, theta, strict=True):
        logs = spec.is_log or spec.kind in ("scale", "place")
        value = math.exp(number) if logs else number
        if spec.kind == "place":
            value *= scales[str(spec.axis)]
        if not form.unscaled and spec.is_log and number < largest - math.log(1e9):
            value = 0.0
        if spec.kind == "floor" and off:
            value, off = value - off, 0.0
        numbers[spec.name] = f"{value:.6g}"
    text = _with_numbers(text, numbers)
    return f"{text} - {off:.6g}" if off else text


def _with_numbers(text: str, numbers: Mapping[str, str]) -> str:
    """The text with names of parameters replaced, where no letter, digit or underscore touches them.

    >>> _with_numbers("E + A_my n (my n/10)^-alpha_my n", {"E": "1", "A_my n": "2", "alpha_my n": "-0.5"})
    '1 + 2 (my n/10)^0.5'
    """
    # The longest first: a name may begin another.
    names = "|".join(re.escape(name) for name in sorted(numbers, key=len, reverse=True))
    if names:
        text = re.sub(rf"(?<!\w)(?:{names})(?!\w)", lambda m: numbers[m[0]], text)
    return text.replace("^--", "^")
