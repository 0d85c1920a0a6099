"""After training: the sweep's finished runs in the engines that its file names, scored before they are timed.

Each run is exported into the artifacts' folder, once, and held to its own texts (`runner.engines.parity`), several
runs at once; a run that an engine cannot hold, or whose texts differ, is said and left out. The stage of latency then
times what is there beside torch, in turns.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.costs.flops.forward import forward_flops
from planner.errors import MissingResourceError, SoundscaleError
from planner.store import read
from planner.store.engine import opened
from planner.store.engine_results import engine_results, exports
from planner.store.read_engines import border_losses
from runner import sweep_latency
from runner.engines.description import is_readable
from runner.engines.formats import Format, asked_engine, format_of, require_installed
from runner.exports import on_sets
from runner.exports.make import ExportRequest
from runner.exports.together import Came, export_runs, processes

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.row_types import RunRow
    from planner.words.catalogue import Catalogue
    from planner.words.records import Trial
    from runner.sweep.keys import SweepSpec

Say = Callable[[str], None]

MOST_ERRORS = 2.0
"""Of a run that is worth an export, over the fewest errors of any (assumption)."""
TOKENS_A_SECOND = 2.0
"""Output tokens a second of speech by which FLOPs are compared (assumption; it hardly moves an order)."""


def checked(spec: SweepSpec, say: Say, *, lenient: bool = False) -> SweepSpec:
    """The file, if its engines can be exported for here; before anything is trained.

    Args:
        spec: of the sweep.
        say: takes lines of progress.
        lenient: leave out and tell what is not installed, in place of an error.

    Raises:
        UnknownNameError: there is no such engine, or it has no such precision.
        MissingResourceError: one is not installed; it names the extra.
    """
    kept = []
    for text in spec.engines:
        form, precision = asked_engine(text)
        try:
            require_installed(form, precision, writing=True)
        except MissingResourceError as problem:
            if not lenient:
                raise
            say(f"engines: left out: {problem}")
        else:
            kept.append(text)
    return spec.model_copy(update={"engines": kept})


def measure(
    db: str, spec: SweepSpec, artifacts: str, weights: Path | None, ray_address: str, say: Say
) -> None:
    """After training: further test sets, the engines that the file names, then the latency of all of it."""
    if spec.test_sets:
        on_sets.score_finished(db, spec, artifacts, weights, say)
    engines = export_finished(db, spec, artifacts, weights, say) if spec.engines else ()
    if spec.latency == "quiet":
        sweep_latency.after_training(db, spec.name, ray_address, say, engines)


def export_finished(
    db: str, spec: SweepSpec, artifacts: str, weights: Path | None, say: Say
) -> tuple[str, ...]:
    """Export what the file asks for and the store lacks; names of the engines that there are exports for.

    Args:
        db: the database.
        spec: of the sweep, whose trials are finished.
        artifacts: folder or URL of the trained tensors; exports go beside them, or into the cache.
        weights: local folder of base weights.
        say: takes lines of progress.
    """
    with opened(db, must_exist=True) as engine:
        finished = read.runs(engine, sweep=spec.name, status="finished")
        catalogue = read.catalogue(engine)
        rows = chosen_runs(finished, spec, catalogue)
        run_ids = [row.run_id for row in rows]
        known = _known(engine, run_ids)
        with_borders = {one.run_id for one in border_losses(engine, run_ids)}
    asked = []
    for row in longest_first(rows):
        left = [(f, p) for f, p in engines_of(row, spec) if (row.run_id, f.engine, p) not in known]
        if left:
            asked.append(_requests(row, left, artifacts, weights, row.run_id not in with_borders))
    names = {name for _, name, _ in known}
    if asked:
        labels = {str(row.run_id): row.trial.label for row in rows}
        at_once = processes(max(catalogue.backbone(r.trial.backbone).n_params for r in rows))
        names |= _exported(db, asked, labels, say, at_once)
    return tuple(sorted(names))


def _exported(
    db: str, asked: Sequence[Sequence[ExportRequest]], labels: Mapping[str, str], say: Say,
    at_once: int,
) -> set[str]:  # fmt: skip
    """Make what is asked of each run, telling each as it is there; names of the engines that have one."""
    names, done = set(), []

    def tell(place: int, came: Came) -> None:
        done.append(place)
        for request, found in zip(asked[place], came, strict=True):
            told = _line(request, labels[request.which], found)
            say(f"engines: {len(done)} of {len(asked)} runs · {told}")
            if not isinstance(found, SoundscaleError):
                names.add(format_of(request.to or "").engine)

    export_runs(db, asked, tell, at_once)
    return names


def _known(engine: Engine, run_ids: Sequence[int]) -> set[tuple[int, str, str]]:
    """Runs, engines and precisions that were scored, and whose folder is here."""
    scored = {(one.run_id, one.engine, one.precision) for one in engine_results(engine)}
    here = {
        (one.run_id, one.engine, one.precision)
        for run_id in run_ids
        for one in exports(engine, run_id)
        if is_readable(Path(one.folder))
    }
    return scored & here


def chosen_runs(rows: Sequence[RunRow], spec: SweepSpec, catalogue: Catalogue) -> list[RunRow]:
    """The runs that are exported: all, or the untrained and those on the frontier of error and a window's FLOPs.

    FLOPs are counted a second of audio, as windows differ in length, at TOKENS_A_SECOND. The end of the frontier with
    more than MOST_ERRORS times the fewest errors is left out: nobody deploys it beside the rest.
    """
    mine = [r for r in rows if r.provenance == "measured" and r.error is not None]
    if spec.engine_runs == "all":
        return mine
    trained = [r for r in mine if r.trial.adaptation.kind != "none"]
    at = {r.run_id: (r.error or 0.0, _flops_a_second(r.trial, catalogue)) for r in trained}
    on_it = {
        i for i, one in at.items()
        if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in at.values())
    }  # fmt: skip
    fewest = min((error for error, _ in at.values()), default=0.0)
    kept = {i for i in on_it if at[i][0] <= MOST_ERRORS * fewest}
    return [r for r in mine if r.run_id in kept or r.trial.adaptation.kind == "none"]


def engines_of(row: RunRow, spec: SweepSpec) -> list[tuple[Format, str]]:
    """Formats and precisions that a run is exported to: all that the file names.

    On the frontier an untrained checkpoint takes the first of them alone: what users would take without training is
    one engine's, and at 30 s it is scored longer than all that was trained.
    """
    wanted = [asked_engine(text) for text in spec.engines]
    alone = spec.engine_runs == "frontier" and row.trial.adaptation.kind == "none"
    return wanted[:1] if alone else wanted


def longest_first(rows: Sequence[RunRow]) -> list[RunRow]:
    """Runs by the time that scoring them took, falling, so that processes end together."""
    return sorted(rows, key=lambda row: -(row.score_seconds or 0.0))


def _flops_a_second(trial: Trial, catalogue: Catalogue) -> float:
    seconds = trial.audio_seconds
    n_tokens = round(TOKENS_A_SECOND * seconds) if trial.task == "asr" else 0
    whole = forward_flops(
        catalogue.backbone(trial.backbone), audio_seconds=seconds, reduction=trial.reduction,
        n_output_tokens=n_tokens, padding=trial.padding, task=trial.task,
    )  # fmt: skip
    return float(whole.total) / seconds


def _requests(
    row: RunRow, left: Sequence[tuple[Format, str]], artifacts: str, weights: Path | None,
    borders: bool,
) -> list[ExportRequest]:  # fmt: skip
    """What is asked of one run; what window borders cost is counted in its first engine alone."""
    asked: list[ExportRequest] = []
    for form, precision in left:
        out = _folder(artifacts) / f"{row.trial.fingerprint[:16]}-{form.name}-{precision}"
        if out.exists():
            # Of a driver that was stopped before it stored the scores; the name is ours alone.
            shutil.rmtree(out)
        asked.append(
            ExportRequest(
                which=str(row.run_id), to=form.name, out=out, precision=precision, weights=weights,
                latency=False, borders=borders and not asked,
            )
        )  # fmt: skip
    return asked


def _folder(artifacts: str) -> Path:
    from runner.campaign.artifacts import is_url
    from runner.weights.packages import cache_folder

    folder = cache_folder() / "exports" if is_url(artifacts) else Path(artifacts) / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _line(request: ExportRequest, label: str, found: dict[str, Any] | SoundscaleError) -> str:
    """One export: what it scores and how many of its texts are the run's, or why there is none."""
    what = f"{label} in {format_of(request.to or '').engine} {request.precision}"
    if isinstance(found, SoundscaleError):
        return f"left out: {what}: {found}"
    told = found["parity"]
    return (
        f"{what}: {found['metric']} {100 * told['error']:.2f} %, "
        f"{told['n_equal_texts']} of {told['n_utterances']} texts as in torch"
    )
