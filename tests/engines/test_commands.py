"""`export` and `transcribe` as people type them, on a sweep that was really trained."""

from __future__ import annotations

import json
import sys

import pytest

from planner.cli import main
from planner.store.engine import open_store
from planner.store.engine_results import engine_latencies, engine_results, exports
from tests.campaign.made import SPEC


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A database with three trained micro models of speech recognition, and recordings."""
    return train(tmp_path_factory.mktemp("trained"), "asr", "whisper-micro")


@pytest.fixture(scope="module")
def trained_emotion(tmp_path_factory):
    """The same of emotion, whose classes are how high a tone is."""
    return train(tmp_path_factory.mktemp("emotion"), "emotion", "wav2vec2-micro")


def train(folder, task, backbone):
    import numpy as np
    import soundfile

    rows = []
    for i in range(8):
        tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * i) * np.arange(24_000) / 16_000)
        soundfile.write(folder / f"{i}.wav", tone.astype(np.float32), 16_000)
        split = "test" if i % 4 == 3 else "train"
        row = {
            "path": f"{i}.wav",
            "text": "one",
            "label": ("low", "high")[i % 2],
            "speaker": f"s{i % 4}",
            "split": split,
        }
        rows.append(json.dumps(row))
    (folder / "tones.jsonl").write_text("\n".join(rows))
    text = SPEC.format(task=task, backbone=backbone, manifest=folder / "tones.jsonl")
    (folder / "micro.toml").write_text(text)
    arguments = ["sweep", "run", folder / "micro.toml", "--ray", "none", "--quiet"]
    places = ["--db", f"sqlite:///{folder}/runs.db", "--artifacts", folder / "artifacts"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["soundscale", *map(str, [*arguments, *places])])
        with pytest.raises(SystemExit) as ended:
            main.main()
    assert not ended.value.code
    return folder


@pytest.fixture
def soundscale(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOUNDSCALE_DB", f"sqlite:///{trained}/runs.db")
    monkeypatch.setenv("SOUNDSCALE_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["soundscale", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def test_an_export_is_scored_and_stored_beside_its_run(soundscale, trained, tmp_path):
    code, out, _ = soundscale("export", 1, tmp_path / "model", "--to", "ctranslate2", "-f", "json")
    found = json.loads(out)
    assert (code, found["engine"], found["precision"]) == (0, "ctranslate2", "float32")
    assert found["parity"]["error"] == found["run_error"]
    assert found["parity"]["n_equal_texts"] == found["parity"]["n_utterances"]
    assert found["parity"]["peak_memory_bytes"] > 0
    engine = open_store(f"sqlite:///{trained}/runs.db")
    (row,) = engine_results(engine, 1)
    assert (row.n_equal_texts, row.error_difference) == (row.n_utterances, 0.0)
    (latency,) = engine_latencies(engine)
    stages = latency.measured.latency.stages_ms
    assert sum(stages.values()) == pytest.approx(latency.measured.latency.p50_ms, rel=1e-6)
    assert [one.folder for one in exports(engine, 1)] == [str(tmp_path / "model")]
    engine.dispose()


def test_an_export_takes_turns_with_torch_in_a_stage(soundscale, trained, tmp_path):
    export = ("export", 1, tmp_path / "turns", "--to", "ctranslate2", "--precision", "int8")
    assert soundscale(*export, "--no-parity")[0] == 0
    stage = ("sweep", "latency", "micro", "--engine", "ctranslate2", "--seconds", 0, "-f", "json")
    code, out, said = soundscale(*stage)
    assert code == 0, said
    assert json.loads(out)["latency_stages"][0]["n_rounds"] == 4
    engine = open_store(f"sqlite:///{trained}/runs.db")
    latency = engine_latencies(engine)[-1].measured.latency
    engine.dispose()
    assert (latency.dtype, latency.n_requests) == ("int8", 4)
    assert latency.method.endswith("in turns")
    assert set(latency.stages_ms) == {"features", "encoder", "decode"}
    assert 0 < latency.request_p50_ms <= latency.request_p95_ms
    assert latency.contention > 0.5


def test_a_file_of_any_rate_is_transcribed_by_a_runs_model(soundscale, trained):
    import numpy as np
    import soundfile

    soundfile.write("talk.wav", 0.1 * np.random.default_rng(0).standard_normal(8_000 * 7), 8_000)
    code, out, told = soundscale(
        "transcribe", "talk.wav", "--run", 1, "--to", "ctranslate2", "-f", "json"
    )
    (found,) = json.loads(out)
    assert (code, found["audio_seconds"]) == (0, 7.0)
    assert found["windows"][-1]["end_seconds"] == 7.0
    assert "RTFx" in told


def test_several_files_are_told_apart_and_a_broken_one_stops_no_other(soundscale, trained):
    model = ("--run", 1, "--to", "ctranslate2")
    code, out, told = soundscale("transcribe", "none.wav", trained / "3.wav", *model)
    assert (code, out.partition(": ")[0]) == (2, str(trained / "3.wav"))
    assert "audio none.wav is missing" in told
    assert told.strip().endswith("1 of 2 files could not be used; see above")


def test_each_recording_has_a_file_of_its_own(soundscale, trained, tmp_path):
    import shutil

    (tmp_path / "other").mkdir()
    shutil.copy(trained / "3.wav", tmp_path / "other" / "3.wav")
    model = ("--run", 1, "--to", "ctranslate2", "-f", "json", "--out", "texts")
    code, out, _ = soundscale("transcribe", trained / "3.wav", "other/3.wav", *model)
    assert (code, out) == (0, "")
    first, second = (
        json.loads((tmp_path / "texts" / f).read_text()) for f in ("3.json", "3-2.json")
    )
    assert first["windows"] == second["windows"]
    assert second["file"] == "other/3.wav"


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_recording_comes_through_a_pipe(soundscale, trained, monkeypatch, form):
    import io
    import types

    import soundfile

    raw = io.BytesIO()
    soundfile.write(raw, soundfile.read(trained / "3.wav")[0], 16_000, format=form)
    raw.seek(0)
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=raw))
    code, out, _ = soundscale("transcribe", "-", "--run", 1, "--to", "ctranslate2", "-f", "json")
    (found,) = json.loads(out)
    assert (code, found["file"]) == (0, "-")
    assert found["audio_seconds"] == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(("form", "first"), [("vtt", "WEBVTT"), ("srt", "1")])
def test_subtitles_begin_as_their_format_does(soundscale, trained, form, first):
    recording = trained / "3.wav"
    code, out, _ = soundscale(
        "transcribe", recording, "--run", 1, "--to", "ctranslate2", "-f", form
    )
    assert code == 0
    assert not out or out.startswith(first)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", 99, "m", "--to", "onnx"), "there is no run 99; see: soundscale runs list"),
        (("export", 1, "m", "--to", "onx"), "unknown format 'onx'"),
        (("export", "nope", "m", "--to", "onnx"), "unknown answer 'nope'"),
        (("transcribe", "a.wav"), "name one model: --answer ID, --run N or --model FOLDER"),
        (("transcribe", "a.wav", "--model", "nowhere"), "holds no exported model"),
        (("transcribe", "a.wav", "--run", 1, "--cut", "silnce"), "unknown cut 'silnce'"),
        (
            ("transcribe", "a.wav", "b.wav", "--run", 1, "-f", "srt"),
            "srt of several files needs --out FOLDER",
        ),
        (
            ("classify", "a.wav", "--run", 1, "--to", "ctranslate2", "-q"),
            "writes text; use soundscale transcribe",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(soundscale, tmp_path, arguments, said):
    code, out, told = soundscale(*arguments)
    assert (code != 0, out) == (True, "")
    assert said in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "m").exists()


def test_audio_that_cannot_be_read_is_named(soundscale):
    code, _, told = soundscale("transcribe", "none.wav", "--run", 1, "--to", "ctranslate2", "-q")
    assert (code, told.strip()) == (
        2,
        "soundscale: audio none.wav is missing; replace the file or drop its row",
    )


def test_an_export_with_other_texts_than_the_run_is_refused_and_leaves_nothing(
    soundscale, tmp_path, monkeypatch
):
    from runner.engines import ctranslate2

    def wrong(self, ids):
        return "something else"

    monkeypatch.setattr(ctranslate2, "reader", lambda *asked: lambda ids: wrong(None, ids))
    code, _, told = soundscale("export", 1, tmp_path / "m", "--to", "ctranslate2", "-q")
    assert code == 2
    assert "writes other texts than the run on 2 of 2 clips" in told
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_trained_emotion_model_names_the_class_of_files(
    soundscale, trained_emotion, monkeypatch, form
):
    from runner import load

    db, path = f"sqlite:///{trained_emotion}/runs.db", trained_emotion / "3.wav"
    monkeypatch.setenv("SOUNDSCALE_DB", db)
    code, out, _ = soundscale("export", 1, "model", "--to", form, "-f", "json")
    parity = json.loads(out)["parity"]
    assert (code, parity["n_equal_texts"]) == (0, parity["n_utterances"])
    assert parity["borders"] is None
    code, out, _ = soundscale(
        "classify", path, trained_emotion / "2.wav", "--model", "model", "-f", "json"
    )
    found, _ = json.loads(out)
    assert (code, found["file"], found["n_windows"]) == (0, str(path), 1)
    assert found["label"] in ("low", "high")
    assert found["p_low"] + found["p_high"] == pytest.approx(1.0)
    for model in (load("model"), load(1, db=db)):
        judged = model.classify(path)
        assert judged.label == found["label"]
        assert judged.probabilities["low"] == pytest.approx(found["p_low"], abs=1e-4)


def test_an_emotion_model_writes_no_text(soundscale, trained_emotion, monkeypatch):
    monkeypatch.setenv("SOUNDSCALE_DB", f"sqlite:///{trained_emotion}/runs.db")
    code, _, told = soundscale("transcribe", trained_emotion / "3.wav", "--run", 1, "-q")
    assert (code, "names classes; use soundscale classify" in told) == (2, True)
