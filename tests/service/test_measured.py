"""Planning from a table of one's own with latencies: limits, intervals, suggestions, verification."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InfeasibleError, InputError, UnknownNameError
from planner.evidence.study import gather
from planner.plan.belief import belief, measurements
from planner.plan.candidates import axis_values
from planner.service import asking, fitting, lists, next_runs, target, verification, whatif
from planner.store import read
from planner.store.engine import opened
from planner.words.question import PlanQuery

HEADER = (
    "task,backbone,audio_seconds,reduction,adaptation,error,std_error,n_units,mean_output_tokens,"
    "latency_p50_ms,latency_p95_ms,device,train_seconds,seed"
)
SIZES = {"whisper-tiny": 37.8e6, "whisper-base": 72.6e6, "whisper-small": 241.7e6}


def law(n_params, seconds, rate):
    return (
        0.02
        + 0.05 * (n_params / 7e7) ** -0.5
        + 0.02 * (seconds / 10) ** -1
        + 0.01 * (rate / 25) ** -1
    )


def rows(noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    for name, n in SIZES.items():
        for seconds in (5, 10, 20):
            for factor in (1, 2, 4):
                error = law(n, seconds, 50 / factor) * np.exp(noise * rng.normal())
                ms = 20 + 2e-6 * n * (0.3 + seconds / factor / 20)
                cut = "none" if factor == 1 else f"stem:{factor}"
                yield (
                    f"asr,{name},{seconds},{cut},lora:8,{error:.6f},{error * noise:.6f},5000,30,"
                    f"{ms:.2f},{ms * 1.1:.2f},desk,{60 + ms:.1f},0"
                )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    table = folder / "results.csv"
    table.write_text("\n".join([HEADER, *rows()]))
    db = str(folder / "runs.db")
    fitting.import_results(db, str(table))
    return db


def ask(db, **question):
    return asking.plan(db, PlanQuery(task="asr", **question)).json


def test_an_answer_meets_both_limits_with_the_probability_asked_for(measured):
    best = ask(measured, flops=60e9, latency_ms=300.0)["best"]
    assert best["costs"]["flops"]["value"] <= 60e9
    assert best["costs"]["latency_ms"]["probability"] >= 0.9
    assert best["prediction"]["low"] < best["prediction"]["error"] < best["prediction"]["high"]


def test_the_only_device_is_taken_and_an_unknown_one_named(measured):
    assert ask(measured, latency_ms=500.0)["query"]["device"] == "desk"
    with pytest.raises(UnknownNameError, match="did you mean desk"):
        ask(measured, latency_ms=500.0, device="desc")


def test_an_imported_configuration_shows_its_latency_as_it_was_told(measured):
    answer = ask(measured, flops=60e9, measured_only=True)
    assert answer["best"]["costs"]["latency_ms"]["source"] == "imported"


def test_a_configuration_that_was_never_run_says_where_its_numbers_come_from(measured):
    found = whatif.whatif(measured, PlanQuery(task="asr"), "whisper-base", 15.0, "stem:2")
    assert found["prediction"]["kind"] == "predicted"
    assert found["costs"]["latency_ms"]["source"] in ("interpolated", "transferred")
    assert found["costs"]["latency_ms"]["low"] < found["costs"]["latency_ms"]["high"]


def test_outside_the_data_is_called_extrapolated(measured):
    found = whatif.whatif(measured, PlanQuery(task="asr"), "whisper-medium", 10.0, "none")
    assert found["prediction"]["kind"] == "extrapolated"
    assert found["prediction"]["distance"] > 1.0


def test_longer_utterances_take_more_windows_and_cost_more(measured):
    one = whatif.whatif(measured, PlanQuery(task="asr"), "whisper-base", 10.0, "none")
    asked = PlanQuery(task="asr", utterance_seconds=25.0)
    three = whatif.whatif(measured, asked, "whisper-base", 10.0, "none")
    assert (one["costs"]["n_windows"], three["costs"]["n_windows"]) == (1.0, 3.0)
    assert three["costs"]["flops"]["value"] > 2.5 * one["costs"]["flops"]["value"]


def test_the_least_flops_for_a_quality_reach_it(measured):
    found = target.plan_target(measured, PlanQuery(task="asr"), 0.08, "flops")
    assert found["best"]["p_error"] >= 0.9
    cheaper = [r["costs"]["flops"]["value"] for r in found["runners_up"]]
    assert all(found["best"]["costs"]["flops"]["value"] <= c for c in cheaper)


def test_a_quality_out_of_reach_says_what_could_be_had(measured):
    with pytest.raises(InfeasibleError, match="the nearest target is"):
        target.plan_target(measured, PlanQuery(task="asr"), 0.001, "flops")


def test_an_impossible_latency_names_the_relaxation(measured):
    with pytest.raises(InfeasibleError, match="latency") as caught:
        ask(measured, latency_ms=1.0)
    relaxed = caught.value.details["relaxations"][0]
    assert ask(measured, latency_ms=relaxed["value"])["best"]["config"] == relaxed["config"]


def test_suggested_runs_fit_the_hours_and_make_a_sweep_file_impossible_without_a_sweep(measured):
    found = next_runs.suggest_runs(measured, PlanQuery(task="asr", flops=60e9), 2.0, 1e-9)
    assert sum(s["hours"] for s in found["suggestions"]) <= 2.0
    with pytest.raises(InputError, match="no sweep"):
        next_runs.sweep_text(measured, found, "next")


def test_no_run_is_suggested_that_is_not_worth_it(measured):
    found = next_runs.suggest_runs(measured, PlanQuery(task="asr", flops=60e9), 2.0, 0.5)
    assert [s for s in found["suggestions"] if s["value"] is not None] == []
    assert "none is worth it" in found["verdict"]


def test_a_run_made_after_an_answer_is_booked_against_it(measured, tmp_path):
    import shutil

    db = str(tmp_path / "later.db")
    shutil.copy(measured, db)
    answer = ask(db, flops=60e9)
    config = answer["best"]["config"]
    # A table of the same folder: files of one name in two folders are two sources.
    table = Path(measured).with_name("results.csv")
    before = table.read_text()
    error = answer["best"]["prediction"]["error"]
    line = (
        f"asr,{config['backbone']},{config['audio_seconds']:g},{config['reduction']},lora:8,"
        f"{error:.6f},0.001,5000,30,100,110,desk,60,1"
    )
    table.write_text(f"{before}\n{line}\n")
    fitting.import_results(db, str(table))
    table.write_text(before)
    found = verification.verify(db, answer["answer_id"])
    assert [o["inside"] for o in found["outcomes"]] == [True]
    assert found["calibration"]["drift"] is False


def test_drift_is_alarmed_when_runs_leave_their_intervals_and_not_else():
    good = [{"run_id": i, "inside": True, "z": (-1) ** i * 0.5} for i in range(20)]
    bad = [{"run_id": i, "inside": False, "z": 4.0} for i in range(5)]
    assert verification.calibration(good)["drift"] is False
    assert verification.calibration(bad)["drift"] is True


def evidence_of(db):
    with opened(db) as engine:
        return gather(read.runs(engine, task="asr", status="finished"), "asr")


def test_a_sharp_measurement_outweighs_the_law_and_a_blunt_one_does_not(measured):
    evidence = evidence_of(measured)
    with opened(measured) as engine:
        fit = fitting.fit(engine, "asr").fit
    configs = [c for c in dict.fromkeys(map(_config, evidence.rows))]
    x = np.array([axis_values(c, evidence.axes, evidence.catalogue) for c in configs])
    labels = [c.label for c in configs]
    own = measurements(evidence, configs)
    law_says = fit.predict(x).mean
    far = dataclasses.replace(own, log_error=np.log(law_says * 1.2)[own.at])
    sharp = belief(fit, x, labels, dataclasses.replace(far, own=own.own * 1e-6), 50, 0)
    blunt = belief(fit, x, labels, dataclasses.replace(far, own=own.own + 1e6), 50, 0)
    np.testing.assert_allclose(blunt.error, law_says, rtol=1e-2)
    assert (sharp.error > blunt.error).all()
    assert (sharp.own_weight > blunt.own_weight).all()


def _config(row):
    from planner.plan.configurations import config_of

    return config_of(row.trial)


def test_runs_list_shows_error_flops_latency_and_parameters(measured):
    row = lists.runs(measured)[0]
    for key in ("error", "flops", "latency_p50_ms", "n_params"):
        assert row[key] > 0


def test_no_draw_is_worse_than_saying_nothing(tmp_path):
    table = tmp_path / "few.csv"
    lines = ["task,backbone,audio_seconds,reduction,error"]
    lines += [
        f"asr,whisper-tiny,{s},none,{e}" for s, e in ((5, 0.3), (10, 0.1), (20, 0.25), (30, 0.05))
    ]
    table.write_text("\n".join(lines))
    db = str(tmp_path / "few.db")
    fitting.import_results(db, str(table))
    answer = ask(db, flops=1e12)
    assert answer["best"]["prediction"]["high"] <= 1.0
    assert 0 <= answer["regret"]["expected"] <= 1.0


def test_a_run_says_what_its_p95_is_of_and_how_quiet_its_device_was(measured):
    (one,) = lists.run_detail(measured, 1)["latencies"]
    assert (one["p95_is_of"], one["load"]) == ("one repeated window", "not known")
    assert one["request_p95_ms"] is None
