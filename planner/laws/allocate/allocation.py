"""Compute-optimal allocation of a table: three approaches with intervals, Approach 2's bias, the price of being off."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import FitError, InputError, OutsideDataError
from planner.laws.allocate.approaches import (
    EXPONENT_BUDGETS,
    CostedTable,
    Lines,
    by_frontier,
    by_law,
    by_slices,
)
from planner.laws.allocate.cost import Cost
from planner.laws.allocate.optimum import Scaled, optima
from planner.laws.allocate.records import (
    Allocation,
    Approach,
    Bias,
    Exponent,
    Optimum,
    Penalty,
    Place,
    Replicates,
)
from planner.laws.allocate.slices import SLICE_WIDTH
from planner.laws.forms.base import LEFT_OUT
from planner.laws.leading import leading_form
from planner.laws.observations import Floats, Observations, usable
from planner.laws.one_form import Fitted
from planner.laws.parts import Member
from planner.laws.result import LawFit
from planner.laws.solver.bounds import bounds_of
from planner.laws.uncertainty.bootstrap import refits, replicate_weights
from planner.laws.uncertainty.theta_draws import theta_draws

OFF = (0.25, 0.5, 2.0, 4.0)
"""Factors off the optimum whose penalty is told."""
DEFAULT_BUDGETS = EXPONENT_BUDGETS  # those of the exponents: their optima are known then
CHEAPER = 10.0
"""The optimum as bad as a place off it is looked for down to this part of the budget."""
BUDGETS_FOR_PENALTY = 9
"""Budgets of that search; a polynomial through their optima tells the others to 1e-4 (measured)."""
NAMES = {1: "envelope", 2: "isoFLOP parabolas", 3: "parametric law"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How sure an allocation is of itself, and how far it goes.

    Attributes:
        beyond: factor by which a budget may leave the table's costs.
        bootstrap: resamples of rows, or of whole groups where the table has them.
        draws: of the law's parameters.
        slice_width: ratio of largest to smallest cost in a slice of Approach 2.
        seed: of resamples and draws.
    """

    beyond: float = 1.0
    bootstrap: int = 1000
    draws: int = 1000
    slice_width: float = SLICE_WIDTH
    seed: int = 0


def allocate(
    observations: Observations,
    fit: LawFit,
    cost: Cost,
    budgets: Sequence[float] = (),
    how: Resampling | None = None,
) -> Allocation:
    """Where each budget should go, by Hoffmann's three approaches.

    Args:
        observations: the table that was fitted.
        fit: its law, for Approach 3.
        cost: of a row.
        budgets: in the cost's unit; none: three over the table's own costs.
        how: resamples, draws, slices; None: the usual.

    Raises:
        FitError: the law leaves an axis out, or no budget has an optimum inside the search.
        InputError: the law has fewer than two axes or more than three, or a cost cannot be solved.
        OutsideDataError: a budget lies outside the table's costs by more than `how.beyond`.
    """
    _check(fit)
    how = how or Resampling()
    rng = np.random.default_rng(how.seed)
    seen = _seen(observations, fit, cost, how, rng)
    asked = _asked(seen.table, budgets, how.beyond)
    drawn = _drawn(fit, seen.table, how.draws, rng)
    places = optima(seen.law, seen.theta, cost, asked, seen.table.domain)
    lines = _lines(seen, how.slice_width, None if budgets else places)
    if not np.isfinite(places[0]).all():
        raise FitError(
            f"the {fit.law} law has no optimum inside the search at every budget: along one axis it falls to the end"
        )
    log_cost = seen.table.log_cost
    return Allocation(
        cost=cost.text, unit=cost.unit, law=fit.law, level=fit.level, n_rows=len(log_cost),
        cost_range=(float(np.exp(log_cost.min())), float(np.exp(log_cost.max()))),
        approaches=tuple(
            _approach(i, lines.get(i), (places, drawn) if i == 3 else None, fit, asked) for i in NAMES
        ),
        bias=_bias(seen, lines[3], how.slice_width) if 2 in lines else (),
        penalties=_penalties(seen, asked, places[0], fit),
        replicates=_replicates(lines, drawn, fit.axes),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """The table with its costs, its leading form, and both under every resample's weights, the table's own first.

    `weight` (1 + b, n), `theta` (1 + b, p).
    """

    table: CostedTable
    fitted: Fitted
    law: Scaled
    weight: Floats
    theta: Floats


def _seen(
    observations: Observations, fit: LawFit, cost: Cost, how: Resampling, rng: np.random.Generator
) -> _Seen:
    fitted, order = leading_form(observations, fit)
    kept = usable(observations, signed=fit.link == "signed").rows(order)
    logs = np.log(kept.x)
    cost.check(logs)
    n, theta = len(kept), fitted.estimate.theta[None]
    weight = np.ones((1, n))
    if how.bootstrap:
        drawn = replicate_weights(n, kept.group, how.bootstrap, rng)
        weight = np.concatenate([weight, drawn])
        theta = np.concatenate([theta, refits(fitted.estimate, fitted.rows, drawn)[0]])
    return _Seen(
        table=CostedTable(logs=logs, log_cost=cost.log_cost(logs)[0], error=kept.error, cost=cost),
        fitted=fitted,
        law=_scaled(fit.members[0], fit.axes),
        weight=weight,
        theta=theta,
    )


def _lines(seen: _Seen, slice_width: float, places: Floats | None) -> dict[int, Lines]:
    """Exponents by each approach that can be had; parabolas need two axes."""
    found = {
        1: by_frontier(seen.table, seen.weight),
        3: by_law(seen.law, seen.theta, seen.table, places),
    }
    if len(seen.table.cost.axes) == 2:
        found[2] = by_slices(seen.table, seen.weight, slice_width)[0]
    return found


def _replicates(lines: dict[int, Lines], drawn: Floats, axes: tuple[str, ...]) -> Replicates:
    none = np.empty((0, len(axes)))
    first, second, third = (lines[i].exponent[1:] if i in lines else none for i in NAMES)
    return Replicates(axes=axes, by_approach=(first, second, third), draws=drawn)


def _check(fit: LawFit) -> None:
    if not 2 <= len(fit.axes) <= 3:
        raise InputError(f"an allocation needs two or three axes, this law has {len(fit.axes)}")
    left = [axis for axis, role in fit.roles if role == LEFT_OUT]
    if left:
        raise FitError(
            f"the law leaves {', '.join(left)} out, so nothing says how much of it to buy; vary it in the table"
        )


def _asked(table: CostedTable, budgets: Sequence[float], beyond: float) -> Floats:
    low, high = float(table.log_cost.min()), float(table.log_cost.max())
    if not budgets:
        return table.budgets(DEFAULT_BUDGETS)
    for budget in budgets:
        if not (np.isfinite(budget) and budget > 0):
            raise InputError(f"a budget must be positive, got {budget!r}")
        outside = float(np.exp(max(np.log(budget) - high, low - np.log(budget), 0.0)))
        if outside > beyond * (1 + 1e-9):
            raise OutsideDataError(
                f"budget {budget:.4g} lies {outside:.3g}x outside the table's costs, {np.exp(low):.3g} to "
                f"{np.exp(high):.3g}: an allocation there rests on the form of the law; ask for it with --beyond "
                f"{np.ceil(outside):.0f}x"
            )
    return np.log(np.asarray(budgets, dtype=np.float64))


def _scaled(member: Member, axes: tuple[str, ...]) -> Scaled:
    form = member.form()
    return Scaled(
        form=form, scales=member.scales, columns=tuple(axes.index(axis) for axis in form.axes)
    )


def _drawn(fit: LawFit, table: CostedTable, n: int, rng: np.random.Generator) -> Floats:
    """Exponents of draws of the parameters, each from one form by the forms' weights, shape (n, k)."""
    shares = np.array([member.weight for member in fit.members])
    counts = rng.multinomial(n, shares / shares.sum())
    out = []
    for member, count in zip(fit.members, counts.tolist(), strict=True):
        if not count:
            continue
        law = _scaled(member, fit.axes)
        theta = theta_draws(
            law.form, np.array(member.theta), np.array(member.covariance), member.dof, count, rng
        )
        z = table.logs[:, list(law.columns)] - np.log(law.scales)
        low, high = bounds_of(law.form, z, np.log(np.maximum(table.error, 1e-300)))
        out.append(by_law(law, np.clip(theta, low, high), table).exponent)
    return np.concatenate(out) if out else np.empty((0, len(fit.axes)))


def _ends(values: Floats, level: float) -> tuple[float | None, float | None]:
    """Percentiles of the values that exist; None where fewer than half do."""
    known = values[np.isfinite(values)]
    if len(known) == 0 or len(known) < 0.5 * len(values):
        return None, None
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


def _approach(
    number: int,
    lines: Lines | None,
    of_law: tuple[Floats, Floats] | None,
    fit: LawFit,
    asked: Floats,
) -> Approach:
    """One approach; `of_law`: optima under the law and its drawn exponents, of the parametric one."""
    places, drawn = of_law or (None, None)
    if lines is None:
        note = "parabolas need two axes; with three a slice is a surface"
        return Approach(
            number=number, name=NAMES[number], exponents=(), optima=(), n_points=0, note=note
        )
    exponents = []
    for i, axis in enumerate(fit.axes):
        value = float(lines.exponent[0, i])
        low, high = _ends(lines.exponent[1:, i], fit.level)
        draws_low, draws_high = (None, None) if drawn is None else _ends(drawn[:, i], fit.level)
        exponents.append(
            Exponent(axis=axis, value=value if np.isfinite(value) else None, low=low, high=high,
                     draws_low=draws_low, draws_high=draws_high)
        )  # fmt: skip
    at = lines.at(asked) if places is None else places
    found = (
        tuple(_optimum(fit, float(b), at[:, j], number == 3) for j, b in enumerate(asked))
        if np.isfinite(at[0]).all()
        else ()
    )
    return Approach(
        number=number,
        name=NAMES[number],
        exponents=tuple(exponents),
        optima=found,
        n_points=lines.n_points,
        n_failed=int((~np.isfinite(lines.exponent[1:]).all(axis=1)).sum()),
        note="" if found else _nothing(number),
    )


def _nothing(number: int) -> str:
    if number == 2:
        return "fewer than two slices of nearly one cost have a minimum inside; widen --slice or add isoFLOP rows"
    return "fewer than two rows lie on the frontier of cost and error"


def _optimum(fit: LawFit, log_budget: float, logs: Floats, predicts: bool) -> Optimum:
    """From ln x of the estimate and of each replicate, shape (1 + b, k)."""
    point = np.exp(logs[:1])
    places = []
    for i, axis in enumerate(fit.axes):
        low, high = _ends(np.exp(logs[1:, i]), fit.level)
        places.append(Place(axis=axis, value=float(point[0, i]), low=low, high=high))
    beyond = float(np.exp(fit.distance(point).max()))
    made = Optimum(budget=float(np.exp(log_budget)), places=tuple(places), beyond=beyond)
    if not predicts:
        return made
    band = fit.predict(point, level=fit.level)
    return dataclasses.replace(
        made,
        error=float(band.mean[0]),
        error_low=float(band.low[0]),
        error_high=float(band.high[0]),
    )


def _bias(seen: _Seen, lines: Lines, width: float) -> tuple[Bias, ...]:
    """Approach 2 on the law's own values at the table's places; nothing where it finds no slices."""
    table, fitted, law = seen.table, seen.fitted, seen.law
    log_mean = law.log_mean(fitted.estimate.theta[None], table.logs)[0]
    exact = dataclasses.replace(table, error=np.exp(log_mean))
    found, slices, first = by_slices(exact, np.ones((1, len(log_mean))), width)
    use = np.isfinite(first[0])
    if not use.any():
        return ()
    true = optima(law, fitted.estimate.theta[None], table.cost, slices.log_cost[use], table.domain)[
        0
    ]
    there = table.cost.completed(first[0][use][:, None], slices.log_cost[use])
    both = np.isfinite(there + true).all(axis=1)
    if not both.any():
        return ()
    off = np.exp(np.abs(there - true)[both].max(axis=0))
    return tuple(
        Bias(
            axis=axis,
            exponent_of_law=float(lines.exponent[0, i]),
            exponent_found=float(found.exponent[0, i])
            if np.isfinite(found.exponent[0, i])
            else None,
            worst_place=float(off[i]) if np.isfinite(off[i]) else None,
        )
        for i, axis in enumerate(table.cost.axes)
    )


def _penalties(seen: _Seen, asked: Floats, places: Floats, fit: LawFit) -> tuple[Penalty, ...]:
    law, table, theta = seen.law, seen.table, seen.theta[:1]
    out = []
    for log_budget, best in zip(asked.tolist(), places, strict=True):
        ladder = np.linspace(log_budget - np.log(CHEAPER), log_budget, BUDGETS_FOR_PENALTY)
        errors = law.log_mean(theta, optima(law, theta, table.cost, ladder, table.domain)[0])[0]
        # A smaller budget may have no optimum inside the search: then no cost is told that is as bad.
        told = bool(np.isfinite(errors).all())
        fitted = errors if told else ladder
        cheaper = np.polynomial.Polynomial.fit(fitted, ladder, BUDGETS_FOR_PENALTY - 3)
        for i, factor in ((i, f) for i in range(len(fit.axes) - 1) for f in OFF):
            moved = best[:-1].copy()
            moved[i] += np.log(factor)
            point = table.cost.completed(moved[None], np.array([log_budget]))
            if not np.isfinite(point).all():
                continue  # that much of the axis alone costs more than the budget
            error = float(law.log_mean(theta, point)[0, 0])
            same = float(cheaper(error)) if told and errors[-1] <= error <= errors[0] else None
            out.append(
                Penalty(
                    budget=float(np.exp(log_budget)),
                    axis=fit.axes[i],
                    factor=factor,
                    error=float(np.exp(error)),
                    rise=float(np.exp(error - errors[-1]) - 1.0),
                    extra_cost=None if same is None else float(np.exp(log_budget - same)),
                )
            )
    return tuple(out)
