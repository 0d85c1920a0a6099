"""Learning from runs: results in, laws out. The part of the use cases that fits and stores fits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from planner.errors import FitError, InputError, NoLawError, ReadOnlyError, UnknownNameError
from planner.evidence.comparable import older_rule
from planner.evidence.fit_report import FitReport
from planner.evidence.limits import limits_of_evidence, limits_of_noise
from planner.evidence.published.tables import ResultTable, home_of, load_table
from planner.evidence.study import Evidence, gather, with_counts
from planner.laws.result import VERSION, LawFit
from planner.store import read, removal, write
from planner.store.engine import exists, opened
from planner.store.import_corrections import home_of_before
from planner.store.read_evidence import fit_json, learned_runs, scored_counts
from planner.store.test_sets import set_names
from planner.words.axes import COMPUTE_AXES
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import TASKS, canonical_json, to_json
from planner.words.test_sets import OWN_SPLIT

Notes = tuple[dict[str, str], ...]
"""What a law cannot say, or was not done with it: `code` and `message`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did: rows stored now, rows that were there already, rows left out and why."""

    name: str
    provenance: str
    n_new: int
    n_known: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    dry_run: tuple[str, ...] = ()


def check_task(task: str) -> str:
    """The task, if it is one.

    Raises:
        UnknownNameError: it is not.
    """
    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    return task


def check_test_set(engine: Engine, task: str, test_set: str | None) -> str | None:
    """The further test set, if some finished run of the task was scored on it.

    Raises:
        UnknownNameError: none was.
    """
    if test_set is None or test_set == OWN_SPLIT:
        return None
    known = set_names(engine, task)
    if test_set not in known:
        remedy = "score runs on it: [[data.test]] in a sweep file, then soundscale sweep run"
        raise UnknownNameError("test set", test_set, [OWN_SPLIT, *known], remedy=remedy)
    return test_set


def import_results(
    db: str | None,
    name_or_path: str,
    *,
    errors_in: str | None = None,
    dry_run: bool = False,
    file: str | None = None,
) -> ImportReport:
    """Store a published table, or the user's own CSV, as finished runs with their provenance.

    `file` holds a public table that is named and not shipped.

    A table that cannot be read leaves no database behind, and neither does a dry run.
    """
    table: ResultTable = load_table(name_or_path, _backbones_of(db), errors_in=errors_in, file=file)
    rows = [
        write.ImportedRun(
            trial=r.trial, record=r.record, source=r.source, source_kind=r.source_kind
        )
        for r in table.rows
    ]
    moved: tuple[str, ...] = ()
    if dry_run and not exists(db):
        count = write.ImportCount(n_new=len({r.trial.fingerprint for r in rows}), n_known=0)
    else:
        with opened(db) as engine:
            rows, moved = _at_home(engine, table.name, rows)
            count = write.import_runs(engine, rows, table.provenance, dry_run=dry_run)
    return ImportReport(
        name=table.name,
        provenance=table.provenance,
        n_new=count.n_new,
        n_known=count.n_known,
        left_out=table.left_out,
        notes=table.notes + moved + count.notes,
        changes=count.changes,
        dry_run=tuple(map(_seen, rows)) if dry_run else (),
    )


def _at_home(
    engine: Engine, name: str, rows: list[write.ImportedRun]
) -> tuple[list[write.ImportedRun], tuple[str, ...]]:
    """The rows under the digest by which the file is stored, where it was moved or imported before homes counted."""
    home = home_of_before(engine, name, [(r.trial, r.record) for r in rows])
    if home is None:
        return rows, ()
    moved = [
        dataclasses.replace(r, trial=dataclasses.replace(r.trial, dataset_digest=home))
        if r.trial.dataset_digest.startswith("imported:")
        else r
        for r in rows
    ]
    return moved, (f"{name} was imported before from another folder: its rows are the same source",)


def _seen(row: write.ImportedRun) -> str:
    """One row as it would be stored."""
    (evaluation,) = row.record.evaluations
    spread = "" if evaluation.std_error is None else f" ± {100 * evaluation.std_error:.2f} (se)"
    return f"{row.trial.label}: {evaluation.metric} {100 * evaluation.error:.2f} %{spread}"


def remove_runs(
    db: str | None, run_ids: Sequence[int], *, who: str, why: str, imported: str | None = None
) -> int:
    """Take runs out of every law to come; they stay as removed. Returns how many.

    `imported` takes all runs of one import too: a published table's name, a file's, its path, or
    `FILE:HOME` where files of one name were imported from several folders.

    Raises:
        InputError: neither runs nor an import are named, or there is nothing of it.
    """
    if not run_ids and imported is None:
        raise InputError("no run is named; give runs by number, or an import with --import FILE")
    with opened(db, must_exist=True) as engine:
        of_import = [] if imported is None else removal.imported_runs(engine, *_import_of(imported))
        return removal.remove_runs(engine, [*run_ids, *of_import], who=who, why=why)


def _import_of(named: str) -> tuple[str, str | None]:
    """Name and home of an import, from a path, a name or `NAME:HOME`."""
    path = Path(named)
    if path.is_file():
        return path.name, home_of(path)
    name, colon, home = named.rpartition(":")
    return (name, home) if colon else (named, None)


def _backbones_of(db: str | None) -> Catalogue:
    if not exists(db):
        return BUILT_IN
    with opened(db) as engine:
        return read.catalogue(engine)


def fit(
    engine: Engine,
    task: str,
    *,
    source: str | None = None,
    dataset: str | None = None,
    adaptation: str | None = None,
    axes: tuple[str, ...] = COMPUTE_AXES,
    law: str = "auto",
    loss: str = "log",
    seed: int = 0,
    run_ids: frozenset[int] | None = None,
    fit_id: str | None = None,
    test_set: str | None = None,
) -> FitReport:
    """Fit a law to the runs of one study and store it; the same evidence finds the stored fit.

    From those runs alone where `run_ids` says so. With `fit_id` it is that stored law, whatever
    version of the code fitted it. With `test_set` it is of their errors on that further test set.

    Raises:
        UnknownNameError: no run was scored on the set.
    """
    check_task(task)
    rows = learned_runs(engine, task, check_test_set(engine, task, test_set))
    if run_ids is not None:
        rows = [r for r in rows if r.run_id in run_ids]
    # A stored answer is made again by the rule of its time.
    older = fit_id is not None and _by_older_rule(engine, fit_id)
    evidence = gather(
        rows, task, axes=axes, source=source, dataset=dataset, adaptation=adaptation,
        catalogue=read.catalogue(engine), older=older,
    )  # fmt: skip
    settings = {"law": law, "loss": loss, "seed": seed, "version": VERSION}
    selection = {"study": to_json(evidence.study), "axes": list(evidence.axes), **settings}
    key = canonical_json([selection, evidence.digest])
    fit_id = fit_id or hashlib.sha256(key.encode()).hexdigest()[:12]
    stored = fit_json(engine, fit_id)
    kept: Notes = ()
    if stored is not None:
        fitted = LawFit.from_json(json.loads(stored))
    else:
        # The optimiser is not needed where a fit is stored.
        from planner.laws.fit_law import fit_law

        ids, study = [r.run_id for r in evidence.rows], evidence.study
        counts = scored_counts(engine, ids, study.split, study.metric)
        evidence = with_counts(evidence, counts)
        try:
            fitted = fit_law(evidence.observations, law=law, loss=loss, seed=seed)
        except FitError as problem:
            raise NoLawError(str(problem)) from None
        row = _fit_row(fit_id, fitted, evidence, canonical_json(selection))
        kept = kept_or_why_not(lambda: write.save_fit(engine, row))
    notes = limits_of_evidence(evidence, _speakers(engine, evidence), older=older)
    notes += limits_of_noise(evidence, fitted) + kept
    return FitReport(fit_id=fit_id, fit=fitted, evidence=evidence, notes=notes)


def kept_or_why_not(keep: Callable[[], None]) -> Notes:
    """Nothing where it is kept, and what to tell where the database may only be read."""
    try:
        keep()
    except ReadOnlyError:
        message = (
            "the database may only be read: this is not kept, and its id cannot be shown again"
        )
        return ({"code": "not-kept", "message": message},)
    return ()


def _by_older_rule(engine: Engine, fit_id: str) -> bool:
    """Whether a stored fit is from before studies told normalisers, decodings and recipes apart."""
    return older_rule(json.loads(read.fit(engine, fit_id).selection_json))


def _speakers(engine: Engine, evidence: Evidence) -> int | None:
    """Speakers that the first run was scored on; None where utterances or speakers are not known."""
    scored = read.utterances(engine, evidence.rows[0].run_id, evidence.study.split or None)
    names = {u.speaker for u in scored}
    return len(names) if names and None not in names else None


def _fit_row(fit_id: str, fitted: LawFit, evidence: Evidence, selection: str) -> write.FitRow:
    runs: list[tuple[int, bool, str | None]] = [(r.run_id, True, None) for r in evidence.rows]
    runs += [(run_id, False, reason) for run_id, reason in evidence.exclusions]
    return write.FitRow(
        fit_id=fit_id,
        task=evidence.study.task,
        metric=evidence.study.metric,
        law=fitted.law,
        status=fitted.status,
        n_runs=len(evidence.rows),
        objective=fitted.objective,
        selection_json=selection,
        fit_json=json.dumps(fitted.to_json(), separators=(",", ":")),
        version=VERSION,
        runs=tuple(runs),
    )
