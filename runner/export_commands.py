"""What `export`, `transcribe` and `classify` do: stored runs and answers on one side, engines on the other."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.store import read
from planner.store.engine import opened
from planner.store.row_types import RunRow
from planner.words.units import format_bytes, format_duration
from runner.engines.formats import (
    Format,
    format_of,
    precision_of,
    require_installed,
    require_possible,
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is exported, to what, and where to.

    Attributes:
        which: a run's key, or an answer's id.
        weights: local folder of base weights, before cache, hub and registry.
        parity: score the folder in its engine, and store what that gave.
    """

    which: str
    to: str
    out: Path
    precision: str | None = None
    weights: Path | None = None
    threads: int = 1
    parity: bool = True


def run_of(engine: Any, which: str) -> tuple[RunRow, str | None]:
    """The finished run that is named by its key or by an answer, and the answer's id.

    Raises:
        InputError: the run is not finished, or nobody trained what the answer recommends.
        UnknownNameError: there is no such answer.
    """
    answer_id = None
    if which.isdigit() and len(which) < 12:
        run_id = int(which)
    else:
        answer_id = read.plan(engine, which).answer_id
        run_id = _recommended(engine, answer_id)
    row = read.run(engine, run_id)
    if row.status != "finished":
        raise InputError(
            f"run {run_id} is {row.status} and has no model to export; see: soundscale runs list"
        )
    if row.provenance != "measured":
        raise InputError(
            f"run {run_id} is {row.provenance}: its tensors are not here; "
            "name a run that was trained here"
        )
    return row, answer_id


def _recommended(engine: Any, answer_id: str) -> int:
    best = json.loads(read.plan(engine, answer_id).answer_json).get("best")
    if best is None:
        raise InputError(f"answer {answer_id} recommends nothing; ask again with wider limits")
    found = best["prediction"]["run_ids"]
    if not found:
        raise InputError(
            f"answer {answer_id} recommends {best['label']}, which nobody has trained; train it with "
            "soundscale sweep run, or ask with --measured-only"
        )
    return int(found[0])


def export(db: str | None, asked: ExportRequest, say: Say) -> dict[str, Any]:
    """Write the export, score it unless told not to; what it came to.

    Raises:
        InputError: it cannot be exported so; nothing was written.
        MissingResourceError: a package, weights or tensors cannot be had.
    """
    form = format_of(asked.to)
    precision = precision_of(form, asked.precision)
    require_installed(form, writing=True)
    with opened(db, must_exist=True) as engine:
        row, answer_id = run_of(engine, asked.which)
        return _written(engine, row, answer_id, form, precision, asked, say)


def _written(
    engine: Any,
    row: RunRow,
    answer_id: str | None,
    form: Format,
    precision: str,
    asked: ExportRequest,
    say: Say,
) -> dict[str, Any]:
    from runner.engines.writing.folder import require_free, size_bytes

    require_possible(form, row.trial)
    require_free(asked.out)
    say(f"loading run {row.run_id}: {row.trial.label}")
    began = time.monotonic()
    from runner.engines.trained import load_trained
    from runner.engines.writing.export import write_export

    with local_artifact(row.artifact) as artifact:
        trained = load_trained(
            row.trial,
            artifact,
            weights_folder=asked.weights,
            weights_digest=row.weights_digest,
            catalogue=read.catalogue(engine),
        )
    known: dict[str, Any] = {"run_id": row.run_id, "answer_id": answer_id, "error": row.error}
    about = write_export(trained, form, precision, asked.out, say, **known)
    return {
        "run_id": row.run_id,
        "answer_id": answer_id,
        "format": form.name,
        "engine": form.engine,
        "precision": precision,
        "folder": str(asked.out),
        "size_bytes": size_bytes(asked.out),
        "seconds": time.monotonic() - began,
        "label": about.label,
        "error": row.error,
    }


@contextmanager
def local_artifact(artifact: str | None) -> Iterator[Path | None]:
    """The folder of a run's tensors; one behind a URL is fetched for as long as it is needed."""
    from runner.campaign.artifacts import Remote, is_url

    if artifact is None or not is_url(artifact):
        yield None if artifact is None else Path(artifact)
        return
    place, _, name = artifact.rstrip("/").rpartition("/")
    with tempfile.TemporaryDirectory(prefix="soundscale-artifact-") as scratch:
        Remote(place).fetch(name, Path(scratch) / name)
        yield Path(scratch) / name


def lines(found: dict[str, Any]) -> list[str]:
    """What an export came to, for people."""
    size = format_bytes(found["size_bytes"])
    return [
        f"{found['label']} → {found['folder']}",
        f"{found['engine']} · {found['precision']} · {size} · {format_duration(found['seconds'])}",
    ]
