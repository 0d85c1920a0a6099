"""Runs that say what another run says already: copied rows, trials imported twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from planner.store.row_types import LearnedRun, Run

COPIED_ERRORS = 2000
"""Errors counted from which two seeds that agree exactly are one run: by chance two seeds agree to the last of
2,000 about once in a hundred (assumption)."""
MANY_SEEDS = 30
"""Runs of one configuration from which some agree by chance."""


def copies(rows: Sequence[Run]) -> dict[int, str]:
    """Runs that say what another one says already, with the reason: they count once.

    A copy is of the same trial, seed and all, with the same error; or of another seed of it, with so many
    errors (COPIED_ERRORS) that two trainings do not share their number.
    """
    # Most errors stand once: what is dear is looked at where one repeats alone.
    seen = Counter((r.error, r.n_errors, r.n_params) for r in rows)
    first: dict[tuple[object, ...], int] = {}
    out = {}
    for row in rows:
        if not row.error or seen[row.error, row.n_errors, row.n_params] == 1:
            continue
        exact = (row.n_errors or 0) >= COPIED_ERRORS
        seed = row.seed if isinstance(row, LearnedRun) else row.trial.seed
        setup = row.setup if row.setup.seed == 0 else row.setup.with_seed(0)
        exact = exact and sum(r.setup is row.setup for r in rows) <= MANY_SEEDS
        of = row.error, row.n_errors, row.split, row.metric, row.provenance
        other = first.setdefault((setup, of, None if exact else seed), row.run_id)
        if other != row.run_id:
            out[row.run_id] = f"a copy of run {other}: it counts once"
    return out
