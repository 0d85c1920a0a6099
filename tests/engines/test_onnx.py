"""Exports to ONNX write what torch writes, on every kind of reduction, and in int8 nearly so."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from planner.errors import InputError
from runner.engines.formats import format_of
from runner.engines.runtime import open_folder
from runner.engines.writing.export import write_export
from runner.engines.writing.quantise import columns_to_int8
from tests.engines.conftest import REDUCTIONS, WINDOWS, micro, written_by_engine, written_by_torch
from tests.models.micro import speechlike

NOWHERE = ("torch", "transformers", "ray", "peft")


EACH = (*REDUCTIONS, "layer1:3:mean-pool", "output:3:merge")


@pytest.mark.parametrize("reduction", EACH)
def test_float32_writes_the_tokens_of_torch(exported, reduction):
    together, alone = written_by_engine(exported("onnx", "float32", reduction))
    assert together == alone == written_by_torch(micro(reduction))


@pytest.mark.parametrize("reduction", ["none", "stem:2"])
def test_int8_scores_tokens_nearly_as_float32_does(exported, reduction):
    plain, small = (
        open_folder(exported("onnx", precision, reduction)).engine.run(WINDOWS, confidences=True)
        for precision in ("float32", "int8")
    )
    for one, other in zip(plain, small, strict=True):
        nats = [math.log(out.confidence) for out in (one, other)]
        assert nats[1] == pytest.approx(nats[0], rel=0.02)


def test_int8_holds_every_constant_matrix_in_a_byte(exported):
    import onnx

    for name in ("encoder.onnx", "decoder_step.onnx"):
        graph = onnx.load(exported("onnx", "int8") / name).graph
        floats = [i for i in graph.initializer if len(i.dims) == 2 and i.data_type == 1]
        wide = [i for i in floats if not i.name.endswith("_scale")]
        assert all("position" in one.name for one in wide), [one.name for one in wide]


def test_a_column_is_rounded_by_at_most_half_a_step():
    weight = np.random.default_rng(0).standard_normal((32, 8)).astype(np.float32)
    weight[:, 3] = 0.0
    values, scale = columns_to_int8(weight)
    assert (np.abs(values * scale - weight) <= 0.5001 * scale).all()
    assert (values[:, 3] == 0).all()


def test_long_audio_is_cut_into_windows_that_follow_each_other(exported):
    model = open_folder(exported("onnx"))
    found = model.transcribe(speechlike(5.3))
    starts = [one.start_seconds for one in found.windows]
    assert [one.end_seconds for one in found.windows] == [*starts[1:], found.audio_seconds]
    assert found.text == " ".join(one.text for one in found.windows if one.text)


@pytest.mark.parametrize("cut", ["consecutive", "energy"])
def test_running_a_folder_imports_no_torch(exported, tmp_path, cut):
    folder, path = exported("onnx"), tmp_path / "talk.flac"
    soundfile.write(path, np.stack([speechlike(3.0), speechlike(3.0, 1)], axis=1), 44_100)
    script = f"""
import sys
from runner import load
load({str(folder)!r}).transcribe({str(path)!r}, cut={cut!r})
print([name for name in {NOWHERE!r} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not an empty folder; name a new one"):
        write_export(micro(), format_of("onnx"), "float32", tmp_path, lambda line: None)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from runner.engines.writing import onnx

    def broken(*args):
        raise RuntimeError("power cut")

    monkeypatch.setattr(onnx, "save", broken)
    with pytest.raises(RuntimeError):
        write_export(micro(), format_of("onnx"), "float32", tmp_path / "model", lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_says_what_it_holds(exported):
    folder = exported("onnx", "int8", "stem:2")
    about = json.loads((folder / "soundscale.json").read_text())
    assert (about["reduction"], about["precision"], about["audio_seconds"]) == (
        "stem:2",
        "int8",
        2.0,
    )
    assert "soundscale transcribe FILE.wav --model FOLDER" in (folder / "README.md").read_text()
