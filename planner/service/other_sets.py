"""Further test sets beside an answer: which candidates keep the question's rules there, and what was lost.

A model that was tuned for some speech may err more on other speech. The law of a further set is fitted to the
errors there of the runs that the answer rests on; the untrained checkpoint of a backbone is its run with
adaptation `none`, no token taken away and the longest window.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from planner.errors import FitError, InfeasibleError, InputError, NoLawError, SoundscaleError
from planner.evidence.fit_report import FitReport
from planner.evidence.paired.difference import Difference, difference
from planner.evidence.paired.scored import ScoredRun, pair_of, same_set
from planner.evidence.paired.seeds import of_seeds
from planner.evidence.study import Evidence
from planner.plan import candidates
from planner.plan.candidates import CandidateTable
from planner.plan.choice import joint_probability
from planner.plan.kept_sets import OnSet, Untrained, on_set
from planner.service.circumstances import workload_of
from planner.service.fitting import check_test_set, fit
from planner.service.untrained import scored_on, untrained_on
from planner.words.keep import Rule, rules_of
from planner.words.question import PlanQuery
from planner.words.test_sets import OWN_SPLIT

MOST_PAIRED = 300
"""Configurations that are paired with the untrained checkpoint by their utterances, those of the fewest
expected errors (assumption: some 2 ms each); the law tells of the others."""

NEAR = 50
"""Candidates among which the nearest to the rules is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """The rules of a question with every candidate on their sets, and the laws that tell of it.

    `n_dropped` counts the candidates that a rule was not met by.
    """

    judged: tuple[OnSet, ...] = ()
    fit_ids: tuple[str, ...] = ()
    n_dropped: int = 0

    def among(self, chosen: NDArray[np.bool_]) -> Sets:
        """Of the candidates that are True in `chosen`, shape (m,)."""
        judged = tuple(one.among(chosen) for one in self.judged)
        return dataclasses.replace(self, judged=judged, n_dropped=int((~chosen).sum()))


def sets_of(
    engine: Engine, query: PlanQuery, evidence: Evidence, table: CandidateTable,
    fit_ids: Sequence[str | None] | None = None,
) -> Sets:  # fmt: skip
    """Every candidate on the sets that the question has rules for.

    Args:
        engine: the database.
        query: the question, resolved.
        evidence: the runs that the answer rests on.
        table: the candidates.
        fit_ids: of the sets' laws, where an earlier answer is made again.

    Raises:
        UnknownNameError: nothing was scored on a set.
        InputError: a change is asked for, and no untrained checkpoint was scored on the set.
    """
    rules = rules_of(query.keep)
    laws = list(fit_ids or [None] * len(rules))
    found = [
        _judged(engine, query, evidence, table, rule, law)
        for rule, law in zip(rules, laws, strict=True)
    ]
    return Sets(judged=tuple(one for one, _ in found), fit_ids=tuple(law for _, law in found))


def _law_on(
    engine: Engine, query: PlanQuery, evidence: Evidence, rule: Rule, fit_id: str | None
) -> FitReport:
    """The law of errors on a rule's set, of the runs that the answer rests on.

    Raises:
        FitError: there is none, or none that may be judged by.
        InputError: the set is the one whose errors are minimised.
    """
    name = rule.test_set
    if name == (query.test_set or OWN_SPLIT):
        raise InputError(
            f"keep names {name}, whose errors are what the answer has fewest of; name a further test set"
        )
    check_test_set(engine, query.task, name)
    ran = frozenset(row.run_id for row in evidence.rows)
    try:
        report = fit(engine, query.task, seed=query.seed, run_ids=ran, test_set=name, fit_id=fit_id)
    except NoLawError as problem:
        # Not of the question's own runs, whose measured errors would be shown in place of a law.
        raise FitError(
            f"what candidates err on {name} is not known: {problem}; score more runs on it"
        ) from None
    if "not-converged" in report.fit.statuses and not query.accept_status:
        raise FitError(
            f"the law of errors on {name} is not fit to judge {rule} by ({report.fit.status}); score more runs "
            "on it, or accept it with --accept-status"
        )
    return report


def _judged(
    engine: Engine, query: PlanQuery, evidence: Evidence, table: CandidateTable, rule: Rule,
    fit_id: str | None,
) -> tuple[OnSet, str]:  # fmt: skip
    """Every candidate under a rule, and the id of the law that tells of it."""
    name, report = rule.test_set, _law_on(engine, query, evidence, rule, fit_id)
    base = untrained_on(engine, query.task, name, report.evidence.rows[0])
    if rule.over_untrained and not base:
        raise InputError(
            f"{rule} is a change against the untrained checkpoint, and no pretrained one was scored on {name}: add "
            "reference = true to the sweep file and run it again, or give a rule of errors "
            f"({name}<=9%)"
        )
    own = [config.trained for config in table.configs]
    distinct = list(dict.fromkeys(own))
    asked = dataclasses.replace(
        query.without_limits, test_set=name, keep=None, engine=None, precision=None, extrapolate=True,
    )  # fmt: skip
    there = candidates.build(
        asked, report.evidence, report.fit, workload_of(engine, report.evidence), None, distinct
    )
    place = {config: j for j, config in enumerate(distinct)}
    at = np.array([place[config] for config in own])
    order = list(dict.fromkeys(at[np.argsort(table.error, kind="stable")].tolist()))
    pairs = _pairs(engine, name, there, order, base, query.level)
    judged = on_set(
        rule, there.error, there.error_low, there.error_high, there.draws,
        [base.get(config.backbone) for config in distinct], pairs, query.level,
    )  # fmt: skip
    return judged.among(at), report.fit_id


def _pairs(
    engine: Engine, name: str, there: CandidateTable, order: Sequence[int],
    base: Mapping[str, Untrained], level: float,
) -> dict[int, Difference]:  # fmt: skip
    """Paired differences of candidates' runs from the untrained checkpoint, by place in the table."""
    scored: dict[int, ScoredRun] = {}
    out: dict[int, Difference] = {}
    for j in [j for j in order if there.run_ids[j]][:MOST_PAIRED]:
        against = base.get(there.configs[j].backbone)
        if against is None or against.run_id in there.run_ids[j]:
            continue
        try:
            for one in (against.run_id, *there.run_ids[j]):
                if one not in scored:
                    scored[one] = scored_on(engine, one, name)
            each = [
                difference(pair_of(same_set([scored[against.run_id], scored[i]]), 0, 1), level)
                for i in there.run_ids[j]
            ]
        except SoundscaleError:
            # Without utterances there is nothing to pair; the law tells.
            continue
        out[j] = of_seeds(each)
    return out


def keepers(
    table: CandidateTable, sets: Sets, min_prob: float, limits: dict[str, float]
) -> np.ndarray:
    """Which candidates meet every rule, each with the probability, shape (m,).

    The limits decide which candidate a refusal names: one that meets them, where any does.

    Raises:
        InfeasibleError: none does; says which comes nearest, and with what chance.
    """
    met = np.ones(len(table), dtype=bool)
    for one in sets.judged:
        met &= one.probability >= min_prob
    if met.any():
        return met
    fits = joint_probability(table, limits) >= min_prob
    where = "" if not limits or fits.any() else " (nothing meets the limits either)"
    j = _nearest(sets, min_prob, fits if fits.any() else np.ones(len(table), dtype=bool))
    told = "; ".join(said(one, j) for one in sets.judged)
    enough = ",".join(str(enough_for(one, j, min_prob)) for one in sets.judged)
    raise InfeasibleError(
        f"no configuration keeps {' and '.join(str(one.rule) for one in sets.judged)} with probability "
        f"{min_prob:g}; the nearest{where} is {table.configs[j].label}: {told}; ask with --keep "
        f"'{enough}', which it keeps",
        {
            "kind": "not-kept", "nearest_config": table.configs[j].to_json(), "kept": kept_json(sets, j),
            "keep": enough,
        },
    )  # fmt: skip


def _nearest(sets: Sets, min_prob: float, among: NDArray[np.bool_]) -> int:
    """The candidate of those in question that keeps the rules under their smallest widening.

    Looked for among the NEAR that lack least by the upper ends of their intervals.
    """
    rough = np.max(
        [
            (one.change_high if one.rule.over_untrained else one.high) - one.rule.most
            for one in sets.judged
        ],
        axis=0,
    )
    rough = np.where(np.isnan(rough) | ~among, np.inf, rough)
    near = [j for j in np.argsort(rough, kind="stable")[:NEAR] if among[j]]

    def lacks(j: int) -> float:
        needed = [one.needed(j, min_prob) - one.rule.most for one in sets.judged]
        return math.inf if any(map(math.isnan, needed)) else max(needed)

    return min(map(int, near), key=lacks)


def enough_for(one: OnSet, j: int, min_prob: float) -> Rule:
    """The rule, as wide as candidate j keeps it with that probability, to a tenth of a point upwards."""
    if one.probability[j] >= min_prob or not np.isfinite(one.needed(j, min_prob)):
        return one.rule
    tenths = np.ceil(1000 * one.needed(j, min_prob))
    return dataclasses.replace(one.rule, most=float(tenths) / 1000)


def said(one: OnSet, j: int) -> str:
    """What a candidate errs on a set, in words: error, change, and the chance of keeping the rule."""
    # Rounded down: 0.896 is not what 0.90 asks for.
    name, met = one.rule.test_set, math.floor(100 * float(one.probability[j])) / 100
    error = f"{name}: {100 * one.error[j]:.2f} % errors expected"
    if np.isnan(one.change[j]) and one.rule.over_untrained:
        return f"{error}; no untrained checkpoint of its backbone was scored there, so that {one.rule} cannot be judged"
    if np.isnan(one.change[j]):
        return f"{error}, {one.rule} kept with probability {met:.2f}"
    how = "on the same utterances" if one.paired[j] else "by its law"
    change = (
        f"{100 * one.change[j]:+.2f} points [{100 * one.change_low[j]:+.2f}, "
        f"{100 * one.change_high[j]:+.2f}] against the untrained checkpoint {how}"
    )
    return f"{error}, {change}, {one.rule} kept with probability {met:.2f}"


def kept_json(sets: Sets, j: int) -> list[dict[str, Any]]:
    """A candidate on each set that the question has a rule for."""
    return [
        {
            "test_set": one.rule.test_set,
            "rule": str(one.rule),
            "error": float(one.error[j]),
            "low": float(one.low[j]),
            "high": float(one.high[j]),
            **{
                key: _number(getattr(one, key)[j])
                for key in ("change", "change_low", "change_high")
            },
            "probability": _chance(one, j),
            "paired": bool(one.paired[j]),
            "verdict": said(one, j),
        }
        for one in sets.judged
    ]


def _chance(one: OnSet, j: int) -> float | None:
    """Of keeping the rule; None where nothing says it."""
    known = not (one.rule.over_untrained and np.isnan(one.change[j]))
    return float(one.probability[j]) if known else None


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
