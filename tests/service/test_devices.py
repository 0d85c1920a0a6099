"""Devices that were never measured, hardly measured, and measured: what predictions rest on."""

import math

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.latency.transfer import DataSheet, datasheet_model
from planner.costs.windows import windows_of
from planner.errors import InputError, UnknownNameError
from planner.service import asking, costs, devices, whatif
from planner.store.device_sheets import data_sheet
from planner.store.engine import open_store
from planner.store.write import save_latencies
from planner.words.catalogue import backbone
from planner.words.question import PlanQuery
from planner.words.records import Device, Latency, Reduction

SHEET = DataSheet(name="box", kind="cuda", peak_flops=1e14, bandwidth=1e12)
WINDOWS = [
    (name, seconds) for name in ("whisper-tiny", "whisper-base") for seconds in (5.0, 10.0, 30.0)
]
ADD = ["devices", "add", "box", "--peak-flops", "100T", "--bandwidth", "1TB"]


def measurement(name, seconds):
    """One that is 1.3 times what the data sheet says."""
    window = windows_of(backbone(name), seconds, n_output_tokens=20)
    p50 = 1.3 * datasheet_model(SHEET).predict_each([window])[0].p50_ms
    device = Device(name="box", kind="cuda", model="a box", n_threads=1)
    return Latency(
        device=device, backbone=name, audio_seconds=seconds, reduction=Reduction(), n_output_tokens=20,
        p50_ms=p50, p90_ms=1.05 * p50, p95_ms=1.08 * p50, p99_ms=1.1 * p50, n_samples=20, n_warmup=3,
    )  # fmt: skip


def run(*args):
    return CliRunner().invoke(cli, [str(a) for a in args])


@pytest.fixture
def db(tmp_path):
    found = str(tmp_path / "devices.db")
    assert run(*ADD, "--db", found).exit_code == 0
    return found


def latency_on(db, n_measured):
    engine = open_store(db)
    save_latencies(engine, [measurement(*w) for w in WINDOWS[:n_measured]])
    engine.dispose()
    return costs.cost_of(
        db=db, backbone="whisper-small", audio_seconds=20.0, reduction="none", adaptation="lora:8",
        output_tokens=20, no_cache=False, convention="exact", device="box",
    )["latency_ms"]  # fmt: skip


def width(latency):
    return math.log(latency["p50_high"] / latency["p50_low"])


def test_anchors_narrow_what_a_data_sheet_says(db):
    sheet, anchored, own = (latency_on(db, n) for n in (0, 3, 6))
    assert (sheet["source"], anchored["source"]) == ("datasheet", "transferred")
    assert own["source"] in ("interpolated", "transferred")
    assert width(anchored) < width(sheet) / 2
    assert anchored["p50"] / sheet["p50"] == pytest.approx(1.3, rel=0.1)


@pytest.mark.parametrize("name", sorted(DATA_SHEETS))
def test_every_built_in_data_sheet_predicts_with_a_wide_interval(name):
    model = devices.model_of(None, name, [])
    (one,) = model.predict_each([windows_of(backbone("whisper-small"), 30.0, n_output_tokens=50)])
    assert one.source == "datasheet"
    assert one.p50_high_ms > 3 * one.p50_ms > 0


def test_a_faster_device_is_faster():
    window = windows_of(backbone("whisper-large-v3"), 30.0, n_output_tokens=1)
    times = [
        devices.model_of(None, name, []).predict_each([window])[0].p50_ms
        for name in ("h200", "a100-sxm4-80gb", "t4")
    ]
    assert times == sorted(times)


def test_the_same_data_sheet_again_changes_nothing_and_another_is_refused(db):
    assert run(*ADD, "--db", db).exit_code == 0
    with pytest.raises(InputError, match="another data sheet"):
        devices.add_sheet(
            open_store(db), DataSheet(name="box", kind="cuda", peak_flops=1e14, bandwidth=2e12)
        )


def test_a_measured_device_can_be_given_its_data_sheet(db):
    engine = open_store(db)
    save_latencies(engine, [measurement(*WINDOWS[0])])
    other = DataSheet(name="box2", kind="cpu", peak_flops=1e11, bandwidth=1e10)
    devices.add_sheet(engine, other)
    assert data_sheet(engine, "box2") == other
    assert data_sheet(engine, "box").bandwidth == 1e12
    assert data_sheet(engine, "none") is None


def test_a_plan_may_be_asked_for_a_device_by_its_data_sheet(published):
    query = PlanQuery(task="asr", flops=520e9, latency_ms=5000.0, device="l4")
    answer = asking.plan(published, query)
    latency = answer.json["best"]["costs"]["latency_ms"]
    assert latency["source"] == "datasheet"
    assert 0 < latency["low"] < latency["value"] < latency["high"]


@pytest.mark.parametrize("seconds", [float("nan"), 0.0, -3.0, float("inf")])
def test_a_what_if_of_no_audio_is_refused_in_words(published, seconds):
    with pytest.raises(InputError, match="audio_seconds must be positive"):
        whatif.whatif(published, PlanQuery(task="asr"), "whisper-small", seconds, "none")


def test_a_device_that_nobody_knows_is_named_with_those_that_are(published):
    with pytest.raises(UnknownNameError, match=r"'h900'.*data sheets are known of a10,"):
        asking.plan(published, PlanQuery(task="asr", latency_ms=500.0, device="h900"))


def test_the_listing_says_what_predictions_rest_on(db):
    latency_on(db, 1)
    rows = run("devices", "list", "--db", db, "-f", "json").stdout
    assert '"known_by": "measurements and data sheet"' in rows
    assert "a100-sxm4-80gb" in run("devices", "list", "--sheets").stdout
