"""What `export`, `transcribe` and `classify` do: stored runs and answers on one side, engines on the other."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import InputError, SoundscaleError
from planner.store import read
from planner.store.engine import opened
from planner.store.row_types import RunRow
from planner.words.engine_records import Export
from runner.engines.description import is_readable
from runner.engines.formats import (
    CALIBRATED,
    FORMATS,
    PRECISION_NAMES,
    Format,
    precision_of,
    require_installed,
    require_possible,
)
from runner.exports.loaded import Loaded
from runner.exports.named import named
from runner.exports.text import parity_json

if TYPE_CHECKING:
    from runner.data.clips import Corpus
    from runner.engines.parity import Parity
    from runner.engines.trained import Trained

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is exported, to what, and where to.

    Attributes:
        which: a run's key, or an answer's id.
        to, precision: None: those of the answer.
        weights: local folder of base weights, before cache, hub and registry.
        parity: score the folder in its engine, and store what that gave.
        latency: also time it by itself; a sweep times its exports in turns, later.
        borders: where scored, also count what window borders cost, by hearing the clips once more.
    """

    which: str
    to: str | None
    out: Path
    precision: str | None = None
    weights: Path | None = None
    threads: int = 1
    parity: bool = True
    latency: bool = True
    borders: bool = True


def export(db: str | None, asked: ExportRequest, say: Say) -> dict[str, Any]:
    """Write the export, score it unless told not to; what it came to.

    Raises:
        InputError: it cannot be exported so; nothing was written.
        MissingResourceError: a package, weights or tensors cannot be had.
        ParityError: it writes other texts than the run; nothing was written.
    """
    (found,) = export_all(db, [asked], say)
    if isinstance(found, SoundscaleError):
        raise found
    return found


def export_all(
    db: str | None, requests: Sequence[ExportRequest], say: Say
) -> Iterator[dict[str, Any] | SoundscaleError]:
    """Several exports of one run or answer, which is loaded once: what each came to, or why it did not."""
    loaded: Loaded | None = None
    with opened(db, must_exist=True) as engine:
        for asked in requests:
            try:
                found = named(engine, asked.which)
                form, precision = found.format(asked.to, asked.precision)
                require_installed(form, precision, writing=True)
                loaded = loaded or Loaded(engine, found.row, asked.weights)
                yield _Exporting(loaded, found.answer_id, form, precision, asked, say).run()
            except SoundscaleError as problem:
                yield problem


@dataclass(slots=True)
class _Exporting:
    """The stages of one export, from a stored run to a folder and its scores in the store."""

    loaded: Loaded
    answer_id: str | None
    form: Format
    precision: str
    asked: ExportRequest
    say: Say
    parity: Parity | None = None

    def run(self) -> dict[str, Any]:
        """Refuse, load, write, score, store."""
        from runner.engines.writing.export import write_export
        from runner.engines.writing.folder import require_free, size_bytes

        row, out = self.loaded.row, self.asked.out
        require_possible(self.form, row.trial, self.loaded.family)
        require_free(out)
        corpus = self.loaded.corpus() if self.asked.parity else None
        self.say(f"loading run {row.run_id}: {row.trial.label}")
        began = time.monotonic()
        trained = self.loaded.trained()
        known: dict[str, Any] = {
            "run_id": row.run_id, "answer_id": self.answer_id, "error": row.error,
        }  # fmt: skip
        written = 0.0

        def check(folder: Path) -> None:
            nonlocal written
            written = time.monotonic() - began
            if corpus is not None:
                self._score(folder, corpus, trained)

        windows = self.loaded.windows() if self.precision in CALIBRATED else ()
        write_export(trained, self.form, self.precision, out, self.say, check, windows, **known)
        self._store()
        return {
            "run_id": row.run_id,
            "answer_id": self.answer_id,
            "label": row.trial.label,
            "format": self.form.name,
            "engine": self.form.engine,
            "precision": self.precision,
            "folder": str(out),
            "size_bytes": size_bytes(out),
            "seconds": written,
            "metric": row.metric,
            "run_error": row.error,
            "parity": None if self.parity is None else parity_json(self.parity),
        }

    def _score(self, folder: Path, corpus: Corpus, trained: Trained) -> None:
        import torch

        from runner.engines import parity
        from runner.trial.device import describe

        row, threads = self.loaded.row, self.asked.threads
        torch.set_num_threads(threads)
        self.say(f"scoring {len(corpus.test)} clips in {self.form.engine}")
        self.parity = parity.score(
            folder,
            row.trial,
            corpus.test,
            read.utterances(self.loaded.engine, row.run_id),
            describe(torch.device("cpu")),
            labels=trained.labels,
            threads=threads,
            timed=self.asked.latency,
        )
        parity.require_equal(self.parity, row.precision)
        self._score_borders(folder, corpus)

    def _score_borders(self, folder: Path, corpus: Corpus) -> None:
        """What window borders cost, stored beside the score."""
        from runner.engines.borders import border_loss
        from runner.engines.runtime import open_folder

        if self.parity is None or not self.asked.borders or self.loaded.row.trial.task != "asr":
            return
        scored = self.parity.score
        model = open_folder(folder, self.asked.threads)
        found = border_loss(model, corpus.test, scored.evaluation)
        if found is not None:
            details = {**(scored.evaluation.details or {}), "borders": found}
            evaluation = dataclasses.replace(scored.evaluation, details=details)
            scored = dataclasses.replace(scored, evaluation=evaluation)
            self.parity = dataclasses.replace(self.parity, score=scored)

    def _store(self) -> None:
        from planner.store.engine_results import save_engine_results, save_export
        from runner.engines.writing.folder import size_bytes
        from runner.trial.versions import versions

        out, engine, run_id = self.asked.out.absolute(), self.loaded.engine, self.loaded.row.run_id
        save_export(
            engine,
            Export(
                run_id=run_id,
                format=self.form.name,
                engine=self.form.engine,
                precision=self.precision,
                folder=str(out),
                size_bytes=size_bytes(out),
                sha256=_sha256(out),
                versions=versions(),
            ),
        )
        if self.parity is not None:
            latency = self.parity.latency
            timed = [] if latency is None else [latency]
            save_engine_results(engine, run_id, [self.parity.score], timed)


def _sha256(folder: Path) -> str:
    """Digest of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder)} {own}\n".encode())
    return digest.hexdigest()


def folder_of(db: str | None, which: str, to: str | None, precision: str | None, say: Say) -> Path:
    """The exported folder of a run or an answer: the newest one that is there, or one made in the cache.

    Args:
        db: the database.
        which: a run's key, or an answer's id.
        to: format; None: the answer's, else any that is there, else the first that is installed.
        precision: of the weights; None: the answer's, else any that is there, else the format's first.
        say: takes lines of progress.
    """
    from planner.store.engine_results import exports

    with opened(db, must_exist=True) as engine:
        found = named(engine, which)
        there = exports(engine, found.row.run_id)
        family = read.catalogue(engine).backbone(found.row.trial.backbone).family
    form = found.format(to, precision)[0] if to or found.engine else None
    exact = None if precision is None else PRECISION_NAMES.get(precision, precision)
    if exact is None and form is not None and form.engine == found.engine:
        exact = found.precision
    for one in there:
        fits = form in (None, FORMATS.get(one.format)) and exact in (None, one.precision)
        if fits and is_readable(Path(one.folder)):
            return Path(one.folder)
    row, form = found.row, form or _installed(found.row, family)
    named_precision = precision_of(form, exact)
    out = _cache() / f"{row.trial.fingerprint[:16]}-{form.name}-{named_precision}"
    if not is_readable(out):
        shutil.rmtree(out, ignore_errors=True)
        say(
            f"run {row.run_id} has no export here; making one for {form.engine} in {named_precision}"
        )
        asked = ExportRequest(
            which=str(row.run_id), to=form.name, out=out, precision=named_precision, parity=False
        )
        export(db, asked, say)
    return out


def _installed(row: RunRow, family: str) -> Format:
    """The first format that is installed and can hold the run's model."""
    from runner.engines.formats import why_not

    for form in FORMATS.values():
        here = all(find_spec(name) for name in (*form.to_run, *form.to_write))
        if here and why_not(form, row.trial, family) is None:
            return form
    require_possible(FORMATS["onnx"], row.trial, family)
    raise InputError(
        f"no engine that can run {row.trial.label} is installed; pip install 'soundscale[onnx]'"
    )


def _cache() -> Path:
    from runner.weights.packages import cache_folder

    folder = cache_folder(None) / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
