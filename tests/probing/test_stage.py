"""A stage of latency on a real micro sweep: alone, in turns, resumed, stored."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from planner.errors import InputError
from planner.store import host_leases, latency_stages
from planner.store.engine import open_store
from planner.store.engine_results import engine_latencies, save_export
from planner.store.read import latencies, runs, sweep_id_of
from planner.words.engine_records import Export
from runner.campaign import display
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.probing import holding
from runner.probing.finished import finished_runs, of_runs
from runner.probing.groups import split
from runner.probing.holding import HostBusyError, HostHold
from runner.probing.stage import FEWEST_ROUNDS, StageRequest, measure
from runner.sweep import prepare
from runner.sweep.report import report, stage_line
from tests.campaign.made import write_sweep, write_tones
from tests.probing.made import Fake

HOST = "here"


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> str:
    """A database with a finished micro sweep: two lengths, two seeds of each."""
    folder = tmp_path_factory.mktemp("swept")
    changes = (
        ('reduction = ["none", "stem:2"]', 'reduction = "none"'),
        ('task = "asr"', 'task = "asr"\nseeds = [0, 1]'),
        ("steps = 2", "steps = 1"),
    )
    spec = write_sweep(folder, write_tones(folder), *changes)
    db = f"sqlite:///{folder}/runs.db"
    prepared = prepare.prepare(spec, db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(folder / "artifacts"), poll_seconds=0.05)
    run_campaign(prepared.spec, prepared.trials, setting, InlineExecutor, display.Quiet())
    return db


@pytest.fixture
def store(swept: str, tmp_path: Path):
    """A copy of it."""
    target = tmp_path / "runs.db"
    source = sqlite3.connect(swept.removeprefix("sqlite:///"))
    with sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    engine = open_store(f"sqlite:///{target}")
    yield engine
    engine.dispose()


def asked(**changes) -> StageRequest:
    values = {
        "sweep": "micro",
        "host": HOST,
        "only_here": False,
        "seconds": 0.0,
        "wait_seconds": 5.0,
    }
    return StageRequest(**(values | changes))


@pytest.fixture
def fake(monkeypatch):
    Fake.turns, Fake.ends_after = 0, None
    monkeypatch.setattr("runner.probing.stage.StageProcess", Fake)
    return Fake


def the_stages(store: Engine):
    return latency_stages.stages(store, sweep_id_of(store, "micro"))


def test_runs_of_one_configuration_are_timed_once_and_each_gets_its_latency(store, fake):
    contestants = of_runs(store, "micro", finished_runs(store, "micro"))
    assert [len(c.also) for c in contestants] == [1, 1]
    measure(store, asked(), lambda line: None)
    assert fake.turns == 2 * FEWEST_ROUNDS
    for run in runs(store, status="finished"):
        stored = latencies(store, run_id=run.run_id)[-1].latency
        assert (stored.quiet, stored.method) == (True, "requests/3 in turns")
        assert stored.noise_floor is not None
        assert run.latency_p50_ms == stored.p50_ms


def test_a_stage_measures_nothing_twice_unless_it_is_asked_to(store, fake):
    measure(store, asked(), lambda line: None)
    assert measure(store, asked(), lambda line: None).stage is None
    assert measure(store, asked(again=True), lambda line: None).stage is not None
    assert len(the_stages(store)) == 2


def test_a_stage_that_was_stopped_goes_on_where_it_was(store, fake):
    fake.ends_after = 3
    with pytest.raises(KeyboardInterrupt):
        measure(store, asked(), lambda line: None)
    assert not host_leases.held(store, HOST)
    (cut,) = the_stages(store)
    assert (cut.state, len(latency_stages.turns(store, cut.latency_stage_id))) == ("open", 3)
    fake.ends_after = None
    measure(store, asked(), lambda line: None)
    (ended,) = the_stages(store)
    assert (ended.latency_stage_id, ended.state) == (cut.latency_stage_id, "finished")
    assert fake.turns == 2 * FEWEST_ROUNDS


def test_rounds_are_as_many_as_fit_and_never_fewer_than_the_least(store, fake):
    measure(store, asked(seconds=3600.0), lambda line: None)
    (whole,) = the_stages(store)
    assert (whole.n_rounds, whole.n_rounds_whole) == (8, 8)
    measure(store, asked(again=True, seconds=0.0), lambda line: None)
    least = the_stages(store)[-1]
    assert (least.n_rounds, least.details["left_out"]) == (4, ["4 of 8 rounds"])


def test_what_was_timed_beside_a_trial_is_timed_again(store, fake, monkeypatch):
    beside = iter([0, 0, 1, 0])
    monkeypatch.setattr(host_leases, "n_running", lambda *_: next(beside, 0))
    monkeypatch.setattr(holding, "LOOK_SECONDS", 0.01)
    measure(store, asked(), lambda line: None)
    assert fake.turns > 2 * FEWEST_ROUNDS
    (stage,) = the_stages(store)
    assert len(latency_stages.turns(store, stage.latency_stage_id)) == 2 * FEWEST_ROUNDS


def test_a_host_where_trials_go_on_is_left_alone_and_free_again(store, fake, monkeypatch):
    monkeypatch.setattr(host_leases, "n_running", lambda *_: 1)
    monkeypatch.setattr(holding, "LOOK_SECONDS", 0.01)
    with pytest.raises(HostBusyError, match="trials still run on here"):
        measure(store, asked(wait_seconds=0.05), lambda line: None)
    assert (fake.turns, host_leases.held(store, HOST)) == (0, False)


def test_a_stage_waits_for_another_that_measures_there(store, fake, monkeypatch):
    monkeypatch.setattr(holding, "LOOK_SECONDS", 0.01)
    host_leases.take(store, HOST, "another", 600.0)
    said: list[str] = []
    waiting = threading.Thread(target=measure, args=(store, asked(), said.append))
    waiting.start()
    while not said:
        pass
    assert "another process measures latency on here" in said[0]
    host_leases.give_up(store, HOST, "another")
    waiting.join()
    assert fake.turns == 2 * FEWEST_ROUNDS


def test_a_holder_that_lost_its_lease_stops(store):
    with HostHold(store, HOST, lambda line: None, lease_seconds=0.6) as hold:
        with store.begin() as connection:
            connection.execute(text("UPDATE host_leases SET token = 'another'"))
        assert hold.lost.wait(20)
        with pytest.raises(HostBusyError, match="the lease of here was lost"):
            hold.alone()


def test_the_report_shows_what_a_stage_took_and_how_noisy_it_was(store, fake):
    measure(store, asked(), lambda line: None)
    (stage,) = report(store, "micro")["latency_stages"]
    assert json.dumps(stage)
    line = stage_line(stage)
    for words in (
        "latency on here: 2 configurations in 4 rounds",
        "A against A",
        "left out: 4 of 8",
    ):
        assert words in line


def test_models_that_do_not_fit_together_are_loaded_one_group_after_the_other(store):
    many = of_runs(store, "micro", finished_runs(store, "micro"))
    assert [len(g) for g in split(many, 10.0, lambda c: (c.key, 6.0))] == [1, 1]
    assert [len(g) for g in split(many, 10.0, lambda c: ("shared", 6.0))] == [2]
    assert [len(g) for g in split(many, 1.0, lambda c: ("heavy", 6.0))] == [1, 1]


def test_a_real_process_times_every_contestant_in_turns(store):
    measure(store, asked(), lambda line: None)
    (stage,) = the_stages(store)
    turns = latency_stages.turns(store, stage.latency_stage_id)
    assert {t.round for t in turns} == set(range(FEWEST_ROUNDS))
    for run in runs(store, status="finished"):
        newest = latencies(store, run_id=run.run_id)[-1].latency
        assert newest.method.endswith("in turns")
        assert 0 < newest.request_p50_ms <= newest.request_p95_ms
        assert newest.processor_ms > 0
        assert newest.contention > 0.5
        assert set(newest.stages_ms) == {"features", "encoder", "decode"}


def test_exported_models_join_in_the_same_turns(store, fake, tmp_path):
    for name in ("old", "new", "gone"):
        (tmp_path / name).mkdir()
    for run_id, name, engine, precision in (
        (1, "old", "onnxruntime", "int8"), (1, "new", "onnxruntime", "int8"),
        (2, "new2", "onnxruntime", "float32"),
    ):  # fmt: skip
        export = Export(
            run_id=run_id, format="onnx", engine=engine, precision=precision, size_bytes=1,
            folder=str(tmp_path / name), sha256="",
        )  # fmt: skip
        save_export(store, export)
    measure(store, asked(engines=("any",)), lambda line: None)
    (stage,) = the_stages(store)
    assert "1/onnxruntime/int8" in stage.details["measured"]
    assert fake.turns == 3 * FEWEST_ROUNDS
    (stored,) = engine_latencies(store)
    assert (stored.run_id, stored.measured.engine, stored.measured.latency.dtype) == (
        1, "onnxruntime", "int8",
    )  # fmt: skip
    assert (stored.measured.latency.quiet, stored.measured.latency.n_requests) == (True, 4)
    with pytest.raises(InputError, match="no run has an export for engine openvino"):
        measure(store, asked(engines=("openvino",)), lambda line: None)


def test_a_sweep_whose_audio_is_gone_says_so_and_stores_no_latency(store, fake, monkeypatch):
    gone = {"contestant": "1/torch/float32", "problem": "audio 3.wav is missing"}
    rest = {"contestant": "2/torch/float32", "problem": "audio 3.wav is missing"}
    monkeypatch.setattr(fake, "loaded", lambda self: [gone, rest])
    with pytest.raises(InputError, match=r"no configuration of sweep 'micro' .*3\.wav is missing"):
        measure(store, asked(), lambda line: None)
    assert [s.state for s in the_stages(store)] == ["open"]
    assert not host_leases.held(store, HOST)


def test_what_cannot_be_timed_is_left_out_by_name(store, fake, monkeypatch):
    whole = fake.loaded

    def one_is_broken(self):
        first, *others = whole(self)
        return [{"contestant": first["contestant"], "problem": "no such engine"}, *others]

    monkeypatch.setattr(fake, "loaded", one_is_broken)
    outcome = measure(store, asked(seconds=3600.0), lambda line: None)
    assert list(outcome.problems.values()) == ["no such engine"]
    assert outcome.stage.details["left_out"][0].endswith("no such engine")
    assert fake.turns == 8


def test_a_drained_host_is_not_measured_on(store, fake):
    host_leases.drain(store, HOST)
    with pytest.raises(HostBusyError, match="here is drained"):
        measure(store, asked(), lambda line: None)
    assert (fake.turns, host_leases.held(store, HOST)) == (0, True)
