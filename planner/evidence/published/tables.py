"""Tables of results, published or the user's own, turned into trials and runs.

A table is a CSV (TSV by its suffix) with one row a configuration. Needed: `task`, `backbone`, `audio_seconds`,
and `error` (or `wer`) as a fraction, or `error_percent`, `WER (%)` and the like in percent. Optional:
`reduction`, `adaptation`, `metric`, `std_error`, `seed`, `dataset`, `split_policy`, `n_train`, `n_test`,
`n_units`, `n_errors`, `mean_output_tokens`, `latency_p50_ms`, `latency_p95_ms` with `device`, `source`,
`source_kind`, `padding` and others that `COLUMNS` names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from planner.errors import InputError, SoundscaleError, UnknownNameError
from planner.evidence.published.cells import check_agreement, number_in, whole_in
from planner.evidence.published.readers import READERS, public_table
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import (
    IMPORTED,
    TASKS,
    Adaptation,
    Decoding,
    Device,
    Evaluation,
    Latency,
    Optimisation,
    Reduction,
    RunRecord,
    Trial,
)
from planner.words.table_text import table_rows, text_of

PUBLISHED = {"same2026": "same2026.csv"}
"""Name of a published table -> its file in this package."""

NEEDED = ("task", "backbone", "audio_seconds")
COLUMNS = (
    *NEEDED,
    *("error", "wer", "reduction", "adaptation", "metric", "std_error", "seed", "dataset"),
    *("dataset_digest", "split", "split_policy", "reference_policy", "padding"),
    *("n_train", "n_test"),
    *("n_substitutions", "n_deletions", "n_insertions"),
    *("n_units", "n_errors", "mean_output_tokens", "selection", "audio_coverage"),
    *("learning_rate", "steps", "batch_size", "normaliser", "language", "published_gflops"),
    *("latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "device"),
    *("source", "source_kind", "n_trainable", "train_seconds", "peak_memory_bytes"),
)


_PERCENT = (
    "{}_percent",
    "{} percent",
    "{}_pct",
    "{} %",
    "{}%",
    "{} (%)",
    "{} [%]",
    "{}(%)",
    "{}[%]",
)
_PERCENT_NAMES = {
    spelled: name
    for name in ("error", "wer", "std_error")
    for form in _PERCENT
    for spelled in (form.format(name), form.format(name.upper()))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One usable row: the trial, its run and where the number comes from."""

    trial: Trial
    record: RunRecord
    source: str
    source_kind: str
    published_gflops: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """The usable rows of a table and, by row, why others were left out."""

    name: str
    provenance: str
    rows: tuple[TableRow, ...]
    left_out: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())


def load_table(
    name_or_path: str,
    catalogue: Catalogue = BUILT_IN,
    *,
    errors_in: str | None = None,
    file: str | None = None,
) -> ResultTable:
    """A published table by name, or the user's own CSV file; its backbones are the catalogue's.

    `file` holds a public table that is named and not shipped (`readers.READERS`). `errors_in` is `percent` or
    `fraction` where the columns' names (`wer_percent`) do not say.

    Raises:
        UnknownNameError: it is neither a published table nor a file.
        InputError: the table cannot be read; the message names the row and the column.
    """
    if name_or_path in READERS:
        return _public(name_or_path, file, catalogue)
    if file is not None:
        raise InputError(
            f"{name_or_path} is read without a file; only {', '.join(READERS)} take one: leave {file} out"
        )
    if name_or_path in PUBLISHED:
        text = (resources.files("planner.evidence.published") / PUBLISHED[name_or_path]).read_text(
            "utf-8"
        )
        return _read(name_or_path, "published", text, catalogue, f"published:{name_or_path}", None)
    path = Path(name_or_path)
    if not path.is_file():
        remedy = "or give the path of a CSV file" + (
            f" (there is no file {name_or_path})" if "." in name_or_path else ""
        )
        known = (*PUBLISHED, *READERS)
        raise UnknownNameError("published table", name_or_path, known, remedy=remedy)
    digest = f"imported:{path.name}:{home_of(path)}"
    return _read(path.name, "imported", text_of(path), catalogue, digest, errors_in)


def _public(kind: str, file: str | None, catalogue: Catalogue) -> ResultTable:
    """A public table from the user's file; what of it is not in the catalogue is left out by name."""
    name, text, left_out = public_table(kind, file, catalogue)
    table = _read(name, "imported", text, catalogue, f"imported:{kind}", None)
    return replace(table, left_out=(*left_out, *table.left_out))


def home_of(path: Path) -> str:
    """Twelve digits of the folder's hash: files of one name in two folders are two sources."""
    return hashlib.sha256(str(path.resolve().parent).encode()).hexdigest()[:12]


def _read(
    name: str, provenance: str, text: str, catalogue: Catalogue, digest: str, errors_in: str | None
) -> ResultTable:
    header, found = table_rows(name, text, delimiter="\t" if name.endswith(".tsv") else ",")
    percent = _check_header(name, header, errors_in)
    rows, numbers, left_out = [], [], []
    for line in found:
        cells = {_PERCENT_NAMES.get(column, column): cell for column, cell in line.cells.items()}
        cells["dataset_digest"] = cells.get("dataset_digest") or digest
        try:
            row = _row(name, provenance, cells, catalogue, percent)
        except SoundscaleError as problem:
            raise InputError(f"row {line.number} of {name}: {problem} (line {line.line})") from None
        if row is None:
            what = cells.get("source") or "blank"
            left_out.append(f"row {line.number}: no readable error ({what})")
        else:
            rows.append(row)
            numbers.append(line.number)
    if not rows:
        raise InputError(f"{name} has no row with an error rate; give at least one")
    if errors_in is None and not percent:
        _check_fractions(name, numbers, rows)
    above = tuple(
        f"{r.trial.label}: error {e:g} is {100 * e:g} %, more errors than units; it is kept"
        for r in rows
        if (e := r.record.evaluations[0].error) > 1
    )
    said = (f"{name} is in percent: errors are stored as fractions",) if percent else ()
    return ResultTable(
        name=name, provenance=provenance, rows=tuple(rows), left_out=tuple(left_out),
        notes=said + above,
    )  # fmt: skip


def _check_header(name: str, header: Sequence[str], errors_in: str | None) -> bool:
    """Whether the errors are in percent, by the columns' names or by what was said.

    Raises:
        InputError: a column is missing or unknown, or the unit of the standard errors is open.
    """
    plain = [_PERCENT_NAMES.get(column, column) for column in header]
    if {"error", "wer"} <= set(plain):
        raise InputError(f"{name} has both columns error and wer; keep one of them")
    missing = [c for c in NEEDED if c not in plain]
    if not {"error", "wer"} & set(plain):
        missing.append("error")
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; needed: {', '.join(NEEDED)}, error"
        )
    for column in plain:
        if column not in COLUMNS:
            raise UnknownNameError(f"column in {name}", column, COLUMNS)
        if plain.count(column) > 1:
            raise InputError(f"column {column} of {name} is there twice, once in percent; keep one")
    by_name = {c for c in header if c in _PERCENT_NAMES}
    if not by_name:
        return errors_in == "percent"
    if errors_in == "fraction":
        raise InputError(f"column {min(by_name)} of {name} is in percent by its name; rename it")
    rates = {c for c in header if _PERCENT_NAMES.get(c, c) in ("error", "wer", "std_error")}
    if rates != by_name and errors_in is None:
        plain_one = min(rates - by_name)
        raise InputError(
            f"column {min(by_name)} of {name} is in percent by its name and {plain_one} is not; name it "
            f"{plain_one}_percent, or say --errors-in percent for both"
        )
    return True


def _error(cells: Mapping[str, str], percent: bool) -> float | None:
    error = number_in(cells, "error", number_in(cells, "wer"))
    return error / 100 if percent and error is not None else error


def _check_fractions(name: str, numbers: Sequence[int], rows: Sequence[TableRow]) -> None:
    """Ask where half of the rows or more are above 1; fewer that make more errors than words are results."""
    errors = [r.record.evaluations[0].error for r in rows]
    above = [(n, e) for n, e in zip(numbers, errors, strict=True) if e > 1]
    if above and 2 * len(above) >= len(rows):
        number, error = above[0]
        raise InputError(
            f"row {number} of {name}: error must be a fraction (0.08 for 8 %), got {error:g}, "
            f"as {len(above)} of {len(rows)} rows are above 1; name the column error_percent, or say "
            "--errors-in percent (or fraction)"
        )


def _row(
    name: str, provenance: str, cells: Mapping[str, str], catalogue: Catalogue, percent: bool
) -> TableRow | None:
    error = _error(cells, percent)
    if error is None:
        return None
    std_error = number_in(cells, "std_error")
    std_error = std_error / 100 if percent and std_error is not None else std_error
    trial = _trial(name, provenance, cells, catalogue)
    metric = cells.get("metric") or TASKS[trial.task]
    check_agreement(cells, error, std_error, metric in ("wer", "cer"))
    evaluation = Evaluation(
        split=cells.get("split") or "test",
        metric=metric,
        error=error,
        std_error=std_error,
        n_units=whole_in(cells, "n_units"),
        n_errors=whole_in(cells, "n_errors"),
        n_substitutions=whole_in(cells, "n_substitutions"),
        n_insertions=whole_in(cells, "n_insertions"),
        n_deletions=whole_in(cells, "n_deletions"),
        n_utterances=whole_in(cells, "n_test"),
        selection=cells.get("selection") or "final",
        audio_coverage=number_in(cells, "audio_coverage"),
        mean_output_tokens=number_in(cells, "mean_output_tokens"),
    )
    record = RunRecord(
        status="finished",
        evaluations=(evaluation,),
        latencies=_latency(cells, trial),
        n_params=catalogue.backbone(trial.backbone).n_params,
        n_trainable=whole_in(cells, "n_trainable"),
        train_seconds=number_in(cells, "train_seconds"),
        peak_memory_bytes=whole_in(cells, "peak_memory_bytes"),
        data_source=f"{provenance}: {name}",
    )
    return TableRow(
        trial=trial,
        record=record,
        source=cells.get("source") or name,
        source_kind=cells.get("source_kind") or "read",
        published_gflops=number_in(cells, "published_gflops"),
    )


def _trial(name: str, provenance: str, cells: Mapping[str, str], catalogue: Catalogue) -> Trial:
    task = cells["task"]
    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    seconds = number_in(cells, "audio_seconds")
    if not seconds:
        raise InputError(f"audio_seconds must be positive, got {cells['audio_seconds']!r}")
    backbone = catalogue.backbone(cells["backbone"])
    if seconds > backbone.max_audio_seconds:
        raise InputError(
            f"audio_seconds {seconds:g} is longer than a window of {backbone.name}, at most "
            f"{backbone.max_audio_seconds:g} s; is it in milliseconds, or the length of the utterances?"
        )
    # The study cut the waveform and padded it back to 30 s: its encoder always saw 1500 positions.
    padded = provenance == "published" and task == "asr"
    optimisation = Optimisation(
        learning_rate=number_in(cells, "learning_rate") or 1e-3,
        steps=whole_in(cells, "steps") or 0,
        batch_size=whole_in(cells, "batch_size") or 1,
    )
    return Trial(
        task=task,
        dataset=cells.get("dataset") or name,
        dataset_digest=cells["dataset_digest"],
        split_policy=cells.get("split_policy") or "unknown",
        n_train=whole_in(cells, "n_train") or 0,
        n_test=whole_in(cells, "n_test") or 0,
        backbone=backbone.name,
        audio_seconds=seconds,
        reduction=Reduction.parse(cells.get("reduction") or "none"),
        adaptation=Adaptation.parse(cells.get("adaptation") or "none"),
        optimisation=optimisation,
        decoding=Decoding(max_new_tokens=256),
        reference_policy=cells.get("reference_policy") or ("truncate" if padded else "window"),
        padding=cells.get("padding") or ("padded30" if padded else "dynamic"),
        normaliser=cells.get("normaliser") or ("lower-case [a-z0-9']" if padded else "unknown"),
        seed=whole_in(cells, "seed") or 0,
        # English is what a trial of no other language is in.
        language=None if cells.get("language") in (None, "", "en") else cells["language"],
    )


def _latency(cells: Mapping[str, str], trial: Trial) -> tuple[Latency, ...]:
    p50, p95 = number_in(cells, "latency_p50_ms"), number_in(cells, "latency_p95_ms")
    if p50 is None and p95 is None:
        return ()
    device = cells.get("device")
    if not device:
        raise InputError("a latency needs a device: say in column device where it was measured")
    # A lone quantile stands for both, and the method says which one it is.
    lone = " (p95 alone)" if p50 is None else " (p50 alone)" if p95 is None else ""
    p50, p95 = p50 or p95 or 0.0, p95 or p50 or 0.0
    return (
        Latency(
            device=Device(name=device, kind="unknown", model=device, n_threads=1),
            backbone=trial.backbone,
            audio_seconds=trial.audio_seconds,
            reduction=trial.reduction,
            n_output_tokens=round(number_in(cells, "mean_output_tokens") or 0),
            p50_ms=p50,
            p90_ms=number_in(cells, "latency_p90_ms", p95) or p95,
            p95_ms=p95,
            p99_ms=number_in(cells, "latency_p99_ms", p95) or p95,
            n_samples=1,
            n_warmup=0,
            synchronised=False,
            method=f"{IMPORTED}{lone}",
        ),
    )
