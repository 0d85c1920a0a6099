"""`probe --engine`: random models, exported and timed in another engine, stored without a run."""

import json
import sys

import pytest

from planner.cli import main
from planner.errors import InputError, UnknownNameError
from planner.store.engine import open_store
from planner.store.engine_results import engine_latencies
from planner.words.catalogue import BUILT_IN
from runner.probing.child import Point
from runner.probing.drive import ProbeRequest, candidates
from runner.probing.in_engine import export_points

POINT = Point(
    task="asr", backbone="whisper-micro", audio_seconds=2.0, reduction="none", n_output_tokens=6
)  # fmt: skip


def test_a_probe_of_an_engine_is_stored_under_its_name_and_precision(tmp_path, monkeypatch, capsys):
    db = f"sqlite:///{tmp_path}/probed.db"
    asked = ["probe", "--engine", "ctranslate2:int8", "--backbone", "whisper-micro"]
    asked += [
        "--audio-seconds",
        "2",
        "--processes",
        "1",
        "--samples",
        "6",
        "--db",
        db,
        "-f",
        "json",
    ]
    monkeypatch.setattr(sys, "argv", ["soundscale", *asked])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert not ended.value.code
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["attention"], row["dtype"]) == ("ctranslate2", "int8")
    store = open_store(db)
    (stored,) = engine_latencies(store)
    latency = stored.measured.latency
    assert (stored.run_id, stored.measured.engine, latency.dtype) == (None, "ctranslate2", "int8")
    assert stored.measured.engine_version
    assert set(latency.stages_ms) == {"features", "encoder", "decode"}
    assert latency.request_p50_ms is None
    store.dispose()


def test_what_an_engine_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    from dataclasses import replace

    with pytest.raises(UnknownNameError, match="unknown engine 'onnx'"):
        export_points("onnx", [POINT], BUILT_IN, tmp_path)
    with pytest.raises(InputError, match="no place for layer1:2 between its layers"):
        export_points("ctranslate2", [replace(POINT, reduction="layer1:2")], BUILT_IN, tmp_path)
    with pytest.raises(InputError, match="timed at batch size 1"):
        export_points("ctranslate2", [replace(POINT, batch_size=2)], BUILT_IN, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_points_that_a_probe_chooses_are_those_that_the_engine_holds():
    chosen = {
        engine: {p.reduction for p in candidates(ProbeRequest(engine=engine, points=24))}
        for engine in (None, "onnxruntime:int8", "ctranslate2:int8")
    }
    assert chosen[None] == chosen["onnxruntime:int8"] == chosen["ctranslate2:int8"] | {"layer2:2"}
    # What is asked for by name is refused with the reason, and not left out.
    named = ProbeRequest(engine="ctranslate2:int8", points=24, reductions=("layer2:2",))
    assert {p.reduction for p in candidates(named)} == {"layer2:2"}
