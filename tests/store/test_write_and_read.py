"""What is written is read back the same, on both databases."""

import dataclasses
import json
import math

import pytest

from planner.errors import InputError, StoreError, UnknownNameError
from planner.store import read, write
from planner.store.claims import cancel, fail, finish
from planner.store.write import FitRow, ImportedRun, PlanRow, import_runs, register_sweep
from planner.words.records import Evaluation, Resources, RunRecord
from tests.store.samples import (
    CPU,
    LEASE,
    WORKER,
    claim_any,
    count,
    failed,
    finished,
    latency,
    rows_of,
    sweep_of,
    trial,
)


def stored_run(store, **changes):
    claim = claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    assert finish(store, claim, finished(**changes))
    return claim.run_id


def published(seed=0, error=0.1, **changes):
    evaluation = Evaluation(split="test", metric="wer", error=error)
    record = RunRecord(status="finished", evaluations=(evaluation,), data_source="a paper")
    row = ImportedRun(trial=trial(seed=seed), record=record, source="table 2", source_kind="read")
    return dataclasses.replace(row, **changes)


def fit_row(**changes):
    values = {
        "fit_id": "f1", "task": "asr", "metric": "wer", "law": "additive", "status": "converged",
        "n_runs": 1, "objective": -1.5, "selection_json": "{}", "fit_json": '{"a":0.1}',
        "version": "0.1.0",
    }  # fmt: skip
    return FitRow(**values | changes)


def plan_row(**changes):
    values = {"answer_id": "a1", "fit_id": None, "task": "asr", "query_json": "{}"}
    return PlanRow(**values | {"answer_json": "{}", "version": "0.1.0"} | changes)


def test_a_run_reads_back_with_its_trial_error_and_latency(store):
    row = read.run(store, stored_run(store))
    assert (row.trial, row.state, row.status) == (trial(), "finished", "finished")
    assert (row.metric, row.split, row.error, row.std_error) == ("wer", "test", 0.25, 0.01)
    assert (row.n_units, row.n_errors, row.n_utterances, row.n_broken) == (6, 3, 3, 0)
    assert (row.latency_device, row.latency_p50_ms, row.latency_p95_ms) == ("cpu-2", 40.0, 55.0)
    assert (row.n_params, row.tokens_per_second) == (37_760_640, 25.0)
    assert (row.n_trainable, row.peak_memory_bytes) == (3_000_000_000, 9_000_000_000)
    assert (row.host, row.worker_version, row.code_revision) == ("node-a", "0.1.0", "abc")
    assert row.mean_windows == 1.5


def test_evaluations_utterances_and_steps_read_back(store):
    run_id, record = stored_run(store), finished()
    (evaluation,) = record.evaluations
    assert read.utterances(store, run_id) == list(evaluation.utterances)
    assert read.utterance_sizes(store, run_id) == [(4.0, 3), (5.0, 3), (6.0, 3)]
    assert read.evaluations(store, run_id) == [dataclasses.replace(evaluation, utterances=())]
    steps = read.steps(store, run_id)
    assert steps[0] == record.steps[0]
    assert math.isnan(steps[1].loss)
    assert math.isnan(steps[1].grad_norm)


def test_the_error_of_a_run_is_its_tasks_metric_on_test(store):
    main = finished().evaluations[0]
    others = (
        dataclasses.replace(main, metric="cer", error=0.1, utterances=()),
        dataclasses.replace(main, split="validation", error=0.2),
    )
    row = read.run(store, stored_run(store, evaluations=(*others, main)))
    assert (row.metric, row.split, row.error) == ("wer", "test", 0.25)
    assert len(read.utterances(store, row.run_id)) == 3
    assert len(read.utterances(store, row.run_id, split="validation")) == 3


def test_the_latency_of_a_run_is_of_its_own_configuration_alone(store):
    other = latency(audio_seconds=30.0, p50_ms=99.0)
    batched = latency(batch_size=8, p50_ms=7.0)
    row = read.run(store, stored_run(store, latencies=(other, batched, latency())))
    assert row.latency_p50_ms == 40.0
    assert len(read.latencies(store)) == 3


def test_latencies_read_back_by_device(store):
    write.save_latencies(store, [latency(), latency(device=dataclasses.replace(CPU, name="gpu"))])
    (found,) = read.latencies(store, device="cpu-2")
    assert (found.latency, found.run_id) == (latency(), None)
    assert read.devices(store) == [CPU, dataclasses.replace(CPU, name="gpu")]
    assert read.latencies(store, device="none such") == []


def test_a_device_is_stored_once(store):
    assert write.save_device(store, CPU) == write.save_device(store, CPU)
    assert count(store, "devices") == 1


def test_a_run_that_is_not_there_is_an_error(store):
    with pytest.raises(InputError, match="there is no run 7"):
        read.run(store, 7)


@pytest.mark.parametrize(
    ("wanted", "seeds"),
    [
        ({}, [0, 1, 2, 50, 60]),
        ({"status": "finished"}, [0, 50, 60]),
        ({"status": "failed"}, [1]),
        ({"sweep": "sweep"}, [0, 1, 2]),
        ({"provenance": "published"}, [50, 60]),
        ({"task": "emotion"}, []),
        ({"limit": 2}, [0, 1]),
        ({"sweep": "no such"}, []),
    ],
    ids=str,
)
def test_runs_are_chosen_by_what_is_asked(three, wanted, seeds):
    store, sweep = three
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    fail(store, claim_any(store, sweep, WORKER, LEASE), failed(), retry=False)
    claim_any(store, sweep, WORKER, LEASE)
    import_runs(store, [published(seed=50), published(seed=60)], "published")
    assert [row.trial.seed for row in read.runs(store, **wanted)] == seeds


def test_pages_by_key_hold_every_run_once(store):
    import_runs(store, [published(seed=i) for i in range(25)], "published")
    pages, after = [], None
    while page := read.runs(store, limit=10, after=after):
        pages.append(len(page))
        after = page[-1].run_id
    assert pages == [10, 10, 5]
    assert after == read.runs(store)[-1].run_id


def test_a_sweep_registered_again_finds_its_trials(three):
    store, sweep = three
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    again = register_sweep(store, "sweep", "{}", [(trial(seed=i), Resources()) for i in range(4)])
    assert (again.sweep_id, again.n_trials, again.n_new, again.n_finished) == (sweep, 4, 1, 1)


def test_a_changed_sweep_consists_of_what_it_says_now(three):
    store, _ = three
    register_sweep(
        store, "sweep", '{"v": 2}', [(trial(seed=2), Resources()), (trial(), Resources())]
    )
    status = read.sweep_status(store, "sweep")
    assert [row.trial.seed for row in status.rows] == [2, 0]
    assert status.spec_json == '{"v": 2}'
    assert count(store, "trials") == 3


def test_a_trial_given_twice_counts_once(store):
    counted = register_sweep(store, "s", "{}", [(trial(), Resources()), (trial(), Resources())])
    assert (counted.n_trials, counted.n_new) == (1, 1)


def test_an_unknown_backbone_leaves_nothing_behind(store):
    broken = (trial(backbone="whisper-tinny"), Resources())
    with pytest.raises(UnknownNameError, match="did you mean whisper-tiny"):
        register_sweep(store, "s", "{}", [(trial(), Resources()), broken])
    assert [count(store, t) for t in ("sweeps", "trials", "sweep_trials")] == [0, 0, 0]


def test_new_resources_hold_for_trials_that_wait(three):
    store, sweep = three
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    asked = Resources(gpus=1.0, max_attempts=7)
    register_sweep(store, "sweep", "{}", [(trial(seed=i), asked) for i in range(3)])
    rows = read.sweep_status(store, "sweep").rows
    assert [row.resources.gpus for row in rows] == [0.0, 1.0, 1.0]
    assert [row.max_attempts for row in rows] == [3, 7, 7]


def test_the_status_of_a_sweep_shows_every_trial_with_its_latest_attempt(three):
    store, sweep = three
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    fail(store, claim_any(store, sweep, WORKER, LEASE), failed(), retry=True)
    status = read.sweep_status(store, "sweep")
    assert [row.state for row in status.rows] == ["finished", "queued", "queued"]
    assert [row.error for row in status.rows] == [0.25, None, None]
    assert [row.failure_class for row in status.rows] == [None, "out-of-memory", None]
    assert [row.run_id for row in status.rows] == [1, 2, None]
    assert status.rows[0].elapsed_seconds >= 0.0
    assert status.now_utc >= status.created_utc


def test_sweeps_are_listed_with_their_counts(three):
    store, sweep = three
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    claim_any(store, sweep, WORKER, LEASE)
    register_sweep(store, "empty", "{}", [])
    first, second = read.sweeps(store)
    assert (first.name, first.n_trials, first.n_finished, first.n_running) == ("sweep", 3, 1, 1)
    assert (second.name, second.n_trials, second.n_queued) == ("empty", 0, 0)
    assert read.sweep_id_of(store, "empty") == second.sweep_id


@pytest.mark.parametrize("ask", [read.sweep_status, read.sweep_id_of])
def test_an_unknown_sweep_is_an_error_with_the_nearest_name(three, ask):
    with pytest.raises(UnknownNameError, match="did you mean sweep"):
        ask(three[0], "swep")


def test_published_results_become_runs_with_their_source(store):
    counted = import_runs(store, [published()], "published")
    assert (counted.n_new, counted.n_known) == (1, 0)
    (row,) = read.runs(store, provenance="published")
    assert (row.source, row.source_kind, row.data_source) == ("table 2", "read", "a paper")
    assert (row.error, row.status, row.state) == (0.1, "finished", "finished")


def test_importing_again_adds_nothing(store):
    import_runs(store, [published()], "published")
    counted = import_runs(store, [published(), published(seed=1)], "published")
    assert (counted.n_new, counted.n_known) == (1, 1)
    assert count(store, "runs") == 2


def test_another_result_for_a_stored_trial_is_refused(store):
    import_runs(store, [published(error=0.1)], "published")
    with pytest.raises(InputError, match=r"stored as 0\.1 already and the import says 0\.2"):
        import_runs(store, [published(seed=1), published(error=0.2)], "imported")
    assert count(store, "runs") == 1


def test_an_imported_result_may_report_another_metric(store):
    record = RunRecord(
        status="finished",
        evaluations=(Evaluation(split="test", metric="macro_f1_error", error=0.3),),
    )
    import_runs(store, [published(record=record)], "imported")
    assert (read.run(store, 1).metric, read.run(store, 1).error) == ("macro_f1_error", 0.3)


def test_an_imported_result_of_an_unknown_backbone_brings_its_size(store):
    row = published(trial=trial(backbone="somebody-elses"))
    with pytest.raises(UnknownNameError):
        import_runs(store, [row], "imported")
    sized = dataclasses.replace(row.record, n_params=123)
    import_runs(store, [dataclasses.replace(row, record=sized)], "imported")
    assert read.run(store, 1).n_params == 123


def test_a_trial_with_an_imported_result_is_not_trained(store):
    import_runs(store, [published()], "imported")
    counted = register_sweep(store, "s", "{}", [(trial(), Resources())])
    assert counted.n_finished == 1
    assert claim_any(store, counted.sweep_id, WORKER, LEASE) is None


def test_a_trial_in_training_takes_no_imported_result(store):
    claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    with pytest.raises(StoreError, match="being trained now"):
        import_runs(store, [published()], "imported")


def test_an_import_of_a_cancelled_trial_finishes_it(store):
    cancel(store, sweep_of(store, 1))
    assert import_runs(store, [published()], "imported").n_new == 1
    assert read.sweep_status(store, "sweep").rows[0].state == "finished"


def test_results_from_elsewhere_cannot_claim_to_be_measured(store):
    with pytest.raises(InputError, match="published or imported"):
        import_runs(store, [published()], "measured")


def test_a_fit_reads_back_to_the_bit_with_its_runs(store):
    run_id = stored_run(store)
    text = json.dumps({"alpha": 0.1 + 0.2, "tiny": 5e-324})
    row = fit_row(fit_json=text, runs=((run_id, False, "diverged"),))
    write.save_fit(store, row)
    write.save_fit(store, row)
    found = read.fit(store, "f1")
    assert dataclasses.replace(found, created_utc=None) == row
    assert [f.fit_id for f in read.fits(store, task="asr")] == ["f1"]
    assert read.fits(store, task="emotion") == []
    assert read.find_fit(store, "f2") is None


def test_an_id_of_a_fit_names_one_content(store):
    write.save_fit(store, fit_row())
    with pytest.raises(StoreError, match="fit f1 is stored with other content"):
        write.save_fit(store, fit_row(fit_json="{}"))
    with pytest.raises(InputError, match="objective of a fit must be finite"):
        write.save_fit(store, fit_row(fit_id="f2", objective=math.nan))


def test_an_answer_reads_back(store):
    write.save_fit(store, fit_row())
    row = plan_row(fit_id="f1", query_json='{"flops": 1e9}', answer_json='{"best": "ä"}')
    write.save_plan(store, row)
    write.save_plan(store, row)
    assert dataclasses.replace(read.plan(store, "a1"), created_utc=None) == row
    assert [p.answer_id for p in read.plans(store)] == ["a1"]
    with pytest.raises(StoreError, match="answer a1 is stored with other content"):
        write.save_plan(store, plan_row(fit_id="f1", answer_json="[]"))


@pytest.mark.parametrize(("ask", "kind"), [(read.fit, "fit"), (read.plan, "answer")])
def test_an_unknown_id_is_an_error(store, ask, kind):
    with pytest.raises(UnknownNameError, match=f"unknown {kind} 'zzz'"):
        ask(store, "zzz")


def test_times_are_the_databases_and_sort_as_text(store):
    run_id = stored_run(store)
    started, ended = rows_of(store, "SELECT started_utc, finished_utc FROM runs")[0]
    assert read.run(store, run_id).finished_utc == ended >= started
    assert len(started) == len("2026-11-24T09:39:54.120Z")
    assert started[10] + started[-1] == "TZ"


@pytest.mark.parametrize(
    ("asked", "seed"),
    [
        ({}, 2),
        ({"max_latency_ms": 45.0}, 1),
        ({"max_latency_ms": 5.0}, None),
        ({"device": "x"}, None),
    ],
    ids=str,
)
def test_the_best_run_is_the_lowest_error_that_meets_the_latency(three, asked, seed):
    store, sweep = three
    for error, p50 in [(0.3, 30.0), (0.2, 40.0), (0.1, 50.0)]:
        claim = claim_any(store, sweep, WORKER, LEASE)
        finish(store, claim, finished(error=error, latencies=(latency(p50_ms=p50),)))
    best = read.best_run(store, "asr", **asked)
    assert (None if best is None else best.trial.seed) == seed


def test_latencies_saved_again_after_a_lost_acknowledgement_are_stored_once(store, monkeypatch):
    real = write.write

    def twice(engine, work, **options):
        real(engine, work, **options)
        return real(engine, work, **options)

    monkeypatch.setattr(write, "write", twice)
    write.save_latencies(store, [latency(), latency()])
    assert count(store, "latencies") == 2
