"""The view `v_results` with the scores on a named test set in place of those on the trial's own."""

from __future__ import annotations

from functools import cache

from sqlalchemy import FromClause, select

from planner.store.schema import evaluations
from planner.store.views import results
from planner.words.test_sets import OWN_SPLIT

_SCORED = {
    name: name
    for name in (
        "split", "error", "std_error", "n_units", "n_errors", "n_substitutions", "n_insertions",
        "n_deletions", "n_utterances", "n_broken", "selection", "audio_coverage", "speaker_overlap",
        "mean_output_tokens",
    )
} | {"evaluation_details_json": "details_json"}  # fmt: skip
"""Columns of the view that are of an evaluation -> the table's."""


@cache
def results_on(split: str | None) -> FromClause:
    """Runs that were scored on `split` by their trial's metric, with the columns of `v_results`.

    None and `test` are the view itself, where runs without any score are too.
    """
    if split in (None, OWN_SPLIT):
        return results
    columns = [
        evaluations.c[_SCORED[c.name]].label(c.name) if c.name in _SCORED else c for c in results.c
    ]
    same = (evaluations.c.run_id == results.c.run_id) & (evaluations.c.metric == results.c.metric)
    joined = results.join(evaluations, same)
    return select(*columns).select_from(joined).where(evaluations.c.split == split).subquery()
