"""A recording of a split is counted once, in whatever file it is a second time."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import soundfile
import soxr

from planner.errors import InputError
from planner.words.records import Trial
from runner.data.clips import DataSpec
from runner.data.copies import likeness
from runner.data.corpus import load_corpus
from runner.data.report import check_source, report_text
from runner.trial.examples import corpus_of

RATE = 16_000


def speech(seed, seconds=1.5):
    """Noise in syllables, whose waveform is nobody else's."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    low = np.convolve(rng.standard_normal(len(t)), np.ones(12) / 12, "same")
    return (low * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t + seed))).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for i in range(4):
        soundfile.write(tmp_path / f"u{i}.wav", speech(i), RATE)
    return tmp_path


def corpus(folder, *rows, **request):
    """Of rows `(path, text, split)` or dictionaries, with a row of training and one of test beside them."""
    given = [
        r if isinstance(r, dict) else dict(zip(("path", "text", "split"), r, strict=True))
        for r in rows
    ]
    more = [("u2.wav", "some other words", "train"), ("u3.wav", "and others again", "test")]
    given += [dict(zip(("path", "text", "split"), r, strict=True)) for r in more]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, given)))
    return load_corpus(DataSpec(name="manifest", path=str(folder / "m.jsonl"), **request))


def left_out(folder, *rows, **request):
    return {copy.utterance_id: copy.same_as for copy in corpus(folder, *rows, **request).copies}


WRITERS = {
    "copied.wav": {},
    "deeper.wav": {"subtype": "PCM_24"},
    "same.flac": {},
    "coded.mp3": {"compression_level": 0.9},
    "coded.ogg": {"format": "OGG", "subtype": "VORBIS", "compression_level": 0.9},
    "coded.opus": {"format": "OGG", "subtype": "OPUS", "compression_level": 0.9},
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_recording_in_another_file_is_counted_once(folder, name):
    soundfile.write(folder / name, soundfile.read(folder / "u0.wav")[0], RATE, **WRITERS[name])
    rows = [(name, "Say this, please.", "test"), ("u0.wav", "say this please", "test")]
    found = corpus(folder, *rows)
    assert len(found.test) == 2
    (copy,) = found.copies
    # The first stays, a lossless one before a coded one.
    assert copy.utterance_id == (name[:-4].rstrip(".") if name.startswith("coded") else "u0")


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_recording_at_another_rate_is_counted_once(folder, rate):
    soundfile.write(folder / "r.wav", soxr.resample(speech(0), RATE, rate), rate)
    rows = [("u0.wav", "say this", "test"), ("r.wav", "say this", "test")]
    assert left_out(folder, *rows) == {"r": "u0"}


def test_two_mp3s_with_other_tags_are_one_recording(folder):
    soundfile.write(folder / "a.mp3", speech(0), RATE)
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    (folder / "b.mp3").write_bytes(tag + (folder / "a.mp3").read_bytes())
    rows = [(f"{x}.mp3", "say this", "train") for x in "ab"]
    assert left_out(folder, *rows) == {"b": "a"}


def test_two_rows_of_one_part_are_one_and_two_parts_are_two(folder):
    part = {"audio_filepath": "u0.wav", "duration": 0.5, "text": "yes", "split": "train"}
    rows = [part | {"offset": o, "id": i} for i, o in (("a", 0), ("b", 0), ("c", 0.5))]
    assert left_out(folder, *rows) == {"b": "a"}


@pytest.mark.parametrize(
    "other",
    [
        ("u1.wav", "say this", "test"),
        ("copy.wav", "say that", "test"),
        ("copy.wav", "say this", "train"),
    ],
    ids=["another recording", "another text", "another split"],
)
def test_what_is_not_the_same_recording_text_and_split_stays(folder, other):
    (folder / "copy.wav").write_bytes((folder / "u0.wav").read_bytes())
    assert left_out(folder, ("u0.wav", "say this", "test"), other) == {}


def test_a_label_that_many_clips_have_tells_none_apart_but_their_samples_do(folder):
    (folder / "copy.wav").write_bytes((folder / "u0.wav").read_bytes())
    rows = [
        {"path": p, "label": "joy", "speaker": "ann", "split": s}
        for p, s in (
            ("u0.wav", "train"),
            ("copy.wav", "train"),
            ("u1.wav", "train"),
            ("u2.wav", "test"),
        )
    ]
    (folder / "e.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load_corpus(DataSpec(name="manifest", path=str(folder / "e.jsonl")))
    assert [c.utterance_id for c in found.train] == ["u0", "u1"]


def test_a_broken_copy_stays_to_be_named_as_broken(folder):
    whole = (folder / "u0.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[: len(whole) // 2])
    rows = [("u0.wav", "say this", "test"), ("cut.wav", "say this", "test")]
    assert left_out(folder, *rows) == {}


def test_copies_are_counted_where_that_is_asked_for_and_for_trials_of_before(folder):
    (folder / "copy.wav").write_bytes((folder / "u0.wav").read_bytes())
    rows = [("u0.wav", "say this", "test"), ("copy.wav", "say this", "test")]
    counted = corpus(folder, *rows, copies="counted")
    assert (len(counted.test), counted.copies) == (3, ())
    request = DataSpec(name="manifest", path=str(folder / "m.jsonl"))
    trial = Trial(
        task="asr", dataset="m", dataset_digest=counted.digest, split_policy="official", n_train=1, n_test=3,
        backbone="whisper-micro", audio_seconds=4,
    )  # fmt: skip
    assert corpus_of(trial, request) == counted
    now = dataclasses.replace(trial, dataset_digest=load_corpus(request).digest)
    assert len(corpus_of(now, request).test) == 2
    with pytest.raises(InputError, match="copies must be one of once, counted"):
        DataSpec(copies="both")


def test_a_check_names_copies_and_ends_as_where_files_are_left_out(folder):
    (folder / "copy.wav").write_bytes((folder / "u0.wav").read_bytes())
    corpus(folder, ("u0.wav", "say this", "test"), ("copy.wav", "say this", "test"))
    report = check_source(str(folder / "m.jsonl"), None, print)
    assert report.left_out == ["1 copies of other rows"]
    assert "copy.wav is u0" in report_text(report.contents)


def test_likeness_does_not_depend_on_level_or_a_short_delay_and_silence_is_like_nothing():
    one = speech(0)
    late = np.concatenate([np.zeros(800, np.float32), one])
    assert likeness(one, 0.2 * late) == pytest.approx(1, abs=1e-4)
    assert abs(likeness(one, speech(1))) < 0.3
    assert likeness(one, np.zeros(100, np.float32)) == 0
