"""Candidates of which it is open whether they meet a study's limits and rules: which of them are worth a run.

A run at a candidate decides whether it meets them, as its latency is then measured and its errors on the further
test sets are. With p the probability that it does, e_j its expected error and e the choice's, such a run is worth

    p max(0, e - e_j)

in error: what the choice gains where it does, as if its own error were known. Where nothing meets them surely enough
yet, there is no choice to gain on, and the likeliest come first.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from planner.plan.choice import joint_probability, within
from planner.plan.cost import Floats
from planner.plan.wording import title
from planner.service.next_runs import run_hours
from planner.service.prepared import Prepared
from planner.service.study_state import Chosen, Ran, chosen, texts_of


def chances(prepared: Prepared) -> Floats:
    """Probability that each candidate meets all limits and all rules, taken as independent, shape (m,)."""
    found = joint_probability(prepared.table, prepared.query.limits)
    for one in prepared.sets.judged:
        found = found * one.probability
    return np.asarray(found)


def in_question(prepared: Prepared, ran: Ran) -> NDArray[np.bool_]:
    """Which candidates were never run and may meet limits and rules, without being sure to, shape (m,).

    One that meets them with less than 1 - `min_prob` is as surely out as one with `min_prob` is in.
    """
    least = prepared.query.min_prob
    sure = joint_probability(prepared.table, prepared.query.limits) >= least
    for one in prepared.sets.judged:
        sure &= one.probability >= least
    tried = ran.finished | ran.failed.keys()
    new = np.array([text not in tried for text in texts_of(prepared)])
    return np.asarray(new & ~sure & (chances(prepared) >= min(1.0 - least, least)))


def worth_a_try(
    prepared: Prepared, choice_error: float, ran: Ran, left: float, worth: float
) -> list[Chosen]:
    """Runs at candidates in question that are worth it, by value an hour, a candidate once.

    Args:
        prepared: the question with all candidates, whatever they keep.
        choice_error: expected of the choice; NaN where there is none.
        ran: so far.
        left: hours that may be spent.
        worth: least value of a run, in error.
    """
    table, p = prepared.table, chances(prepared)
    hours = run_hours(prepared.report.evidence, table)
    texts, open_ = texts_of(prepared), in_question(prepared, ran) & (hours <= left)
    value = p * np.maximum(choice_error - table.error, 0.0)
    if np.isnan(choice_error):
        order = sorted(np.flatnonzero(open_).tolist(), key=lambda j: (-p[j], hours[j], j))
    else:
        open_ &= value >= worth
        order = sorted(np.flatnonzero(open_).tolist(), key=lambda j: (-value[j] / hours[j], j))
    out: dict[str, Chosen] = {}
    for j in order:
        text = texts[j]
        run = chosen(
            text,
            table.configs[j].trained,
            ran.n_trials[text],
            float(hours[j]),
            _why(prepared, j, float(p[j])),
        )
        if not np.isnan(choice_error):
            run |= {"value": float(value[j]), "value_per_hour": float(value[j] / hours[j])}
        out.setdefault(text, run)
    return list(out.values())


def _why(prepared: Prepared, j: int, p: float) -> str:
    """What is open about a candidate: the rules and limits that it meets, but not surely enough."""
    least = prepared.query.min_prob
    by_limit = within(prepared.table, prepared.query.limits)
    unsure = [str(one.rule) for one in prepared.sets.judged if one.probability[j] < least]
    unsure += [f"the limit on {title(name)}" for name, met in by_limit.items() if met[j] < least]
    asked = " and ".join(unsure) or "rules and limits together"
    return f"whether it keeps {asked} is open (probability {p:.2f}); a run decides it"


def together(by_value: list[Chosen], tries: Collection[Chosen]) -> list[Chosen]:
    """Runs by value and such tries in one order: those that are needed first, then by value an hour."""
    if not tries:
        return by_value
    first = [run for run in by_value if run["value"] is None]
    known = {run["candidate"] for run in by_value}
    rest = [run for run in by_value if run["value"] is not None]
    rest += [run for run in tries if run["candidate"] not in known]
    return first + sorted(rest, key=lambda run: -run["value_per_hour"])
