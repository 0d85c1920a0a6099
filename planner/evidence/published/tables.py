"""Tables of results, published or the user's own, turned into trials and runs.

A table is a CSV with one row a configuration. Needed: `task`, `backbone`, `audio_seconds`, and
`error` (or `wer`) as a fraction. Optional: `reduction`, `adaptation`, `metric`, `std_error`, `seed`,
`dataset`, `split_policy`, `n_train`, `n_test`, `n_units`, `n_errors`, `mean_output_tokens`,
`latency_p50_ms`, `latency_p95_ms` with `device`, `source`, `source_kind`, `padding` and others that
`COLUMNS` names.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from planner.errors import InputError, SoundscaleError, UnknownNameError
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import (
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

PUBLISHED = {"same2026": "same2026.csv"}
"""Name of a published table -> its file in this package."""

NEEDED = ("task", "backbone", "audio_seconds")
COLUMNS = (
    *NEEDED,
    *("error", "wer", "reduction", "adaptation", "metric", "std_error", "seed", "dataset"),
    *(
        "dataset_digest",
        "split",
        "split_policy",
        "reference_policy",
        "padding",
        "n_train",
        "n_test",
    ),
    *("n_units", "n_errors", "mean_output_tokens", "selection", "audio_coverage"),
    *("learning_rate", "steps", "batch_size", "normaliser", "published_gflops"),
    *("latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "device"),
    *("source", "source_kind", "n_trainable", "train_seconds", "peak_memory_bytes"),
)


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


def load_table(name_or_path: str, catalogue: Catalogue = BUILT_IN) -> ResultTable:
    """A published table by name, or the user's own CSV file; its backbones are the catalogue's.

    Raises:
        UnknownNameError: it is neither a published table nor a file.
        InputError: the table cannot be read; the message names the row and the column.
    """
    if name_or_path in PUBLISHED:
        text = (resources.files("planner.evidence.published") / PUBLISHED[name_or_path]).read_text(
            "utf-8"
        )
        return _read(name_or_path, "published", text, catalogue, f"published:{name_or_path}")
    path = Path(name_or_path)
    if not path.is_file():
        remedy = "or give the path of a CSV file" + (
            f" (there is no file {name_or_path})" if "." in name_or_path else ""
        )
        raise UnknownNameError("published table", name_or_path, PUBLISHED, remedy=remedy)
    digest = f"imported:{path.name}:{_home_of(path)}"
    return _read(path.name, "imported", path.read_text("utf-8-sig"), catalogue, digest)


def _home_of(path: Path) -> str:
    """Twelve digits of the folder's hash: files of one name in two folders are two sources."""
    return hashlib.sha256(str(path.resolve().parent).encode()).hexdigest()[:12]


def _read(name: str, provenance: str, text: str, catalogue: Catalogue, digest: str) -> ResultTable:
    reader = csv.DictReader(io.StringIO(text))
    header = [h.strip() for h in reader.fieldnames or []]
    _check_header(name, header)
    rows, numbers, left_out = [], [], []
    for number, cells in _numbered(reader):
        try:
            digest_of_row = cells.get("dataset_digest") or digest
            row = _row(name, provenance, {**cells, "dataset_digest": digest_of_row}, catalogue)
        except SoundscaleError as problem:
            raise InputError(f"row {number} of {name}: {problem}") from None
        if row is None:
            left_out.append(f"row {number}: no readable error ({cells.get('source') or 'blank'})")
        else:
            rows.append(row)
            numbers.append(number)
    if not rows:
        raise InputError(f"{name} has no row with an error rate; give at least one")
    _check_fractions(name, numbers, rows)
    return ResultTable(name=name, provenance=provenance, rows=tuple(rows), left_out=tuple(left_out))


def _check_header(name: str, header: list[str]) -> None:
    missing = [c for c in NEEDED if c not in header]
    if not {"error", "wer"} & set(header):
        missing.append("error")
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(missing)}; needed: {', '.join(NEEDED)}, error"
        )
    for column in header:
        if column not in COLUMNS:
            raise UnknownNameError(f"column in {name}", column, COLUMNS)


def _numbered(reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for number, raw in enumerate(reader, start=1):
        yield number, {str(k).strip(): (v or "").strip() for k, v in raw.items() if k}


def _number(cells: Mapping[str, str], name: str, default: float | None = None) -> float | None:
    text = cells.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise InputError(f"{name} is not a number: {text!r}") from None
    if not math.isfinite(value) or value < 0:
        raise InputError(f"{name} must be finite and not negative, got {text!r}")
    return value


def _whole(cells: Mapping[str, str], name: str) -> int | None:
    value = _number(cells, name)
    return None if value is None else round(value)


def _error(cells: Mapping[str, str]) -> float | None:
    return _number(cells, "error", _number(cells, "wer"))


def _check_fractions(name: str, numbers: Sequence[int], rows: Sequence[TableRow]) -> None:
    """Refuse a table in per cent; a single run that makes more errors than words is a result."""
    errors = [r.record.evaluations[0].error for r in rows]
    above = [(n, e) for n, e in zip(numbers, errors, strict=True) if e > 1]
    if 2 * len(above) > len(rows):
        number, error = above[0]
        raise InputError(
            f"row {number} of {name}: error must be a fraction (0.08 for 8 %), got {error:g}, "
            f"as {len(above)} of {len(rows)} rows are above 1"
        )


def _row(
    name: str, provenance: str, cells: Mapping[str, str], catalogue: Catalogue
) -> TableRow | None:
    error = _error(cells)
    if error is None:
        return None
    trial = _trial(name, provenance, cells, catalogue)
    evaluation = Evaluation(
        split=cells.get("split") or "test",
        metric=cells.get("metric") or TASKS[trial.task],
        error=error,
        std_error=_number(cells, "std_error"),
        n_units=_whole(cells, "n_units"),
        n_errors=_whole(cells, "n_errors"),
        n_utterances=_whole(cells, "n_test"),
        selection=cells.get("selection") or "final",
        audio_coverage=_number(cells, "audio_coverage"),
        mean_output_tokens=_number(cells, "mean_output_tokens"),
    )
    record = RunRecord(
        status="finished",
        evaluations=(evaluation,),
        latencies=_latency(cells, trial),
        n_params=catalogue.backbone(trial.backbone).n_params,
        n_trainable=_whole(cells, "n_trainable"),
        train_seconds=_number(cells, "train_seconds"),
        peak_memory_bytes=_whole(cells, "peak_memory_bytes"),
        data_source=f"{provenance}: {name}",
    )
    return TableRow(
        trial=trial,
        record=record,
        source=cells.get("source") or name,
        source_kind=cells.get("source_kind") or "read",
        published_gflops=_number(cells, "published_gflops"),
    )


def _trial(name: str, provenance: str, cells: Mapping[str, str], catalogue: Catalogue) -> Trial:
    task = cells["task"]
    if task not in TASKS:
        raise UnknownNameError("task", task, TASKS)
    seconds = _number(cells, "audio_seconds")
    if not seconds:
        raise InputError(f"audio_seconds must be positive, got {cells['audio_seconds']!r}")
    # The study cut the waveform and padded it back to 30 s: its encoder always saw 1500 positions.
    padded = provenance == "published" and task == "asr"
    optimisation = Optimisation(
        learning_rate=_number(cells, "learning_rate") or 1e-3,
        steps=_whole(cells, "steps") or 0,
        batch_size=_whole(cells, "batch_size") or 1,
    )
    return Trial(
        task=task,
        dataset=cells.get("dataset") or name,
        dataset_digest=cells["dataset_digest"],
        split_policy=cells.get("split_policy") or "unknown",
        n_train=_whole(cells, "n_train") or 0,
        n_test=_whole(cells, "n_test") or 0,
        backbone=catalogue.backbone(cells["backbone"]).name,
        audio_seconds=seconds,
        reduction=Reduction.parse(cells.get("reduction") or "none"),
        adaptation=Adaptation.parse(cells.get("adaptation") or "none"),
        optimisation=optimisation,
        decoding=Decoding(max_new_tokens=256),
        reference_policy=cells.get("reference_policy") or ("truncate" if padded else "window"),
        padding=cells.get("padding") or ("padded30" if padded else "dynamic"),
        normaliser=cells.get("normaliser") or ("lower-case [a-z0-9']" if padded else "unknown"),
        seed=_whole(cells, "seed") or 0,
    )


def _latency(cells: Mapping[str, str], trial: Trial) -> tuple[Latency, ...]:
    p50 = _number(cells, "latency_p50_ms")
    if p50 is None:
        return ()
    device = cells.get("device")
    if not device:
        raise InputError(
            "latency_p50_ms needs a device: say in column device where it was measured"
        )
    p95 = _number(cells, "latency_p95_ms", p50) or p50
    return (
        Latency(
            device=Device(name=device, kind="unknown", model=device, n_threads=1),
            backbone=trial.backbone,
            audio_seconds=trial.audio_seconds,
            reduction=trial.reduction,
            n_output_tokens=round(_number(cells, "mean_output_tokens") or 0),
            p50_ms=p50,
            p90_ms=_number(cells, "latency_p90_ms", p95) or p95,
            p95_ms=p95,
            p99_ms=_number(cells, "latency_p99_ms", p95) or p95,
            n_samples=1,
            n_warmup=0,
            synchronised=False,
            method="imported",
        ),
    )
