"""What `soundscale runs rescore` does: stored texts by other scorers, stored beside each run's own error."""

from __future__ import annotations

from typing import Any

import click

COLUMNS = (
    ("run_id", "run"),
    ("label", "trial"),
    ("split", "split"),
    ("scorer", "scorer"),
    ("error_shown", "error ± se"),
    ("n_errors", "errors"),
    ("n_units", "of"),
    ("n_deletions", "deleted"),
    ("n_insertions", "inserted"),
    ("cer_shown", "CER"),
)


@click.command("rescore-texts", hidden=True)
@click.argument("run_ids", type=int, nargs=-1)
@click.option("--scorer", "scorers", multiple=True)
@click.option("--db", default=None)
@click.option("--format", "output_format", default="table")
def rescore(
    run_ids: tuple[int, ...], scorers: tuple[str, ...], db: str | None, output_format: str
) -> None:
    """The work behind `soundscale runs rescore`, whose texts of help it shares."""
    from planner.cli.options import echo_rows
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        rows = [row for run in _chosen(engine, run_ids) for row in _rescored(engine, run, scorers)]
    if output_format == "table":
        rows = [_for_people(row) for row in rows]
    echo_rows(rows, output_format, COLUMNS, empty="no run has texts")


def _chosen(engine: Any, run_ids: tuple[int, ...]) -> list[Any]:
    """The runs that were named, else all finished ones of speech recognition.

    Raises:
        InputError: a run does not exist, or is of another task.
    """
    from planner.errors import InputError
    from planner.store import read

    if not run_ids:
        return read.runs(engine, task="asr", status="finished")
    rows = [read.run(engine, run_id) for run_id in dict.fromkeys(run_ids)]
    for row in rows:
        if row.trial.task != "asr":
            raise InputError(
                f"run {row.run_id} is of {row.trial.task}, which has labels and no texts; "
                "name runs of asr"
            )
    return rows


def _rescored(engine: Any, run: Any, scorers: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row for each split and scorer of a run, stored; none where no texts are."""
    import dataclasses

    from planner.errors import InputError
    from planner.store import read
    from planner.store.scorings import Scoring, save_scorings
    from planner.words.scorers import plain, versioned
    from runner.trial.rescore import rescored

    found = []
    for evaluation in read.evaluations(engine, run.run_id):
        texts = read.utterances(engine, run.run_id, evaluation.split)
        if evaluation.metric != run.metric or not texts:
            continue
        for scorer in dict.fromkeys(map(plain, scorers)):
            try:
                counts = rescored(texts, scorer)
            except InputError as problem:
                raise InputError(f"run {run.run_id} cannot be scored again: {problem}") from None
            key = {"run_id": run.run_id, "split": evaluation.split, "metric": evaluation.metric}
            found.append(Scoring(**key, scorer=versioned(scorer), **counts))
    save_scorings(engine, found)
    return [{**dataclasses.asdict(one), "label": run.trial.label} for one in found]


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    spread = "" if row["std_error"] is None else f" ± {100 * row['std_error']:.2f}"
    cer = row["cer"]
    return row | {
        "error_shown": f"{100 * row['error']:.2f} %{spread}",
        "cer_shown": None if cer is None else f"{100 * cer:.2f} %",
    }
