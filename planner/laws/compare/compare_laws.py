"""Are the laws of a table's groups different, in what, from which size on, and how sure is that.

Each group is fitted alone, all with one form over one set of scales. A parameter's difference is Welch's: variances and
degrees of freedom of both fits. Whether exponents, or whole curves, are the same is asked of the objective: by how much
it rises when both groups must share them (`joint.together`), against the noise of the separate fits,

    F = 2 (objective_shared - objective_separate) / (n dispersion),    evidence = exp((BIC_shared - BIC_separate) / 2)

(Schwarz 1978; Kass and Raftery 1995). Many pairs are adjusted by Holm, question by question.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from planner.errors import FitError, InputError, OutsideDataError, UnknownNameError
from planner.laws.compare.crossing import crossing_of
from planner.laws.compare.joint import together
from planner.laws.compare.records import (
    Asked,
    GroupFit,
    JointTest,
    LawComparison,
    Pair,
    ParameterDifference,
)
from planner.laws.fit_law import fit_law, ordered
from planner.laws.forms.link import link_for
from planner.laws.observations import Floats, Observations, check_level, usable_rows
from planner.laws.one_form import Fitted, Setting, fit_form
from planner.laws.parts import formula
from planner.laws.solver.dispersion import dispersion
from planner.laws.solver.losses import Loss, loss_for, parse_loss
from planner.laws.uncertainty.parameters import UNBOUNDED, parameters_of
from planner.words.several import holm
from planner.words.student import regularised_beta, t_cdf, t_quantile

LARGEST_EVIDENCE = 1e12
"""Evidence ratios are told up to here: beyond, the approximation says nothing more."""


def compare_laws(observations: Observations, labels: Sequence[str], asked: Asked) -> LawComparison:
    """Fit one law to each group and compare them in pairs.

    Args:
        observations: rows of all groups.
        labels: the group of each row.
        asked: law, loss, and where curves may cross.

    Raises:
        FitError: fewer than two groups, or one cannot carry the law that the others do.
        InputError: labels do not fit the rows, or the level is no probability.
        OutsideDataError: an axis is held outside the data by more than `asked.beyond`.
        UnknownNameError: the reference is no group, or an axis is not in the table.
    """
    check_level(asked.level)
    if len(labels) != len(observations):
        raise InputError(f"{len(labels)} labels of {asked.by} for {len(observations)} rows")
    _check_places(observations, asked)
    fits, setting, law = _fits(observations, labels, asked)
    made = [
        Pair(
            first=a,
            second=b,
            parameters=_parameters(fits[a], fits[b], asked.level),
            joint=_joint(fits[a], fits[b]),
            crossing=crossing_of({a: fits[a], b: fits[b]}, observations, asked),
        )
        for a, b in _pairs(list(fits), asked)
    ]
    return LawComparison(
        law=law, metric=observations.metric, by=asked.by, axes=observations.axes, loss=setting.loss,
        level=asked.level, pairs=_adjusted(made), notes=_scatter_notes(fits, asked.by),
        groups=tuple(_group(n, f, setting, asked.level, observations.metric) for n, f in fits.items()),
    )  # fmt: skip


def _check_places(observations: Observations, asked: Asked) -> None:
    """That the axis along is one, and the others are held at values that the data tell something of."""
    along = asked.along or observations.axes[0]
    for axis in (along, *asked.held):
        if axis not in observations.axes:
            raise UnknownNameError("axis", axis, observations.axes)
    for axis, value in asked.held.items():
        if axis == along:
            raise InputError(
                f"{axis} is the axis along which curves cross, and cannot be held at {value:g}; name another with along"
            )
        low, high = observations.undropped().domain(axis)
        outside = max(value / high, low / value)
        if outside > asked.beyond * (1 + 1e-9):
            raise OutsideDataError(
                f"{axis} = {value:g} lies {outside:.3g}x outside the data, {low:g} to {high:g}: a crossing there "
                f"rests on the form of the law; ask for it with --beyond {math.ceil(outside)}x"
            )


def _pairs(names: list[str], asked: Asked) -> list[tuple[str, str]]:
    if asked.reference is None:
        return list(itertools.combinations(names, 2))
    if asked.reference not in names:
        raise UnknownNameError(asked.by, asked.reference, names)
    return [(asked.reference, name) for name in names if name != asked.reference]


def _fits(
    observations: Observations, labels: Sequence[str], asked: Asked
) -> tuple[dict[str, Fitted], Setting, str]:
    """Each group's own fit over the scales of all rows, the setting of all of them, and the form."""
    link = link_for(observations.undropped(), asked.link)
    tables = _tables(observations, labels, asked.by, signed=link.name == "signed")
    law = _chosen(tables, asked) if asked.law == "auto" else asked.law
    table, _ = ordered(observations, link)
    setting = Setting(loss=loss_for(asked.loss, len(table)), link=link)
    guide = fit_form(table, law, setting)
    if parse_loss(setting.loss)[0] == "huber":
        shared = Loss(delta=guide.estimate.loss.delta)
        setting = dataclasses.replace(setting, shared=shared)
    fits = {}
    for name, rows in tables.items():
        try:
            fit = fits[name] = fit_form(ordered(rows, link)[0], law, setting, guide=guide)
        except FitError as problem:
            raise FitError(f"{asked.by} {name}: {problem}") from None
        wanted, found = ({s.name for s in f.form.parameters} for f in (guide, fit))
        if wanted != found:
            lacking = ", ".join(sorted(wanted - found)) or "a slope"
            raise FitError(
                f"the {len(fit.rows)} rows of {asked.by} {name} do not carry the {law} law of all rows ({lacking} is "
                "not told); leave the group out, or name a smaller law"
            )
    return fits, setting, law


def _tables(
    observations: Observations, labels: Sequence[str], by: str, *, signed: bool
) -> dict[str, Observations]:
    """The usable rows of each group."""
    use = usable_rows(observations, signed=signed)
    names = list(dict.fromkeys(label for label, u in zip(labels, use.tolist(), strict=True) if u))
    if len(names) < 2:
        raise FitError(
            f"a comparison needs two groups of {by} or more, got {', '.join(names) or 'none'}"
        )
    given = np.array(labels, dtype=object)
    return {name: observations.rows((given == name) & use) for name in names}


def _chosen(tables: Mapping[str, Observations], asked: Asked) -> str:
    """The form that weighs most over the groups, each group counting as one."""
    weights: dict[str, float] = {}
    for rows in tables.values():
        for form in fit_law(rows, loss=asked.loss, link=asked.link).forms:
            weights[form.law] = weights.get(form.law, 0.0) + form.weight
    return max(weights, key=lambda name: weights[name])


def _parameters(a: Fitted, b: Fitted, level: float) -> tuple[ParameterDifference, ...]:
    both = _both(a, b)
    values, errors = zip(_natural(a), _natural(b), strict=True)
    made = []
    for i, spec in enumerate(a.form.parameters):
        variances = errors[0][i] ** 2, errors[1][i] ** 2
        told = all(math.isfinite(v) and 0 < v < UNBOUNDED**2 for v in variances)
        ratio = spec.is_log or spec.kind in ("scale", "place")
        shared, _ = together((a, b), [i])
        made.append(
            ParameterDifference(
                name=spec.name,
                kind="ratio" if ratio else "difference",
                **_welch(values[1][i] - values[0][i], variances, (a.dof, b.dof), level, ratio)
                if told
                else dict.fromkeys(("value", "low", "high", "p")),
                p_holm=None,
                evidence=both.evidence(shared, 1),
            )
        )
    return tuple(made)


def _natural(fit: Fitted) -> tuple[Floats, Floats]:
    """Parameters as they are reported, logarithms as such, and their standard errors."""
    theta = fit.estimate.theta
    slopes = fit.form.natural_slopes(theta)
    covariance = slopes @ fit.covariance @ slopes.T
    return fit.form.natural(theta[None])[0], np.sqrt(np.maximum(np.diag(covariance), 0.0))


def _welch(
    off: float, variances: tuple[float, float], dofs: tuple[float, float], level: float, ratio: bool
) -> dict[str, float]:
    """Difference with its interval and p (Welch 1947, Satterthwaite's degrees of freedom)."""
    total = sum(variances)
    dof = total**2 / sum(v**2 / d for v, d in zip(variances, dofs, strict=True))
    half = t_quantile(0.5 + 0.5 * level, dof) * math.sqrt(total)
    ends = off, off - half, off + half
    value, low, high = (math.exp(min(e, 700.0)) if ratio else e for e in ends)
    return {
        "value": value,
        "low": low,
        "high": high,
        "p": 2.0 * t_cdf(-abs(off) / math.sqrt(total), dof),
    }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Both:
    """Both groups' separate fits together.

    Attributes:
        objective: of both.
        rows: of both; dof: degrees of freedom of both.
        rise: dispersion of the objective, by both fits' degrees of freedom.
        excess: that over what rows that scatter alike and alone would give, at least 1: what dependent rows
            count for fewer.
        squares: whether the objective is a sum of squares, whose likelihood is a power of it.
    """

    objective: float
    rows: int
    dof: float
    rise: float
    excess: float
    squares: bool

    def evidence(self, shared: float, n: int) -> float:
        """Evidence for n parameters of their own over shared ones: half the difference of Schwarz's criteria."""
        more = max(shared - self.objective, 0.0)
        gain = 2.0 * more / self.rise
        if self.squares:
            gain = self.rows * math.log1p(more / max(self.objective, 1e-300)) / self.excess
        return math.exp(min(0.5 * (gain - n * math.log(self.rows)), math.log(LARGEST_EVIDENCE)))


def _both(a: Fitted, b: Fitted) -> _Both:
    residual = np.concatenate([f.estimate.residual * np.sqrt(f.rows.weight) for f in (a, b)])
    spare = max(len(residual) - a.form.n_fitted - b.form.n_fitted, 1)
    plain = max(dispersion(residual, a.estimate.loss, spare).rise, 1e-300)
    stretch = float(np.mean([*a.spread.stretch, *b.spread.stretch]))
    told = (a.dof * a.rise + b.dof * b.rise) / (a.dof + b.dof)
    excess = max(told / plain, 1.0) * max(stretch, 1.0)
    return _Both(
        objective=a.estimate.objective + b.estimate.objective, rows=len(residual), dof=a.dof + b.dof,
        rise=plain * excess, excess=excess, squares=a.estimate.loss.delta is None,
    )  # fmt: skip


def _joint(a: Fitted, b: Fitted) -> tuple[JointTest, ...]:
    specs, both = a.form.parameters, _both(a, b)
    exponents = [
        i for i, s in enumerate(specs) if not s.is_log and s.kind not in ("scale", "place")
    ]
    made = []
    for what, which in (("exponents", exponents), ("curves", list(range(len(specs))))):
        if not which:
            continue
        shared, _ = together((a, b), which)
        f = 2.0 * max(shared - both.objective, 0.0) / (len(which) * both.rise)
        made.append(
            JointTest(
                what=what, n=len(which), f=f, dof=both.dof, p=_f_tail(f, len(which), both.dof), p_holm=None,
                evidence=both.evidence(shared, len(which)),
            )
        )  # fmt: skip
    return tuple(made)


def _f_tail(f: float, n: int, dof: float) -> float:
    """P(F > f) on n and dof degrees of freedom."""
    return regularised_beta(0.5 * dof, 0.5 * n, dof / (dof + n * f))


def _adjusted(pairs: list[Pair]) -> tuple[Pair, ...]:
    """P values adjusted for the number of pairs, question by question."""
    for i in range(len(pairs[0].parameters)):
        told = [k for k, pair in enumerate(pairs) if pair.parameters[i].p is not None]
        for k, p in zip(told, holm([pairs[k].parameters[i].p or 0.0 for k in told]), strict=True):
            changed = list(pairs[k].parameters)
            changed[i] = dataclasses.replace(changed[i], p_holm=p)
            pairs[k] = dataclasses.replace(pairs[k], parameters=tuple(changed))
    for i in range(len(pairs[0].joint)):
        for k, p in enumerate(holm([pair.joint[i].p for pair in pairs])):
            tests = list(pairs[k].joint)
            tests[i] = dataclasses.replace(tests[i], p_holm=p)
            pairs[k] = dataclasses.replace(pairs[k], joint=tuple(tests))
    return tuple(pairs)


def _group(name: str, fit: Fitted, setting: Setting, level: float, metric: str) -> GroupFit:
    told = parameters_of(
        fit.estimate, fit.rows, fit.spread, fit.rise, level, metric, setting.link, fit.scales
    )
    return GroupFit(
        group=name, n_rows=len(fit.rows), sigma=fit.sigma, formula=formula(fit.members(1.0)[0], setting.link.offset),
        parameters=tuple((p.name, p.value, p.low, p.high) for p in told),
    )  # fmt: skip


NO_SCATTER = 1e-3
"""Scatter in logarithms below which rows follow their law as well as any."""
UNLIKE_SCATTER = 2.0
"""Ratio of two groups' scatters from which their common noise is said to be none (assumption)."""


def _scatter_notes(fits: Mapping[str, Fitted], by: str) -> tuple[str, ...]:
    least = min(fits, key=lambda name: fits[name].sigma)
    most = max(fits, key=lambda name: fits[name].sigma)
    if fits[most].sigma < UNLIKE_SCATTER * max(fits[least].sigma, NO_SCATTER):
        return ()
    return (
        f"{by} {most} scatters {fits[most].sigma / max(fits[least].sigma, NO_SCATTER):.1f} times as much as {least}: "
        "tests of exponents and curves take one noise for both; differences of parameters do not",
    )
