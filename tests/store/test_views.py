"""What the views of the axes and of answers against outcomes say, on both databases."""

import json

from planner.service import asking, fitting, verification
from planner.store import write
from planner.store.claims import finish
from planner.store.engine import open_store
from planner.store.write import register_sweep
from planner.words.question import PlanQuery
from planner.words.records import Reduction, Resources
from tests.http import worlds
from tests.store.samples import LEASE, WORKER, claim_any, finished, latency, rows_of, trial

SETTINGS = [(4.0, "none", 0.3), (8.0, "none", 0.2), (8.0, "stem:2", 0.25), (8.0, "stem:4", 0.5)]
ANSWER = {
    "best": {
        "label": "the one", "costs": {"latency_ms": {"value": 90.0, "per": "utterance"}, "n_windows": 2},
        "config": {"backbone": "whisper-tiny", "audio_seconds": 8.0, "reduction": "stem:2",
                   "adaptation": str(trial().adaptation), "padding": trial().padding},
        "prediction": {"error": 0.24, "low": 0.2, "high": 0.3, "level": 0.9},
    },
    "study": {"dataset_digest": "d1", "metric": "wer"},
    "query": {"device": "cpu-2", "quantile": "p95"},
}  # fmt: skip


def run(store, seed, seconds, reduction, error):
    config = {"audio_seconds": seconds, "reduction": Reduction.parse(reduction)}
    one = [(trial(seed=seed, **config), Resources())]
    sweep = register_sweep(store, f"s{seed}-{seconds}-{reduction}", "{}", one).sweep_id
    claim = claim_any(store, sweep, WORKER, LEASE)
    assert finish(store, claim, finished(error=error, latencies=(latency(**config),)))
    return claim.run_id


def test_a_line_of_an_axis_joins_runs_that_differ_in_it_alone(store):
    for seconds, reduction, error in SETTINGS:
        run(store, 0, seconds, reduction, error)
    asked = "SELECT value, error, error_at_largest, n_on_line FROM v_axes WHERE axis = '{}' ORDER BY error"
    assert rows_of(store, asked.format("tokens_per_second")) == [
        (50.0, 0.2, 0.2, 3), (25.0, 0.25, 0.2, 3), (50.0, 0.3, 0.3, 1), (12.5, 0.5, 0.2, 3),
    ]  # fmt: skip
    lengths = rows_of(store, asked.format("audio_seconds"))
    assert [row for row in lengths if row[3] == 2] == [(8.0, 0.2, 0.2, 2), (4.0, 0.3, 0.2, 2)]


def stored_answer(store, known):
    write.save_fit(
        store,
        write.FitRow(
            fit_id="f1", task="asr", metric="wer", law="additive", status="converged", n_runs=1,
            objective=0.5, selection_json="{}", fit_json="{}", version="0", runs=((known, True, None),),
        ),
    )  # fmt: skip
    plan = write.PlanRow(
        answer_id="a1", fit_id="f1", task="asr", query_json="{}",
        answer_json=json.dumps(ANSWER), version="0",
    )  # fmt: skip
    write.save_plan(store, plan)


OUTCOME = (
    "SELECT run_id, predicted_error, actual_error, inside, predicted_window_ms, actual_window_ms"
    " FROM v_planned_vs_actual"
)


def test_an_answer_waits_for_a_run_that_it_did_not_know(store):
    stored_answer(store, run(store, 0, 8.0, "stem:2", 0.25))
    assert rows_of(store, OUTCOME) == [(None, 0.24, None, None, 45.0, None)]
    later = run(store, 1, 8.0, "stem:2", 0.35)
    run(store, 2, 8.0, "stem:4", 0.1)
    assert rows_of(store, OUTCOME) == [(later, 0.24, 0.35, 0, 45.0, 55.0)]


def test_the_view_books_the_runs_that_verify_books(tmp_path):
    db = worlds.structured(tmp_path)
    query = PlanQuery(task="asr", flops=20e9, source="imported", measured_only=True)
    answer = asking.plan(db, query)
    again = [row | {"seed": 7, "error": row["error"] * 1.01} for row in worlds.rows()]
    fitting.import_results(db, str(worlds.write_table(tmp_path / "bench.csv", again)))
    booked = verification.verify(db, answer.json["answer_id"])["outcomes"]
    engine = open_store(db)
    found = rows_of(engine, "SELECT run_id, actual_error FROM v_planned_vs_actual")
    engine.dispose()
    assert found == [(o["run_id"], o["actual"]) for o in booked]
    assert len(found) == 1
