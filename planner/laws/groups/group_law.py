"""The law of many curves as one value: parameters of each group, and predictions of a known group or of a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import FitError, InputError
from planner.laws.fit_law import fit_law
from planner.laws.forms.base import Form
from planner.laws.forms.link import Link, link_for
from planner.laws.groups.coordinates import Coordinates
from planner.laws.groups.pooling import GroupedRows, Population, pool
from planner.laws.groups.shared import KEPT
from planner.laws.observations import (
    Exclusion,
    Floats,
    Observations,
    check_level,
    usable,
    usable_rows,
)

HYPER, OWN = KEPT, 120
"""Draws of what groups share, and of a group for each: ends are then known to a twentieth of the interval."""
WIDER = 1.3
"""Scale of the proposal over the linearised covariance; with PROPOSAL_DOF it sees the tails (assumption)."""
PROPOSAL_DOF = 5.0
LEAST_GROUPS = 2
LAW = "additive"
LINKS = ("log",)
"""Of a law of groups: parameters and offsets are told in natural units, which exponentials alone would not give back
from odds or from shifted errors."""
LEAST_EFFECTIVE = 100.0
"""Effective draws of what groups share from which ends of intervals are told (assumption: an end of a 90 % interval
then lies within a quarter of its width of where it would be)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupParameter:
    """One parameter of one group (or of the population, `group` None) with its interval, in natural units."""

    group: str | None
    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOffset:
    """How many times a group's mean error is another's at the axes' scales, with its interval.

    `probability_below`: that it is below 1.
    """

    group: str
    against: str
    ratio: float
    low: float
    high: float
    probability_below: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupLaw:
    """A fitted population of laws.

    Attributes:
        law: name of the form.
        metric: name of the error.
        axes: of the table.
        names: of the groups, in the order of the population.
        n_rows: of each group.
        scales: of the axes.
        link: of the error.
        population: what was estimated.
        rows: what it was estimated from; a group's posterior is drawn from them.
        domain: smallest and largest value of each axis.
        exclusions: rows that were left out, with reasons.
        level: probability of intervals.
        seed: of all draws.
    """

    law: str
    metric: str
    axes: tuple[str, ...]
    names: tuple[str, ...]
    n_rows: tuple[int, ...]
    scales: Floats
    link: Link
    coordinates: Coordinates
    population: Population
    rows: GroupedRows
    domain: tuple[tuple[float, float], ...]
    exclusions: tuple[Exclusion, ...]
    level: float
    seed: int

    def predict(
        self, groups: Sequence[str | None], x: Floats, kind: str = "mean"
    ) -> tuple[Floats, Floats, Floats]:
        """Median and interval at points x (m, k) of those groups; None, or a name that is not known, is a new group.

        Raises:
            InputError: a value is not positive, or kind is neither `mean` nor `new-run`.
        """
        if kind not in ("mean", "new-run"):
            raise InputError(f"kind must be mean or new-run, got {kind!r}")
        points = np.array(x, dtype=np.float64, ndmin=2)
        if not (np.isfinite(points) & (points > 0)).all():
            raise InputError(f"points must be positive on {', '.join(self.axes)}")
        z = np.log(points[:, self._columns()] / self.scales)
        ends = np.empty((3, len(points)))
        asked = [self.names.index(g) if g in self.names else None for g in groups]
        for one in dict.fromkeys(asked):
            rows = np.array([i for i, g in enumerate(asked) if g == one])
            phi, weight, sigma = self._draws(one)
            logs = self.coordinates.form.at(z[rows]).log_mean(self.coordinates.theta(phi))
            if kind == "new-run":
                rng = np.random.default_rng(self.seed + 1)
                logs = logs + sigma[:, None] * rng.standard_normal(logs.shape)
            ends[:, rows] = _quantiles(logs, weight, self.level)
        low, middle, high = (self.link.backward(row) for row in ends)
        return middle, low, high

    def parameters(self) -> tuple[GroupParameter, ...]:
        """Of the population (a new group's), then of each group."""
        specs = self.coordinates.form.parameters
        out = []
        for place, name in ((None, None), *enumerate(self.names)):
            phi, weight, _ = self._draws(place)
            theta = self.coordinates.theta(phi)
            ends = _quantiles(theta, weight, self.level)
            for i, spec in enumerate(specs):
                low, middle, high = (np.exp(ends[:, i]) if spec.is_log else ends[:, i]).tolist()
                out.append(
                    GroupParameter(group=name, name=spec.name, value=middle, low=low, high=high)
                )
        return tuple(out)

    def offset(self, group: str, against: str) -> GroupOffset:
        """The group's level over the other's: a family's offset, with what both share integrated.

        Given what is shared the two are independent, so that draws of both are paired at random within each draw
        of it.

        Raises:
            InputError: the law has no group of that name.
        """
        missing = [name for name in (group, against) if name not in self.names]
        if missing:
            raise InputError(f"the law has no group {missing[0]!r}; it has {', '.join(self.names)}")
        mine, other = (self._levels(self.names.index(name)) for name in (group, against))
        difference = mine - np.random.default_rng(self.seed).permuted(other, axis=1)
        low, middle, high = np.exp(
            np.quantile(difference, [0.5 - 0.5 * self.level, 0.5, 0.5 + 0.5 * self.level])
        )
        return GroupOffset(
            group=group, against=against, ratio=float(middle), low=float(low), high=float(high),
            probability_below=float((difference < 0).mean()),
        )  # fmt: skip

    def _levels(self, group: int) -> Floats:
        """Draws of a group's level, as likely as one another, of each draw of what is shared: (h, s)."""
        phi, weight, _ = self._draws(group)
        levels = phi[:, self.coordinates.logs[0]].reshape(HYPER, OWN)
        passed = np.cumsum(weight.reshape(HYPER, OWN), axis=1)
        places = (np.arange(OWN) + 0.5) / OWN
        taken = np.array([np.searchsorted(row / row[-1], places) for row in passed])
        return np.take_along_axis(levels, np.minimum(taken, OWN - 1), axis=1)

    def distance(self, x: Floats) -> Floats:
        """Factor by which the farthest axis leaves the data of all groups, shape (m,)."""
        low, high = np.array(self.domain).T
        outside = np.maximum(np.log(low / x), np.log(x / high)).max(axis=1)
        return np.asarray(np.exp(np.maximum(outside, 0.0)))

    def _columns(self) -> list[int]:
        return [self.axes.index(axis) for axis in self.coordinates.form.axes]

    def _draws(self, group: int | None) -> tuple[Floats, Floats, Floats]:
        """Coordinates of one group, their weights and the row spread of each draw: shapes (s, p), (s,), (s,).

        What groups share is drawn from its posterior, a group given that by importance sampling from a
        wide t about its estimate, weighted by its own rows and the drawn population. Weights add up to one share for
        each draw of what is shared, whose posterior knows the group's rows already.
        """
        found, p = self.population, self.coordinates.form.n_parameters
        rng = np.random.default_rng([self.seed, -1 % 2**31 if group is None else group])
        mu, tau, sigma = found.shared.mu, found.shared.tau, found.shared.sigma
        if group is None:
            phi = mu[:, None] + tau[:, None] * rng.standard_normal((HYPER, OWN, p))
            flat = np.full(HYPER * OWN, 1.0 / (HYPER * OWN))
            return self._inside(phi.reshape(-1, p)), flat, np.repeat(sigma, OWN)
        centre, root = self._given(group)
        normal = rng.standard_normal((HYPER, OWN, p))
        chi = rng.chisquare(PROPOSAL_DOF, (HYPER, OWN)) / PROPOSAL_DOF
        step = (root[:, None] @ normal[..., None])[..., 0] / np.sqrt(chi)[..., None]
        phi = centre[:, None] + WIDER * step
        proposed = -0.5 * (PROPOSAL_DOF + p) * np.log1p((normal**2).sum(-1) / chi / PROPOSAL_DOF)
        mine = self.rows.group == group
        flat_phi = self._inside(phi.reshape(-1, p))
        theta = self.coordinates.theta(flat_phi)
        off = self.coordinates.form.at(self.rows.z[mine]).log_mean(theta) - self.rows.y[mine]
        misfit = (self.rows.weight[mine] * off**2).sum(1).reshape(HYPER, OWN) / sigma[:, None] ** 2
        prior = (((phi - mu[:, None]) / tau[:, None]) ** 2).sum(-1)
        log_weight = -0.5 * (misfit + prior) - proposed
        weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True) * HYPER
        return flat_phi, weight.ravel(), np.repeat(sigma, OWN)

    def _given(self, group: int) -> tuple[Floats, Floats]:
        """Mean (h, p) and root of the covariance (h, p, p) of a group given each draw of what is shared, linearised."""
        told, shared = self.population.told, self.population.shared
        noise, spread = shared.sigma[:, None] ** 2, shared.tau**2
        own = told.information[group] / noise[:, :, None]
        own = own + spread[:, None, :] ** -1.0 * np.eye(spread.shape[1])
        right = told.right[group] / noise + shared.mu / spread
        centre = np.linalg.solve(own, right[:, :, None])[:, :, 0]
        return centre, np.linalg.cholesky(np.linalg.inv(own))

    def _inside(self, phi: Floats) -> Floats:
        """Logarithms of exponents where their exponential is finite."""
        out = phi.copy()
        out[:, self.coordinates.exponents] = np.clip(out[:, self.coordinates.exponents], -20.0, 4.0)
        return out


def _quantiles(values: Floats, weight: Floats, level: float) -> Floats:
    """Weighted low, middle and high of each column, shape (3, m)."""
    tails = np.array([0.5 - 0.5 * level, 0.5, 0.5 + 0.5 * level])
    out = np.empty((3, values.shape[1]))
    for j, column in enumerate(values.T):
        order = np.argsort(column)
        passed = np.cumsum(weight[order]) - 0.5 * weight[order]
        out[:, j] = np.interp(tails, passed / weight.sum(), column[order])
    return out


def fit_groups(
    observations: Observations,
    labels: Sequence[str],
    *,
    level: float = 0.9,
    link: str = "log",
    seed: int = 0,
) -> GroupLaw:
    """Fit one additive law to each group, all drawn from one population.

    Args:
        observations: rows of all groups; two rows are enough for a group, and groups of one say little.
        labels: the group of each row.
        level: probability of intervals.
        link: `log`.
        seed: of the draws.

    Raises:
        FitError: fewer than two groups, or no law of all rows exists.
        InputError: labels do not fit the rows, the level is no probability, or the link is another one.
    """
    check_level(level)
    if link not in LINKS:
        raise InputError(
            f"a law of groups is of the error's logarithm; link {link} is of one law alone (fit table without "
            "--group-law), or give a column of transformed errors"
        )
    if len(labels) != len(observations):
        raise InputError(f"{len(labels)} group labels for {len(observations)} rows")
    chosen, kept = link_for(observations, link), usable(observations)
    names, group = _named(labels, usable_rows(observations))
    y = chosen.forward(kept.error)
    overall = fit_law(_levelled(kept, y, group), law=LAW)
    leading = overall.members[0]
    at, scales = Coordinates(form=leading.form()), np.array(leading.scales)
    rows = _grouped(kept, y, group, at.form, scales)
    theta = np.tile(np.array(leading.theta), (len(names), 1))
    off = _means(y - at.form.at(rows.z).log_mean(theta[:1])[0], group)
    theta[:, at.form.log_parameters] += off[:, None]
    return GroupLaw(
        law=LAW, metric=observations.metric, axes=observations.axes, names=names,
        n_rows=tuple(np.bincount(group).tolist()), scales=scales, link=chosen, coordinates=at,
        population=pool(rows, at, at.phi(theta), overall.sigma, seed), rows=rows,
        domain=tuple(kept.domain(axis) for axis in kept.axes), exclusions=kept.exclusions, level=level, seed=seed,
    )  # fmt: skip


def _named(
    labels: Sequence[str], used: NDArray[np.bool_]
) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Names of the groups that have a usable row, and the group of each such row."""
    given = [label for label, use in zip(labels, used.tolist(), strict=True) if use]
    names = tuple(dict.fromkeys(given))
    if len(names) < LEAST_GROUPS:
        raise FitError(
            f"a law of groups needs at least {LEAST_GROUPS} groups to tell what they share, got {len(names)}: "
            f"{', '.join(names)}; fit each alone with fit table"
        )
    return names, np.array([names.index(label) for label in given], dtype=np.intp)


def _grouped(
    kept: Observations, y: Floats, group: NDArray[np.intp], form: Form, scales: Floats
) -> GroupedRows:
    columns = [kept.axes.index(axis) for axis in form.axes]
    weight = np.ones(len(y)) if kept.weight is None else kept.weight / kept.weight.mean()
    z = np.log(kept.x[:, columns] / scales)
    return GroupedRows(z=z, y=y, weight=weight, group=group, n_groups=int(group.max()) + 1)


def _means(values: Floats, group: NDArray[np.intp]) -> Floats:
    """Mean of each group."""
    return np.asarray(np.bincount(group, values) / np.bincount(group))


def _levelled(kept: Observations, y: Floats, group: NDArray[np.intp]) -> Observations:
    """All rows as one curve, every group at the same level: where the search begins."""
    level = _means(y, group)[group]
    return dataclasses.replace(
        kept, error=np.exp(y - level), exclusions=(), cost=None, group=group, std_error=None
    )
