"""What runs err on further test sets, beside an answer and in the lists of runs and sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine

from planner.evidence.comparable import normaliser_of
from planner.plan.kept_sets import Untrained
from planner.service.untrained import against, untrained_on
from planner.store import read
from planner.store.row_types import RunRow
from planner.store.test_sets import scored_sets, set_names
from planner.words.keep import rules_of
from planner.words.question import PlanQuery
from planner.words.told_apart import full_labels


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
        base = untrained_on(engine, task, name, row).get(row.trial.backbone)
        if base is not None and base.run_id != row.run_id:
            entry["untrained"] = against(engine, name, base, row.run_id)
        out.append({**entry, "verdict": _beside_words(entry)})
    return out


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
                known[key] = untrained_on(engine, row.trial.task, name, there)
            base = known[key].get(row.trial.backbone)
            own = base is None or base.run_id == row.run_id
            paired = None if base is None or own else against(engine, name, base, row.run_id)
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
