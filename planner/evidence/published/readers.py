"""Public tables that a user brings as a file, in the columns that `planner.evidence.published.tables` reads.

`open-asr-leaderboard`: one row a model (`model`, its hub id), one column a test set (`LS Clean WER`, in percent),
`RTFx`. `emobox`: one row a model and data set (`model`, `dataset`, `UA`, in percent). Nothing of either is shipped:
models that the catalogue does not know are named and left out, and each row says where its number comes from.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from planner.errors import InputError, SoundscaleError
from planner.words.catalogue import WHISPER_WINDOW_SECONDS, Backbone, Catalogue, Whisper
from planner.words.table_text import number, table_rows, text_of

Cells = dict[str, str]

WER = " WER"
"""End of the name of a leaderboard's column for one test set."""

SUMMARIES = ("average wer", "avg wer", "mean wer")
"""Columns of several sets together, which are no test set."""

EMOTION_SECONDS = 6.0
"""x_T that stands for whole utterances of emotional speech (s; assumption: few are longer)."""

COLUMNS = (
    "task", "backbone", "audio_seconds", "error_percent", "dataset", "dataset_digest", "normaliser", "padding",
    "split_policy", "source", "source_kind",
)  # fmt: skip


def leaderboard(row: Mapping[str, str], shape: Backbone, name: str) -> Iterator[Cells]:
    """One result for each test set of a model's row.

    Whisper hears 30 s, padded; other models hear the whole utterance, for which 30 s stand (assumption).
    """
    speed = row.get("RTFx", "").strip()
    said = f", RTFx {speed} on the leaderboard's GPU" if speed else ""
    for column, cell in row.items():
        if not column.endswith(WER) or column.lower() in SUMMARIES or not cell.strip():
            continue
        test_set = column.removesuffix(WER).strip()
        yield {
            "task": "asr",
            "backbone": shape.name,
            "audio_seconds": f"{WHISPER_WINDOW_SECONDS:g}",
            "error_percent": cell,
            "dataset": f"open-asr-leaderboard {test_set}",
            "dataset_digest": f"open-asr-leaderboard:{test_set}",
            "normaliser": "leaderboard",
            "padding": "padded30" if isinstance(shape, Whisper) else "dynamic",
            "split_policy": "official",
            "source": f"Open ASR Leaderboard, {name}{said}",
            "source_kind": "read",
        }


def emobox(row: Mapping[str, str], shape: Backbone, name: str) -> Iterator[Cells]:
    """The result of a model on one data set: 1 less the unweighted accuracy."""
    if not row["UA"].strip():
        return
    accuracy = number(row["UA"], "UA")
    if not 0 <= accuracy <= 100:
        raise InputError(f"UA must lie between 0 and 100 percent, got {row['UA']!r}")
    yield {
        "task": "emotion",
        "backbone": shape.name,
        "audio_seconds": f"{EMOTION_SECONDS:g}",
        "error_percent": repr(round(100 - accuracy, 6)),
        "dataset": f"emobox {row['dataset']}",
        "dataset_digest": f"emobox:{row['dataset']}",
        "normaliser": "none",
        "padding": "dynamic",
        "split_policy": "official",
        "source": f"EmoBox, {name}",
        "source_kind": "read",
    }


Reader = Callable[[Mapping[str, str], Backbone, str], Iterator[Cells]]

READERS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "open-asr-leaderboard": (leaderboard, ("model",)),
    "emobox": (emobox, ("model", "dataset", "UA")),
}
"""Name of a public table -> what reads a row of it, and the columns it needs."""


def public_table(kind: str, file: str | None, catalogue: Catalogue) -> tuple[str, str, list[str]]:
    """Name of a public table's file, its text as a table of results, and what was left out.

    Raises:
        InputError: no file is given, it is not there, or it is no such table.
    """
    if file is None:
        raise InputError(f"{kind} is not shipped; give its file: runs import {kind} FILE.csv")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"there is no file {file}; give the {kind} table as a CSV file")
    return path.name, *as_results(kind, path.name, text_of(path), catalogue)


def as_results(kind: str, name: str, text: str, catalogue: Catalogue) -> tuple[str, list[str]]:
    """A public table's text in the columns of a table of results, and what was left out, line by line.

    Raises:
        InputError: a column is missing, a cell cannot be read, or no model of the table is in the catalogue.
    """
    read, needed = READERS[kind]
    header, found = table_rows(name, text, delimiter="\t" if name.endswith(".tsv") else ",")
    missing = [c for c in needed if c not in header]
    if kind == "open-asr-leaderboard" and not any(c.endswith(WER) for c in header):
        missing.append("NAME OF A SET WER")
    if missing:
        raise InputError(f"{name} is no {kind} table: it has no column {', '.join(missing)}")
    out, left_out = io.StringIO(), []
    rows = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    rows.writeheader()
    n = 0
    for line in found:
        model = line.cells["model"].strip()
        try:
            shape = catalogue.backbone(model)
        except SoundscaleError:
            left_out.append(f"row {line.number}: {model} is not in the catalogue")
            continue
        try:
            for cells in read(line.cells, shape, name):
                rows.writerow(cells)
                n += 1
        except InputError as problem:
            raise InputError(f"row {line.number} of {name}: {problem} (line {line.line})") from None
    if not n:
        raise InputError(
            f"{name} has no result of a model in the catalogue ({len(left_out)} of others); add them with: "
            "soundscale backbones add PATH"
        )
    return out.getvalue(), left_out
