"""Fit a law to a table of runs: the one entry of this room."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.laws.control import PRIOR, Constraint
from planner.laws.diagnose import (
    about_suspects,
    aicc,
    condition_of,
    outliers,
    statuses_of,
    warnings_of,
)
from planner.laws.forms.coverage import DurationHistogram
from planner.laws.forms.link import Link, link_for
from planner.laws.identify import design_of
from planner.laws.observations import Observations, check_level, usable, usable_rows
from planner.laws.one_form import Fitted, Setting, fit_form
from planner.laws.parts import Bootstrap, FitWarning, FormScore, Parameter, correlation, triangle
from planner.laws.result import SHARED, VERSION, LawFit
from planner.laws.selection import select
from planner.laws.solver.losses import loss_for, parse_loss
from planner.laws.suspects import JUDGES, SUSPECT, suspicion
from planner.laws.uncertainty.bootstrap import bootstrap as resample
from planner.laws.uncertainty.intervals import correlation_of
from planner.laws.uncertainty.parameters import parameters_of
from planner.laws.weighing import Candidate

LEAST_ROWS_A_SUSPECT = 6
"""Rows for each that may be left out as wrong: where many are, none is told from the rest."""
WORTH_TELLING = 0.01
"""Probability of being wrong from which a fit carries it."""

T = TypeVar("T")


def fit_law(
    observations: Observations,
    *,
    law: str = "auto",
    loss: str = "log",
    seed: int = 0,
    bootstrap: int = 0,
    level: float = 0.9,
    link: str = "log",
    coverage: DurationHistogram | None = None,
    also: tuple[str, ...] = (),
    known: tuple[Constraint, ...] = (),
) -> LawFit:
    """Fit a scaling law by log residuals.

    Args:
        observations: the runs; rows with values that have no logarithm are excluded and named.
        law: name of a form, a formula (`E + A*n^-a`), or `auto`: several are tried, chosen and weighted by
            extrapolation.
        loss: `log`, `huber:auto` or `huber:DELTA` (in log residuals), summed over rows; or `auto`:
            `huber:auto` from 50 rows on, else `log`.
        seed: of everything random; the same seed gives the same fit.
        bootstrap: replicates, each with a second start; 0 for none.
        level: probability of the parameters' intervals.
        link: `log`; `odds` for a metric in [0, 1] that must stay there; `signed` for one of either
            sign, which `log` becomes by itself where most errors are negative.
        coverage: durations of the scored audio; the words outside the window of `audio_seconds` are
            then a known floor.
        also: laws of one's own (formulas, or names) that `auto` tries besides its own.
        known: of parameters beforehand (`planner.laws.control.constraints`).

    Raises:
        FitError: no estimate exists: too few runs, one level on every axis, collinear axes.
        InputError: an argument is not known.
        UnknownNameError: no law has the name.
    """
    _check(level, bootstrap)
    loss = loss_for(loss, len(observations.undropped()))
    parse_loss(loss)
    chosen = link_for(observations.undropped(), link)
    table, order = ordered(observations, chosen)
    setting = Setting(loss=loss, link=chosen, coverage=coverage, also=tuple(also), known=known)
    auto = law == "auto"
    if also and not auto:
        raise InputError(f"also is of law auto, and the law is {law}; leave one of them out")
    _check_floor(observations.undropped(), known)
    given = np.flatnonzero(usable_rows(observations, signed=chosen.name == "signed"))
    selected, order = _trusted(table, law if not auto else None, setting, level, given, order)
    resampled = selected.resampled(bootstrap, seed) if bootstrap else None
    return _in_given_order(_assemble(selected, seed, resampled), order)


def _trusted(
    table: Observations,
    law: str | None,
    setting: Setting,
    level: float,
    given: NDArray[np.intp],
    order: NDArray[np.intp],
) -> tuple[_Selected, NDArray[np.intp]]:
    """The forms fitted to the rows that are not suspected, and the order of those rows.

    Args:
        table: all usable rows, ordered.
        law: name of a form, or None: all that make sense.
        setting: what forms are fitted under.
        level: probability of the parameters' intervals.
        given: place of each usable row in the table as given.
        order: that of the table's rows among them.
    """
    places, wrong = given[order], np.zeros(len(table))
    kept = np.arange(len(table))
    n_most = len(table) // LEAST_ROWS_A_SUSPECT
    while True:
        rows = table.rows(kept) if len(kept) < len(table) else table
        candidates = _candidates(rows, law, setting)
        if table.noise is None:
            break
        found = suspicion(_judges(rows, candidates, setting))
        wrong[kept] = found
        worst = int(found.argmax())
        if found[worst] <= SUSPECT or len(table) - len(kept) >= n_most:
            break
        kept = np.delete(kept, worst)
    suspects = tuple(
        (int(table.run_ids[i]) if table.run_ids else int(places[i]), float(wrong[i]))
        for i in np.flatnonzero(wrong >= WORTH_TELLING)
    )
    selected = _Selected(
        table=rows, candidates=candidates, setting=setting, level=level, row_numbers=places[kept],
        suspects=suspects,
    )  # fmt: skip
    return selected, order[kept]


def _candidates(table: Observations, law: str | None, setting: Setting) -> list[Candidate]:
    if law is None:
        return select(table, design_of(table), setting)
    return [_named(table, law, setting)]


def _judges(table: Observations, candidates: list[Candidate], setting: Setting) -> list[Fitted]:
    """The plain forms by which rows are suspected: as fitted, or fitted for it."""
    known = {c.law: c.fitted for c in candidates if c.fitted is not None}
    return [known.get(name) or fit_form(table, name, setting) for name in JUDGES]


def _check_floor(table: Observations, known: tuple[Constraint, ...]) -> None:
    """A floor that is held above every error leaves no law."""
    largest = float(
        np.nanmax(np.where(np.isfinite(table.error), table.error, np.nan), initial=-np.inf)
    )
    for one in known:
        if one.kind == PRIOR or one.first is None or one.name not in ("floor", "E"):
            continue
        if one.first >= largest:
            raise InputError(
                f"{one.said()}: the largest {table.metric} is {largest:g}, and errors lie above their floor"
            )


def _check(level: float, bootstrap: int) -> None:
    check_level(level)
    if bootstrap < 0 or bootstrap == 1:
        raise InputError(f"bootstrap must be 0 or at least 2 replicates, got {bootstrap!r}")


def _in_given_order(fit: LawFit, order: NDArray[np.intp]) -> LawFit:
    """The fit with its rows as the caller gave them; `order` is that of `ordered`."""
    back = np.argsort(order)  # rows of the table that were left out have no place here

    def given(values: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(values[i] for i in back) if values else ()

    return dataclasses.replace(
        fit,
        residuals=given(fit.residuals),
        run_ids=given(fit.run_ids),
        own_variance=given(fit.own_variance),
        own_pairs=triangle(correlation(fit.own_pairs)[back][:, back]) if fit.own_pairs else (),
    )


def ordered(observations: Observations, link: Link) -> tuple[Observations, NDArray[np.intp]]:
    """The usable rows in one order for all permutations, and that order among the usable ones.

    Sums over rows are then equal to the last bit, however the table was given.
    """
    kept = usable(observations, signed=link.name == "signed")
    order = np.lexsort((kept.error, *kept.x.T[::-1]))
    return kept.rows(order), order


def _named(table: Observations, law: str, setting: Setting) -> Candidate:
    fitted = fit_form(table, law, setting)
    return Candidate(
        law=law,
        n_parameters=fitted.form.n_fitted,
        fitted=fitted,
        aicc=aicc(fitted),
        weight=1.0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selected:
    """The forms that were fitted to a table, the best first.

    Attributes:
        table: the rows, in the order of `ordered`.
        candidates: the forms.
        setting: what all of them were fitted under.
        level: probability of the parameters' intervals.
        row_numbers: of each row of the table, its number in the table that was given, shape (n,).
        suspects: rows (by run, where runs are known) and the probability that they are wrong.
    """

    table: Observations
    candidates: list[Candidate]
    setting: Setting
    level: float
    row_numbers: NDArray[np.intp]
    suspects: tuple[tuple[int, float], ...] = ()

    @property
    def best(self) -> Fitted:
        """The form that is chosen."""
        best = self.candidates[0].fitted
        assert best is not None
        return best

    def weighed(self) -> list[Candidate]:
        """The forms that predictions are made of."""
        return [c for c in self.candidates if c.fitted is not None and c.weight > 0]

    def parameters(self, fitted: Fitted) -> tuple[Parameter, ...]:
        """One form's parameters with their intervals."""
        return parameters_of(
            fitted.estimate,
            fitted.rows,
            fitted.spread,
            fitted.rise,
            self.level,
            self.table.metric,
            self.setting.link,
            fitted.scales,
        )

    def resampled(self, n: int, seed: int) -> Bootstrap:
        """The best form fitted to n replicates of the rows."""
        best, group = self.best, self.table.group
        return resample(
            best.estimate, best.rows, group, best.scales, n=n, level=self.level, seed=seed
        )

    def warnings(self, parameters: tuple[Parameter, ...]) -> tuple[FitWarning, ...]:
        """Of the best form, whose parameters are given."""
        warnings = warnings_of(self.table, self.best, parameters, self.row_numbers)
        warnings += about_suspects(self.suspects, bool(self.table.run_ids))
        if "outliers" in {warning.code for warning in warnings}:
            return warnings
        return warnings + self._outliers_of_additive()

    def _outliers_of_additive(self) -> tuple[FitWarning, ...]:
        """Outliers of the plain law: one with more terms may have bent itself to them."""
        for candidate in self.candidates[1:]:
            if candidate.law == "additive" and candidate.fitted is not None:
                parameters = self.parameters(candidate.fitted)
                return tuple(
                    dataclasses.replace(
                        warning, message=f"under the additive law {warning.message}"
                    )
                    for warning in outliers(candidate.fitted, parameters, self.row_numbers)
                )
        return ()


def _assemble(selected: _Selected, seed: int, resampled: Bootstrap | None) -> LawFit:
    table, setting, best = selected.table, selected.setting, selected.best
    estimate, parameters = best.estimate, selected.parameters(best)
    warnings = selected.warnings(parameters)
    statuses = statuses_of(warnings)
    return LawFit(
        law=best.law,
        metric=table.metric,
        link=setting.link.name,
        offset=setting.link.offset,
        axes=table.axes,
        roles=tuple(best.design.roles.items()),
        status=statuses[0],
        statuses=statuses,
        warnings=warnings,
        parameters=parameters,
        loss=setting.loss,
        delta=estimate.loss.delta,
        objective=estimate.objective,
        forms=tuple(_score(candidate) for candidate in selected.candidates),
        members=tuple(
            m for c in selected.weighed() if c.fitted for m in c.fitted.members(c.weight)
        ),
        domain=tuple((axis, *table.domain(axis)) for axis in table.axes),
        levels=tuple((axis, table.levels(axis)) for axis in table.axes),
        n_runs=len(table),
        n_parameters=best.form.n_fitted,
        dof=best.dof,
        sigma=best.sigma,
        level=selected.level,
        correlation=tuple(tuple(row) for row in correlation_of(best.covariance).tolist()),
        condition_number=condition_of(best),
        gradient_norm=estimate.gradient_norm,
        n_starts=estimate.n_starts,
        n_agree=estimate.n_agree,
        residuals=tuple(estimate.residual.tolist()),
        bootstrap=resampled,
        run_ids=table.run_ids,
        exclusions=table.exclusions,
        seed=seed,
        version=VERSION,
        scatter=best.spread.scatter,
        doubt=estimate.loss.doubt,
        **_noise_of(table),
        suspicion=selected.suspects,
        beyond=selected.candidates[0].beyond.ratio,
        beyond_at=selected.candidates[0].beyond.at,
        misfit=selected.candidates[0].beyond.misfit,
        known=setting.known,
    )


def _noise_of(table: Observations) -> dict[str, Any]:
    """The fields of a fit that tell what was known of the rows' noise."""
    known = table.noise
    if known is None:
        return {}
    return {
        "rule": SHARED,
        "common": known.common,
        "common_dof": known.common_dof,
        "noise_source": known.source,
        "own_variance": tuple(known.own.tolist()),
        "own_pairs": () if known.pairs is None else triangle(known.pairs),
    }


def _score(candidate: Candidate) -> FormScore:
    fitted = candidate.fitted
    return FormScore(
        law=candidate.law,
        n_parameters=candidate.n_parameters,
        objective=None if fitted is None else fitted.estimate.objective,
        aicc=candidate.aicc,
        cv_error=candidate.cv_error,
        weight=candidate.weight,
        status="not-fitted" if fitted is None else "fitted",
        note=candidate.note,
    )
