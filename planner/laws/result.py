"""A fitted law as one frozen value: it predicts, draws, prints itself and survives JSON bit for bit.

Prediction needs numpy alone. Intervals and draws come from the law linearised in its parameters:
ln f(x) + J(x) delta, delta ~ multivariate t with the covariance and degrees of freedom of the fit.
So every draw is positive, draws and intervals agree, and an unidentified floor, whose logarithm has
a huge variance but no weight in J, does not blow them up.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import planner
from planner.errors import InputError
from planner.laws.control import Constraint
from planner.laws.forms.link import Link
from planner.laws.observations import Exclusion, Floats
from planner.laws.parts import (
    Bootstrap,
    FitWarning,
    FormScore,
    Member,
    Parameter,
    Prediction,
    formula,
)
from planner.words.student import t_quantile

SCHEMA = "law-fit/1"

INDEPENDENT, SHARED = "independent-noise/1", "shared-noise/3"
"""Rules by which a fit takes the noise of its runs: each run's standard error as noise of its own, as all
fits before 2026-12 did; or as known to be shared, with what configurations and seeds add weighed. Fits of
shared-noise/2 knew no correlation of pairs beyond the level, and too large an own noise of few speakers."""

VERSION = f"{planner.__version__}+laws.12"
"""Of the code that fits: its last number grows where the same table would give other numbers, so that a
stored fit of an older one is kept, and not taken for a new one."""

STATUSES = (
    "too-few-levels",
    "not-converged",
    "ill-conditioned",
    "multimodal",
    "at-bound",
    "floor-not-identified",
    "converged",
)
"""What a fit can be, gravest first; `status` is the gravest that applies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LawFit:
    """A law fitted to runs.

    Attributes:
        law: name of the chosen form: the smallest of those that weigh about as much as the heaviest.
        axes: all axes of the table, also those left out of the law.
        roles: each axis with `power`, `slope` or `left-out`.
        status, statuses: gravest and all of STATUSES that apply.
        objective: sum over rows of w rho(ln f - ln e) of the first member.
        forms: every form tried, the chosen one first; members: those with weight.
        domain, levels: range and distinct values of each axis in the fitted rows.
        sigma: standard deviation of one run about the law, in logarithms.
        correlation: of the working parameters, in the order of `parameters`.
        residuals: ln f - ln e of each fitted row, in the table's order.
        scatter: of the runs about the law, which the intervals allow for: `equal`, `unequal` where it
            changes along an axis, `grouped` where runs depend on one another.
        rule: INDEPENDENT or SHARED; a stored fit that does not say is of the first.
        common, common_dof: variance of the level that all runs of the test set share, in ln error, and its
            degrees of freedom; it is part of what new speech may give, not of differences.
        noise_source: where the noise of the runs is known from, as in `RunNoise`.
        own_variance: of ln error of each fitted row, that it shares with no other; residuals' order.
        own_pairs: correlation of that between rows, the lower triangle row by row; empty: independent.
        suspicion: runs with the probability that they are no run of their configuration (a typing
            error); those above a half are not among the fitted rows.
        beyond, beyond_at: ratio of the variance of errors outside the data to what the law says, by its
            hold-outs, and the ln distance at which the whole of it is reached.
        misfit: variance of a new run, over the scatter, that each unit of ln distance outside the data adds.
        doubt: by how much the scatter was raised as the data chose the Huber threshold, relative.
        known: what the user said of parameters: held, bounded, believed.
    """

    law: str
    metric: str
    link: str
    offset: float
    axes: tuple[str, ...]
    roles: tuple[tuple[str, str], ...]
    status: str
    statuses: tuple[str, ...]
    warnings: tuple[FitWarning, ...]
    parameters: tuple[Parameter, ...]
    loss: str
    delta: float | None
    objective: float
    forms: tuple[FormScore, ...]
    members: tuple[Member, ...]
    domain: tuple[tuple[str, float, float], ...]
    levels: tuple[tuple[str, tuple[float, ...]], ...]
    n_runs: int
    n_parameters: int
    dof: float
    sigma: float
    level: float
    correlation: tuple[tuple[float, ...], ...]
    condition_number: float
    gradient_norm: float
    n_starts: int
    n_agree: int
    residuals: tuple[float, ...]
    bootstrap: Bootstrap | None
    run_ids: tuple[int, ...]
    exclusions: tuple[Exclusion, ...]
    seed: int
    version: str
    scatter: str = "equal"
    doubt: float = 0.0
    rule: str = INDEPENDENT
    common: float = 0.0
    common_dof: float = 1e6
    noise_source: str = "none"
    own_variance: tuple[float, ...] = ()
    own_pairs: tuple[float, ...] = ()
    suspicion: tuple[tuple[int, float], ...] = ()
    beyond: float = 1.0
    beyond_at: float = 1.0
    misfit: float = 0.0
    known: tuple[Constraint, ...] = ()

    def predict(self, x: ArrayLike, level: float = 0.9, kind: str = "mean") -> Prediction:
        """Error at points x of shape (m, k), columns in the order of `axes`.

        `mean` is the interval of the law itself, `new-run` that of one more run.

        Raises:
            InputError: x has another shape or a value that is not positive, or kind is unknown.
        """
        if kind not in ("mean", "new-run"):
            raise InputError(f"kind must be mean or new-run, got {kind!r}")
        points = self._points(x)
        weights = np.array([member.weight for member in self.members])
        logs, variance = self.moments(points)
        centre = weights @ logs
        if kind == "new-run":
            further = 1.0 + self.misfit * self.distance(points).max(axis=1)
            variance = variance + np.array([[m.sigma**2] for m in self.members]) * further
        spread = weights @ (variance + (logs - centre) ** 2) * self._beyond(points)
        dof = float(weights @ np.array([m.dof for m in self.members]))
        reach = t_quantile(0.5 + 0.5 * level, dof) * np.sqrt(spread)
        return Prediction(
            mean=self._error(centre),
            low=self._error(centre - reach),
            high=self._error(centre + reach),
            distance=self.distance(points),
            level=level,
            kind=kind,
        )

    def moments(self, x: ArrayLike) -> tuple[Floats, Floats]:
        """Ln error of each member at points (m, k), on the law's link, and its variance: (members, m)."""
        parts = self._log_predictions(self._points(x))
        variance = [
            (jacobian @ np.array(m.covariance) * jacobian).sum(1)
            for (_, jacobian), m in zip(parts, self.members, strict=True)
        ]
        # A covariance is so to rounding alone: what is 0 may come out below.
        return np.array([log for log, _ in parts]), np.maximum(np.array(variance), 0.0)

    def draw_members(self, n: int, seed: int) -> np.ndarray:
        """Which member each of `draws` with that n and seed comes from, shape (n,)."""
        weights = np.array([member.weight for member in self.members])
        return np.random.default_rng(seed).permutation(_shares(weights, n))

    def draws(self, x: ArrayLike, n: int, seed: int) -> Floats:
        """Joint draws of the mean error at x (m, k): shape (n, m), the same for equal seeds.

        Each draw comes from one form, chosen by the forms' weights, so that not knowing the form is
        part of the spread. Draw i is the same law at every point, also across calls.
        """
        points = self._points(x)
        rng = np.random.default_rng(seed)
        weights = np.array([member.weight for member in self.members])
        chosen = rng.permutation(_shares(weights, n))
        logs = np.empty((n, len(points)))
        parts, further = self._log_predictions(points), np.sqrt(self._beyond(points))
        for index, member in enumerate(self.members):
            normal = rng.standard_normal((n, len(member.theta)))
            stretch = np.sqrt(member.dof / rng.chisquare(member.dof, n))
            mine = chosen == index
            if not mine.any():
                continue
            delta = (normal * stretch[:, None])[mine] @ root_of(np.array(member.covariance)).T
            log_mean, jacobian = parts[index]
            logs[mine] = log_mean + delta @ jacobian.T * further
        return self._error(logs)

    def distance(self, x: ArrayLike) -> Floats:
        """ln(x / nearest value in the data) on each axis, 0 inside, shape (m, k)."""
        points = self._points(x)
        low = np.array([low for _, low, _ in self.domain])
        high = np.array([high for _, _, high in self.domain])
        below, above = np.log(low / points), np.log(points / high)
        return np.asarray(np.maximum(np.maximum(below, above), 0.0))

    def _beyond(self, points: Floats) -> Floats:
        """By what variances grow outside the data, shape (m,)."""
        if self.beyond == 1.0:
            return np.ones(len(points))
        share = np.minimum(self.distance(points).max(axis=1) / self.beyond_at, 1.0)
        return np.asarray(1.0 + (self.beyond - 1.0) * share)

    def formula(self) -> str:
        """The law with its numbers, to six digits."""
        return formula(self.members[0], self.offset)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; floats keep every bit."""
        return {"schema": SCHEMA, **_plain(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LawFit:
        """The fit that `to_json` wrote.

        Raises:
            InputError: the value has another schema.
        """
        if value.get("schema") != SCHEMA:
            raise InputError(
                f"stored fit has schema {value.get('schema')!r}, this version reads {SCHEMA}; fit again"
            )
        fields = {k: _tuples(v) for k, v in value.items() if k != "schema"}
        for name, kind in (
            ("warnings", FitWarning),
            ("parameters", Parameter),
            ("forms", FormScore),
            ("members", Member),
            ("exclusions", Exclusion),
            ("known", Constraint),
        ):
            fields[name] = tuple(kind(**item) for item in fields.get(name, ()))
        if fields["bootstrap"] is not None:
            fields["bootstrap"] = Bootstrap(**fields["bootstrap"])
        return cls(**fields)

    def _points(self, x: ArrayLike) -> Floats:
        points = np.array(x, dtype=np.float64, ndmin=2)
        if points.ndim != 2 or points.shape[1] != len(self.axes):
            raise InputError(
                f"points must have the columns {', '.join(self.axes)}, got shape {points.shape}"
            )
        if not (np.isfinite(points) & (points > 0)).all():
            raise InputError(f"points must be positive on {', '.join(self.axes)}")
        return points

    def _log_predictions(self, points: Floats) -> list[tuple[Floats, Floats]]:
        """Of each member; those of one form and one estimate share theirs."""
        known: dict[tuple[str, tuple[float, ...]], tuple[Floats, Floats]] = {}
        for member in self.members:
            key = member.law, member.theta
            if key not in known:
                known[key] = self._log_prediction(member, points)
        return [known[m.law, m.theta] for m in self.members]

    def _log_prediction(self, member: Member, points: Floats) -> tuple[Floats, Floats]:
        """Log mean ln f, shape (m,), and its gradient in theta, shape (m, p)."""
        form = member.form()
        columns = [self.axes.index(axis) for axis in form.axes]
        z = np.log(points[:, columns] / np.array(member.scales))
        at = form.at(z).linearise(np.array(member.theta)[None])
        return at.log_mean[0], at.jacobian[0].T

    def _error(self, log_mean: Floats) -> Floats:
        """The error from the logarithm that the law predicts."""
        return Link(self.link, self.offset).backward(log_mean)


def _shares(weights: Floats, n: int) -> np.ndarray:
    """Member index of each of n draws, in proportion to the weights (systematic, no sampling noise)."""
    edges = np.cumsum(weights / weights.sum())
    positions = (np.arange(n) + 0.5) / n
    return np.minimum(np.searchsorted(edges, positions), len(weights) - 1)


def root_of(covariance: Floats) -> Floats:
    """A matrix R with R R^T = covariance, also where that is singular."""
    deviation = np.sqrt(np.diag(covariance))
    safe = np.where(deviation > 0, deviation, 1.0)
    # Scaled first: the variance of an unidentified floor's logarithm would drown the others.
    values, vectors = np.linalg.eigh(covariance / safe[:, None] / safe[None, :])
    return np.asarray(deviation[:, None] * vectors * np.sqrt(np.maximum(values, 0.0)))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _tuples(value: Any) -> Any:
    if isinstance(value, list) and value and type(value[0]) is float:
        return tuple(value)  # thousands of residuals
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {k: _tuples(v) for k, v in value.items()}
    return value
