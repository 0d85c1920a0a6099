"""Runs that come before any that pays: what is suspected is repeated, and seeds are tried where none tell.

Both answer a question that the value of information does not ask, since it takes the model for granted:
whether a run is what it says it is, and how far two trainings of one configuration lie apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.evidence.limits import ENOUGH_REPEATS, n_repeats
from planner.evidence.study import Evidence
from planner.laws.result import INDEPENDENT, LawFit
from planner.plan.cost import Draws

WORTH_SAYING = 0.25
"""Share of an answer's variance from which more test audio is spoken of (assumption)."""
SUSPECT = 0.5
"""Probability of being wrong from which a run is repeated first."""
LUCKY = 2.0
"""Standard deviations below its law from which the choice's only run is repeated first: 1 in 44 lies there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """One run that is needed first: which candidate, and why."""

    index: int
    why: str


def needed_first(
    evidence: Evidence, fit: LawFit, run_ids: Sequence[tuple[int, ...]], best: int | None
) -> tuple[Needed, ...]:
    """Repeats of suspected runs, then seeds of the choice until three of one configuration are there.

    Args:
        evidence: the runs.
        fit: their law, which says whom it suspects.
        run_ids: of each candidate.
        best: the choice, or None.
    """
    out = []
    for run_id, probability in fit.suspicion:
        at = [j for j, ids in enumerate(run_ids) if run_id in ids]
        if probability > SUSPECT and at:
            why = f"run {run_id} lies far from what all others say of it: repeat it before you trust it"
            out.append(Needed(index=at[0], why=why))
    out += _lucky(fit, run_ids, best, [n.index for n in out])
    missing = ENOUGH_REPEATS - n_repeats(evidence)
    if fit.rule != INDEPENDENT and missing > 0 and best is not None:
        ran = max(len(run_ids[best]), 1)
        why = (
            f"seed {ran + 1} of 3: how far seeds lie apart is assumed, and every interval and P(best) "
            "rests on it; three of one configuration measure it"
        )
        out.append(Needed(index=best, why=why))
    return tuple(out)


def _lucky(
    fit: LawFit, run_ids: Sequence[tuple[int, ...]], best: int | None, asked: Sequence[int]
) -> list[Needed]:
    """The choice's only run, where it lies far below its law: chosen as the lowest it is the likeliest luck."""
    if fit.rule == INDEPENDENT or best is None or best in asked or len(run_ids[best]) != 1:
        return []
    (run_id,) = run_ids[best]
    if run_id not in fit.run_ids:
        return []
    below = fit.residuals[fit.run_ids.index(run_id)] / fit.sigma
    if below < LUCKY:
        return []
    why = (
        f"run {run_id} lies {below:.1f} standard deviations below its law: the lowest of many is more often lucky "
        "than good; repeat it before you trust it"
    )
    return [Needed(index=best, why=why)]


def more_speech(fit: LawFit, draws: Draws) -> str | None:
    """What twice the test audio would do for the level of the choice; None where it is little.

    Args:
        fit: the law, which knows the variance that all runs of the test set share.
        draws: of the choice's error on new speech, shape (n,).
    """
    total = float(np.log(draws).var())
    share = min(fit.common / total, 1.0) if total > 0 else 0.0
    if share < WORTH_SAYING:
        return None
    narrower = 1.0 - math.sqrt(1.0 - 0.5 * share)
    return (
        f"{100 * share:.0f} % of the variance of the expected error is how hard the test set happened to "
        f"be: scoring the models there are on as much speech again narrows the interval by "
        f"{100 * narrower:.0f} % and trains nothing; it does not change which is best"
    )
