"""The quickstart's database with exports of some runs, written by the store's own writers."""

from dataclasses import replace

from planner.store import read
from planner.store.engine import opened
from planner.store.engine_results import save_engine_results
from planner.words.engine_records import EngineEvaluation, EngineLatency

QUICKER = {("onnxruntime", "float32"): 0.55, ("ctranslate2", "int8"): 0.3}
"""Engine and precision -> latency of a window as a share of torch's."""
EXPORTED = 3
"""Runs that are exported."""


def export_some(db, n_exported=EXPORTED, wrong=("ctranslate2", "int8")):
    """Scores and latencies of the first runs in two engines; one of them makes one error more an export."""
    with opened(db) as engine:
        for stored in [s for s in read.latencies(engine) if s.run_id is not None][:n_exported]:
            row = read.run(engine, stored.run_id)
            own = read.evaluations(engine, stored.run_id)
            (scored,) = [e for e in own if e.split == row.split and e.metric == row.metric]
            for key, share in QUICKER.items():
                save_engine_results(
                    engine, stored.run_id,
                    [_scored(engine, stored, scored, key, more=int(key == wrong))],
                    [_timed(stored.latency, key, share)],
                )  # fmt: skip


def _scored(engine, stored, scored, key, more):
    first, *rest = read.utterances(engine, stored.run_id)
    heard = (replace(first, n_errors=first.n_errors + more), *rest)
    words = sum(u.n_units for u in heard)
    error = sum(u.n_errors for u in heard) / words
    return EngineEvaluation(
        engine=key[0], engine_version="1.0", precision=key[1], device=stored.latency.device, n_threads=1,
        evaluation=replace(scored, error=error, utterances=heard), size_bytes=int(4e7),
        peak_memory_bytes=int(5e8), error_difference=more / words,
    )  # fmt: skip


def _timed(latency, key, share):
    times = {n: share * getattr(latency, n) for n in ("p50_ms", "p90_ms", "p95_ms", "p99_ms")}
    stages = {name: share * ms for name, ms in (latency.stages_ms or {}).items()} or None
    quick = replace(latency, dtype=key[1], attention=key[0], stages_ms=stages, **times)
    return EngineLatency(engine=key[0], engine_version="1.0", n_threads=1, latency=quick)
