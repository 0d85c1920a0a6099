"""Further test sets beside an answer: which candidates keep the question's rules there, and what was lost.

A model that was tuned for some speech may err more on other speech. The law of a further set is fitted to the
errors there of the runs that the answer rests on; the untrained checkpoint of a backbone is its run with
adaptation `none`, no token taken away and the longest window.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from planner.errors import FitError, InfeasibleError, InputError, NoLawError, SoundscaleError
from planner.evidence.comparable import normaliser_of
from planner.evidence.paired.difference import Difference, difference
from planner.evidence.paired.scored import ScoredRun, pair_of, same_set, scored_run
from planner.evidence.study import Evidence
from planner.plan import candidates
from planner.plan.candidates import CandidateTable
from planner.plan.choice import joint_probability
from planner.plan.kept_sets import OnSet, Untrained, on_set
from planner.service.circumstances import workload_of
from planner.service.fitting import check_test_set, fit
from planner.store import read
from planner.store.results_on import OWN_SPLIT
from planner.store.row_types import Run, RunRow
from planner.store.test_sets import scored_sets, set_names
from planner.words.keep import Rule, rules_of
from planner.words.question import PlanQuery
from planner.words.student import t_cdf, t_quantile
from planner.words.told_apart import full_labels

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
    untrained: tuple[Mapping[str, Untrained], ...] = ()
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
    return Sets(
        judged=tuple(one for one, _, _ in found),
        fit_ids=tuple(law for _, law, _ in found),
        untrained=tuple(base for _, _, base in found),
    )


def _judged(
    engine: Engine, query: PlanQuery, evidence: Evidence, table: CandidateTable, rule: Rule,
    fit_id: str | None,
) -> tuple[OnSet, str, Mapping[str, Untrained]]:  # fmt: skip
    name = rule.test_set
    if name == (query.test_set or OWN_SPLIT):
        raise InputError(
            f"keep names {name}, whose errors are what the answer has fewest of; name a further test set"
        )
    check_test_set(engine, query.task, name)
    ran = frozenset(row.run_id for row in evidence.rows)
    try:
        report = fit(
            engine, query.task, seed=query.seed, run_ids=ran, test_set=name, fit_id=fit_id,
        )  # fmt: skip
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
    base = _untrained(engine, query.task, name, report.evidence.rows[0])
    if rule.over_untrained and not base:
        raise InputError(
            f"{rule} is a change against the untrained checkpoint, and none was scored on {name}: add "
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
    best_first = sorted(range(len(own)), key=lambda j: table.error[j])
    order = list(dict.fromkeys(at[j] for j in best_first))
    pairs = _pairs(engine, name, there, order, base, query.level)
    judged = on_set(
        rule, there.error, there.error_low, there.error_high, there.draws,
        [base.get(config.backbone) for config in distinct], pairs, query.level,
    )  # fmt: skip
    return judged.among(at), report.fit_id, base


def _untrained(engine: Engine, task: str, name: str, mine: Run) -> dict[str, Untrained]:
    """The untrained checkpoint of each backbone on the set, by the clips and the scorer of that run."""
    best: dict[str, RunRow] = {}
    for run in read.runs(engine, task=task, status="finished", adaptation="none"):
        trial = run.trial
        if trial.initialisation != "pretrained" or trial.reduction.factor > 1:
            continue
        row = read.run_on(engine, run, name)
        if row is None or row.error is None or not _alike(row, mine):
            continue
        known = best.get(trial.backbone)
        if known is None or trial.audio_seconds > known.trial.audio_seconds:
            best[trial.backbone] = row
    return {
        backbone: Untrained(
            run_id=row.run_id, label=row.trial.label, error=row.error or 0.0,
            std_error=row.std_error or 0.0,
        )
        for backbone, row in best.items()
    }  # fmt: skip


def _alike(one: Run, other: Run) -> bool:
    """Whether two scores are of the same clips by the same scorer."""
    digests = [
        (r.evaluation_details.get("test_set") or {}).get("digest") or r.setup.dataset_digest
        for r in (one, other)
    ]
    return digests[0] == digests[1] and normaliser_of(one) == normaliser_of(other)


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
                    scored[one] = _scored(engine, one, name)
            each = [
                difference(pair_of(same_set([scored[against.run_id], scored[i]]), 0, 1), level)
                for i in there.run_ids[j]
            ]
        except SoundscaleError:
            # Without utterances there is nothing to pair; the law tells.
            continue
        out[j] = of_seeds(each)
    return out


def of_seeds(each: Sequence[Difference]) -> Difference:
    """The difference of a configuration from those of its seeds, D = mean of d_i over k seeds.

    All were scored on one set, whose noise does not average out over seeds, and seeds differ:

        se^2 = mean of se_i^2 + var(d_i) / k,

    on the fewest degrees of freedom of any. One seed is its own difference.
    """
    if len(each) == 1:
        return each[0]
    values = np.array([d.difference for d in each])
    errors = np.array([d.std_error or 0.0 for d in each])
    widest, dof = max(d.high - d.difference for d in each), min(d.dof for d in each)
    dof = min(dof, len(each) - 1.0) if values.std() > errors.mean() else dof
    error = math.sqrt(float(np.mean(errors**2) + values.var(ddof=1) / len(each)))
    middle = float(values.mean())
    half = max(t_quantile(0.5 + each[0].level / 2, dof) * error, widest if error == 0 else 0.0)
    p = min(2 * t_cdf(-abs(middle) / error, dof), 1.0) if error and middle else 1.0
    return dataclasses.replace(
        each[0], difference=middle, std_error=error, low=middle - half, high=middle + half, p=p,
        dof=dof,
    )  # fmt: skip


def _scored(engine: Engine, run_id: int, name: str) -> ScoredRun:
    return scored_run(
        read.run(engine, run_id), read.evaluations(engine, run_id),
        read.utterances(engine, run_id, name), name,
    )  # fmt: skip


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
    j = _nearest(sets, min_prob, fits if fits.any() else np.ones(len(table), dtype=bool))
    told = "; ".join(said(one, j) for one in sets.judged)
    enough = ",".join(str(enough_for(one, j, min_prob)) for one in sets.judged)
    raise InfeasibleError(
        f"no configuration keeps {' and '.join(str(one.rule) for one in sets.judged)} with probability "
        f"{min_prob:g}; the nearest is {table.configs[j].label}: {told}; ask with --keep "
        f"'{enough}', which it keeps, or for less certainty with --min-prob",
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
    name, met = one.rule.test_set, float(one.probability[j])
    error = f"{name}: {100 * one.error[j]:.2f} % errors expected"
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
            "probability": float(one.probability[j]),
            "paired": bool(one.paired[j]),
            "verdict": said(one, j),
        }
        for one in sets.judged
    ]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def beside(engine: Engine, query: PlanQuery) -> Callable[[Sequence[int]], list[dict[str, Any]]]:
    """What a run errs on the further sets that the question says nothing of, by the runs of a configuration.

    Sets are looked for once, and a run's scores are read once: a service asks for each limit anew.
    """
    shown = {query.test_set, *(rule.test_set for rule in rules_of(query.keep))}
    names = sorted(set_names(engine, query.task).keys() - shown)
    known: dict[int, list[dict[str, Any]]] = {}

    def told(run_ids: Sequence[int]) -> list[dict[str, Any]]:
        if not (names and run_ids):
            return []
        if run_ids[0] not in known:
            known[run_ids[0]] = _beside(engine, query.task, names, run_ids[0])
        return known[run_ids[0]]

    return told


def _beside(engine: Engine, task: str, names: Sequence[str], run_id: int) -> list[dict[str, Any]]:
    """A run on each of those sets, in words too."""
    out, run = [], read.run(engine, run_id)
    for name in names:
        row = read.run_on(engine, run, name)
        if row is None or row.error is None:
            continue
        entry: dict[str, Any] = {
            "test_set": name, "run_id": row.run_id, "error": row.error, "std_error": row.std_error,
            "untrained": None,
        }  # fmt: skip
        base = _untrained(engine, task, name, row).get(row.trial.backbone)
        if base is not None and base.run_id != row.run_id:
            entry["untrained"] = _against(engine, name, base, row.run_id)
        out.append({**entry, "verdict": _beside_words(entry)})
    return out


def _against(engine: Engine, name: str, base: Untrained, run_id: int) -> dict[str, Any] | None:
    """The run's error on the set less the untrained checkpoint's, with its 90 % interval; None without pairs."""
    try:
        both = same_set([_scored(engine, base.run_id, name), _scored(engine, run_id, name)])
    except SoundscaleError:
        return None
    d = difference(pair_of(both, 0, 1))
    return {
        "run_id": base.run_id, "error": base.error, "difference": d.difference, "low": d.low,
        "high": d.high, "p": d.p,
    }  # fmt: skip


def set_rows(engine: Engine, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """What runs err on each further set, beside the untrained checkpoint of their backbone on its utterances.

    One row a run and set, in the order of the sets' names; `change` with its 90 % interval is None where no such
    checkpoint was scored there, and of that checkpoint itself.
    """
    found = []
    labels = dict(zip([r.run_id for r in rows], full_labels([r.trial for r in rows]), strict=True))
    known: dict[tuple[str, str | None], dict[str, Untrained]] = {}
    for name in sorted({name for _, name in scored_sets(engine, list(labels))}):
        for row in rows:
            there = read.run_on(engine, row, name)
            if there is None or there.error is None:
                continue
            key = name, normaliser_of(there)
            if key not in known:
                known[key] = _untrained(engine, row.trial.task, name, there)
            base = known[key].get(row.trial.backbone)
            own = base is None or base.run_id == row.run_id
            paired = None if base is None or own else _against(engine, name, base, row.run_id)
            found.append(
                {
                    "test_set": name, "run_id": row.run_id, "label": labels[row.run_id],
                    "metric": there.metric, "error": there.error, "std_error": there.std_error,
                    "n_units": there.n_units, "n_utterances": there.n_utterances,
                    "untrained_run_id": None if base is None or own else base.run_id,
                    "change": paired and paired["difference"],
                    "change_low": paired and paired["low"],
                    "change_high": paired and paired["high"],
                }
            )  # fmt: skip
    return found


def _beside_words(entry: dict[str, Any]) -> str:
    """`on general run 7 makes 12.31 % errors, +3.10 points [+1.20, +5.00] against the untrained checkpoint`."""
    words = (
        f"on {entry['test_set']} run {entry['run_id']} makes {100 * entry['error']:.2f} % errors"
    )
    base = entry["untrained"]
    if base is None:
        return f"{words}; no untrained checkpoint of its backbone was scored there"
    low, high = 100 * base["low"], 100 * base["high"]
    told = "forgotten: " if low > 0 else ""
    return (
        f"{told}{words}, {100 * base['difference']:+.2f} points [{low:+.2f}, {high:+.2f}] against the "
        f"untrained checkpoint ({100 * base['error']:.2f} %)"
    )
