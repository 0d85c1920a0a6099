"""Which learning rate of a search counts: the one with the lowest mean error on validation.

Runs that differ by nothing but learning rates and seed are one search. The test error takes no part, so
that what is reported was not chosen by what it reports.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Sequence

from planner.store.row_types import Run
from planner.words.records import Optimisation, Trial

RATES = ("learning_rate", "head_learning_rate", "top_k_learning_rate")
"""Fields of `Optimisation` that a search varies."""


def rates_of(optimisation: Optimisation) -> tuple[float | None, ...]:
    """The learning rates, in the order of `RATES`."""
    return tuple(getattr(optimisation, name) for name in RATES)


def _search_of(trial: Trial) -> Trial:
    """The trial without its rates and seed: equal for the members of one search."""
    blank = {"learning_rate": 1.0, "head_learning_rate": None, "top_k_learning_rate": None}
    plain = dataclasses.replace(trial.optimisation, **blank)  # type: ignore[arg-type]
    return dataclasses.replace(trial, seed=0, optimisation=plain)


def validation_error(row: Run) -> float | None:
    """The run's error on validation; None where it was not scored."""
    error = row.evaluation_details.get("validation_error")
    return None if error is None else float(error)


def beaten(rows: Sequence[Run]) -> dict[int, str]:
    """Runs whose learning rate another one of their search beats on validation, with the reason.

    A rate's error is the mean over its seeds; the lower rate wins a tie. Rates without an error on
    validation are beaten by those that have one; where none has, none is.
    """
    if all(validation_error(row) is None for row in rows):
        return {}  # the usual case, told without sorting thousands of runs into searches
    searches: dict[Trial, dict[tuple[float | None, ...], list[Run]]] = defaultdict(dict)
    for row in rows:
        rates = searches[_search_of(row.setup)]
        rates.setdefault(rates_of(row.setup.optimisation), []).append(row)
    out: dict[int, str] = {}
    for rates in searches.values():
        scores = {key: _mean_error(runs) for key, runs in rates.items()}
        if len(rates) < 2 or all(math.isinf(score) for score in scores.values()):
            continue
        best = min(scores, key=lambda key: (scores[key], key[0]))
        for key, runs in rates.items():
            if key != best:
                out |= {run.run_id: _reason(scores[key], scores[best], best) for run in runs}
    return out


def _mean_error(runs: Sequence[Run]) -> float:
    errors = [e for run in runs if (e := validation_error(run)) is not None]
    return sum(errors) / len(errors) if errors else math.inf


def _reason(own: float, least: float, best: tuple[float | None, ...]) -> str:
    outcome = "was not scored" if math.isinf(own) else f"has {own:.4g}"
    return (
        f"another learning rate was better: {best[0]:g} has error {least:.4g} on validation, "
        f"this one {outcome}"
    )
