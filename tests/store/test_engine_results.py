"""What exported models came to is kept beside the run's own results, which stay what they were."""

from dataclasses import replace

import pytest

from planner.store import read
from planner.store.claims import finish
from planner.store.engine_results import (
    engine_latencies,
    engine_results,
    exports,
    save_engine_results,
    save_export,
)
from planner.words.engine_records import EngineEvaluation, EngineLatency, Export
from tests.store.samples import LEASE, WORKER, claim_any, finished, rows_of, sweep_of


@pytest.fixture
def run_id(store):
    sweep = sweep_of(store, 1)
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    return 1


def scored(error=0.3, precision="int8"):
    own = finished()
    evaluation = replace(own.evaluations[0], error=error)
    return EngineEvaluation(
        engine="onnxruntime", engine_version="1.32.0", precision=precision,
        device=own.latencies[0].device, n_threads=1, evaluation=evaluation, n_equal_texts=2,
        error_difference=error - 0.25, error_difference_std_error=0.01, size_bytes=42,
    )  # fmt: skip


def measured(precision="int8"):
    latency = replace(finished().latencies[0], dtype=precision)
    return EngineLatency(
        engine="onnxruntime", engine_version="1.32.0", n_threads=1, latency=latency
    )


def test_a_run_in_an_engine_stands_beside_its_own_error(store, run_id):
    save_engine_results(store, run_id, [scored()], [measured()])
    (row,) = engine_results(store, run_id)
    assert (row.engine, row.precision, row.error, row.run_error) == (
        "onnxruntime",
        "int8",
        0.3,
        0.25,
    )
    assert (row.n_equal_texts, row.p50_ms, row.size_bytes) == (2, 40.0, 42)


def test_the_runs_own_results_stay_what_they_were(store, run_id):
    before, latencies = read.run(store, run_id), read.latencies(store)
    save_engine_results(store, run_id, [scored(0.01)], [measured()])
    assert read.run(store, run_id) == before
    assert read.latencies(store) == latencies
    assert rows_of(store, "SELECT count(*) FROM v_utterances") == [(3,)]


def test_measured_again_the_newer_row_takes_the_older_ones_place(store, run_id):
    for error in (0.4, 0.3):
        save_engine_results(store, run_id, [scored(error)])
    assert [row.error for row in engine_results(store, run_id)] == [0.3]
    assert rows_of(store, "SELECT count(*) FROM engine_utterances") == [(3,)]


def test_precisions_are_rows_of_their_own(store, run_id):
    save_engine_results(store, run_id, [scored(), scored(precision="float32")])
    assert [row.precision for row in engine_results(store)] == ["float32", "int8"]


def test_a_latency_needs_no_run(store):
    save_engine_results(store, None, latencies=[measured()])
    (found,) = engine_latencies(store)
    assert (found.run_id, found.measured.engine) == (None, "onnxruntime")
    assert found.measured.latency.dtype == "int8"


def test_a_folder_written_again_is_the_newer_exports(store, run_id):
    for size in (1, 2):
        save_export(
            store,
            Export(
                run_id=run_id, format="onnx", engine="onnxruntime", precision="int8",
                folder="/models/a", size_bytes=size, sha256="0",
            ),
        )  # fmt: skip
    assert [one.size_bytes for one in exports(store, run_id)] == [2]
