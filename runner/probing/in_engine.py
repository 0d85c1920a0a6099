"""`soundscale probe --engine`: models of random weights, exported once, timed in another engine than torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from planner.errors import InputError
from planner.words.catalogue import Catalogue
from planner.words.engine_records import EngineLatency
from planner.words.records import Latency
from runner.engines.formats import asked_engine, require_installed, require_possible
from runner.probing.child import Point, Sampled, trial_of


def name_of(engine: str) -> str:
    """The engine of `NAME[:PRECISION]`."""
    return asked_engine(engine)[0].engine


def precision_in(engine: str) -> str:
    """The precision of `NAME[:PRECISION]`, the engine's first where none is said."""
    return asked_engine(engine)[1]


def export_points(
    engine: str | None, points: Sequence[Point], catalogue: Catalogue, folder: Path
) -> tuple[str, ...]:
    """Folder of each point's exported model; points that differ in their tokens alone share one.

    Raises:
        MissingResourceError: the engine is not installed.
        InputError: it cannot hold a point, or takes one window at a time.
    """
    if engine is None:
        return ()
    from runner.engines.trained import load_trained
    from runner.engines.writing.export import write_export
    from runner.probing.random_models import N_CLASSES

    form, precision = asked_engine(engine)
    require_installed(form, precision, writing=True)
    made: dict[tuple[str, str, float, str], Path] = {}
    for point in points:
        trial = trial_of(point)
        require_possible(form, trial, catalogue.backbone(trial.backbone).family)
        if point.batch_size != 1:
            raise InputError("an engine is timed at batch size 1; leave --batch-size out")
        key = (point.task, point.backbone, point.audio_seconds, point.reduction)
        if key not in made:
            made[key] = folder / f"model-{len(made)}"
            labels = (
                tuple(f"class {i}" for i in range(N_CLASSES)) if trial.task == "emotion" else ()
            )
            trained = load_trained(trial, None, catalogue=catalogue, labels=labels)
            write_export(trained, form, precision, made[key], lambda line: None)
    return tuple(str(made[p.task, p.backbone, p.audio_seconds, p.reduction]) for p in points)


def save(
    db: str | None,
    samples: Sequence[Sequence[Sampled]],
    latencies: Sequence[Latency],
    threads: int,
) -> None:
    """Store latencies in an engine that are of no run."""
    from planner.store.engine import opened
    from planner.store.engine_results import save_engine_results

    rows = [
        EngineLatency(
            engine=latency.attention,
            engine_version=taken[0].engine_version,
            n_threads=threads,
            latency=latency,
        )
        for taken, latency in zip(samples, latencies, strict=True)
    ]
    with opened(db) as engine:
        save_engine_results(engine, None, (), rows)
