"""Manifests as the field writes them: what a row means is honoured, or it is refused by its number."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from runner.data.audio import AudioError
from runner.data.check import across, alike_labels, twice
from runner.data.clips import DataSpec
from runner.data.corpus import list_clips, load_clip, measured
from runner.data.manifest import faulty_rows
from runner.data.report import check_source, report_text

RATE = 16_000
RAMP = np.linspace(-0.5, 0.5, 2 * RATE, dtype=np.float32)


@pytest.fixture
def folder(tmp_path):
    for i in range(4):
        sound = RAMP if i == 0 else RAMP[: RATE + i]
        soundfile.write(tmp_path / f"u{i}.wav", sound, RATE, subtype="FLOAT")
    return tmp_path


def manifest(folder, *rows, name="m.jsonl"):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines))
    return DataSpec(name="manifest", path=str(folder / name))


def clips(folder, *rows, name="m.jsonl"):
    return list_clips(manifest(folder, *rows, name=name)).clips


def test_a_part_is_cut_to_the_sample(folder):
    row = {"audio_filepath": "u0.wav", "offset": 0.25, "duration": 0.5, "text": "hello"}
    (clip,) = clips(folder, row)
    assert measured(clip).audio_seconds == 0.5
    assert np.array_equal(load_clip(clip), RAMP[4000:12000])


def test_parts_of_one_file_are_clips_of_their_own(folder):
    rows = [
        {"audio_filepath": "u0.wav", "offset": start, "duration": 0.5, "text": "a"}
        for start in (0, 0.5)
    ]
    assert [c.utterance_id for c in clips(folder, *rows)] == ["u0@0+0.5", "u0@0.5+0.5"]


def test_a_part_beyond_its_file_is_a_broken_clip_and_is_not_heard_in_part(folder):
    row = {"audio_filepath": "u1.wav", "offset": 0.8, "duration": 5, "text": "a", "split": "train"}
    (clip,) = clips(folder, row)
    assert measured(clip).fault == "truncated"
    with pytest.raises(AudioError, match=r"ends at 5\.8 s, the file at 1"):
        load_clip(clip)
    report = check_source(
        manifest(folder, row, {**row, "duration": 0.1, "split": "test"}).path, None, print
    )
    assert report.left_out == ["1 files truncated"]


def test_a_manifest_without_a_column_of_files_names_its_columns(folder):
    with pytest.raises(InputError, match=r"no column path or audio .*; it has Path, Text"):
        clips(folder, "Path,Text", "u1.wav,a", name="m.csv")


def test_a_duration_that_only_describes_a_file_cuts_nothing(folder):
    (clip,) = clips(folder, {"path": "u0.wav", "duration": 1900, "text": "a"})
    assert measured(clip).audio_seconds == 2.0


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        ({"start": 0.25, "end": 0.75}, (0.25, 0.5)),
        ({"start": 0.25, "end": 0.75, "duration": 2.0}, (0.25, 0.5)),
        ({"end": "0.5"}, (0.0, 0.5)),
        ({"start": 0.25, "duration": 0.5}, (0.25, 0.5)),
        ({"start": None, "end": None}, (0.0, None)),
    ],
)
def test_a_part_by_start_and_end_is_cut_as_one_by_offset_and_duration(folder, cells, part):
    (clip,) = clips(folder, {"path": "u0.wav", "text": "a"} | cells)
    assert (clip.start_seconds, clip.length_seconds) == part


def test_a_cut_of_lhotse_is_its_supervised_part(folder):
    cut = {
        "id": "c", "start": 0.5, "duration": 1.0, "channel": 0, "type": "MonoCut",
        "supervisions": [{"start": 0.25, "duration": 0.5, "text": "hi", "speaker": "ann"}],
        "recording": {"id": "r", "sources": [{"type": "file", "source": "u0.wav", "channels": [0]}]},
    }  # fmt: skip
    (clip,) = clips(folder, cut)
    assert (clip.utterance_id, clip.reference, clip.speaker) == ("c", "hi", "ann")
    assert np.array_equal(load_clip(clip), RAMP[12000:20000])
    two = cut | {"supervisions": cut["supervisions"] * 2}
    with pytest.raises(InputError, match="2 supervisions"):
        clips(folder, two)


CUT = {
    "id": "c", "start": 0.5, "duration": 1.0, "channel": 0, "type": "MonoCut",
    "supervisions": [{"start": 0, "duration": 1.0, "text": "hi"}],
    "recording": {"id": "r", "sources": [{"type": "file", "source": "u0.wav", "channels": [0]}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "MixedCut"}, "a MixedCut of lhotse is made when it is read"),
        ({"recording": CUT["recording"] | {"transforms": [{"name": "Speed"}]}}, "is transformed"),
        (
            {"supervisions": [{"start": 0.5, "duration": 1, "text": "hi"}]},
            "ends 0.5 s after its cut",
        ),
        ({"supervisions": [{"start": -0.2, "duration": 1, "text": "hi"}]}, "begins 0.2 s before"),
        ({"start": math.nan}, "give it in seconds"),
        ({"channel": 1}, "channel 1 is not read"),
        ({"recording": {"sources": [{"type": "command", "source": "sox a |"}]}}, "type 'command'"),
    ],
)
def test_a_cut_whose_sound_is_not_its_file_is_refused(folder, change, said):
    with pytest.raises(InputError, match=f"row 1 of m.jsonl.*{said}"):
        clips(folder, CUT | change)


def test_a_gzipped_manifest_is_read_and_a_broken_one_named(folder):
    packed = gzip.compress(json.dumps(CUT).encode())
    (folder / "cuts.jsonl.gz").write_bytes(packed)
    spec = DataSpec(name="manifest", path=str(folder / "cuts.jsonl.gz"))
    assert list_clips(spec).clips[0].start_seconds == 0.5
    (folder / "cuts.jsonl.gz").write_bytes(packed[:-9])
    with pytest.raises(InputError, match="is gzipped and broken"):
        list_clips(spec)


def test_a_release_of_common_voice_is_its_three_tables(folder):
    header = "client_id\tpath\tsentence"
    (folder / "clips").mkdir()
    for i, part in enumerate(("train", "dev", "test")):
        (folder / f"u{i}.wav").rename(folder / "clips" / f"{part}.wav")
        (folder / f"{part}.tsv").write_text(f'{header}\ns{i}\t{part}.wav\tA "{part}" sentence')
    report = check_source(str(folder), None, print)
    assert (report.contents["split_policy"], report.contents["n_clips"]) == ("official", 3)
    found = list_clips(DataSpec(name="manifest", path=str(folder))).clips
    assert [(c.split, c.reference, c.speaker) for c in found] == [
        ("train", 'A "train" sentence', "s0"),
        ("validation", 'A "dev" sentence', "s1"),
        ("test", 'A "test" sentence', "s2"),
    ]


def test_a_folder_of_hugging_face_has_its_metadata_in_each_split(folder):
    for part in ("train", "test"):
        (folder / part).mkdir()
        (folder / f"u{1 + (part == 'test')}.wav").rename(folder / part / "a.wav")
        row = json.dumps({"file_name": "a.wav", "transcription": part})
        (folder / part / "metadata.jsonl").write_text(row)
    found = list_clips(DataSpec(name="manifest", path=str(folder))).clips
    assert [(c.utterance_id, c.split) for c in found] == [("train/a", "train"), ("test/a", "test")]


def test_a_row_of_another_split_than_its_file_is_refused(folder):
    for part in ("train", "test"):
        (folder / f"{part}.csv").write_text(f"path,text,split\nu{int(part == 'test')}.wav,a,test")
    with pytest.raises(InputError, match="its split is test, and the file's is train"):
        list_clips(DataSpec(name="manifest", path=str(folder)))


def test_metadata_of_hugging_face_and_a_first_release_of_common_voice_are_read(folder):
    (folder / "u0.mp3").write_bytes(b"x")
    found = clips(folder, "file_name,transcription", "u1.wav,hello", name="metadata.csv")
    assert found[0].reference == "hello"
    found = clips(folder, "filename,text", "u0,hello", name="cv.csv")
    assert found[0].path.name == "u0.mp3"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (math.nan, "text is empty"), (None, "text is empty"), ("", "text is empty"),
        ("nan", "stands for an empty cell"), (["a", "b"], "text is a list"),
        ({"a": 1}, "text is an object"), (5, "text is a number"), (True, "text is a truth value"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_by_its_row(folder, value, said):
    spec = manifest(folder, {"path": "u1.wav", "text": "ok"}, {"path": "u2.wav", "text": value})
    ((row, problem),) = faulty_rows(spec)
    assert row == 2
    assert said in problem


def test_a_speaker_of_nan_is_nobody_and_a_number_is_a_name(folder):
    rows = [{"path": f"u{i}.wav", "text": "a", "speaker": s} for i, s in ((1, math.nan), (2, 7))]
    assert [c.speaker for c in clips(folder, *rows)] == [None, "7"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"path": "u1.wav", "text": "a", "text": "b"}', "key 'text' is there twice"),
        ({"path": "sox u1.wav -t wav - |", "text": "a"}, "a command in place of a file"),
        ({"path": "u1.wav", "text": "a", "offset": 0.5}, "has no duration"),
        ({"path": "u1.wav", "text": "a", "start": 0.5}, "start 0.5 has no duration or end"),
        ({"path": "u1.wav", "text": "a", "start": 0.5, "end": 0.5}, "is not after the start"),
        ({"path": "u1.wav", "text": "a", "start": 0.5, "offset": 0.4, "end": 1}, "two beginnings"),
        ({"path": "u1.wav", "text": "a", "start": 0.5, "end": "0,9"}, "end is not a number"),
        ({"audio_filepath": "u1.wav", "text": "a", "duration": -1}, "0 s or more"),
        ({"audio_filepath": "u1.wav", "text": "a", "offset": "1,5", "duration": 1}, "not a number"),
        ({"path": "u1\0.wav", "text": "a"}, "row 1"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(folder, row, said):
    with pytest.raises(InputError, match=said):
        clips(folder, row)


def test_the_same_audio_under_two_names_is_found_by_content(folder):
    (folder / "copy.wav").write_bytes((folder / "u1.wav").read_bytes())
    rows = [
        {"path": p, "text": p, "split": s} for p, s in (("u1.wav", "train"), ("copy.wav", "test"))
    ]
    report = check_source(manifest(folder, *rows).path, None, print)
    assert report.left_out == []
    assert report.contents["twice"][0]["split"] == "train and test"


def test_two_parts_of_one_file_are_not_one_clip_twice(folder):
    rows = [
        {"audio_filepath": "u0.wav", "offset": s, "duration": 0.5, "text": "a"} for s in (0, 0.5)
    ]
    found = clips(folder, *rows)
    assert twice(found, {c.utterance_id: c.utterance_id for c in found}) == []
    assert across(found) == []


def test_one_recording_in_train_and_test_and_parts_that_overlap_are_named(folder):
    rows = [
        {"audio_filepath": "u0.wav", "offset": s, "duration": 0.5, "text": "a", "split": split}
        for s, split in ((0, "train"), (0.4, "train"), (1, "test"))
    ]
    report = check_source(manifest(folder, *rows).path, None, print)
    assert [row["why"] for row in report.contents["across"]] == [
        "u0@0+0.5 and u0@0.4+0.5 overlap",
        "it is in train and in test",
    ]
    assert "it is in train and in test" in report_text(report.contents)


def test_a_copy_in_another_format_is_found_by_its_samples(folder):
    sound = np.round(RAMP * 2**15) / 2**15
    soundfile.write(folder / "a.wav", sound, RATE, subtype="PCM_16")
    soundfile.write(folder / "b.flac", sound, RATE, subtype="PCM_16")
    rows = [{"path": p, "text": p, "split": s} for p, s in (("a.wav", "train"), ("b.flac", "test"))]
    (row,) = check_source(manifest(folder, *rows).path, None, print).contents["twice"]
    assert (row["utterance_id"], row["same_as"], row["split"]) == ("b", "a", "train and test")


def test_labels_that_look_alike_are_named_together():
    composed, apart = "f\u00fcr", "fu\u0308r"
    found = alike_labels(["happy", "Happy", "HAPPY", composed, apart, "sad"])
    assert sorted(map(sorted, found)) == sorted(
        [sorted(["happy", "Happy", "HAPPY"]), sorted([composed, apart])]
    )


def test_a_pointer_of_git_lfs_is_named_with_its_remedy(folder):
    (folder / "p.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (clip,) = clips(folder, {"path": "p.wav", "text": "a"})
    with pytest.raises(AudioError, match="git lfs pull"):
        load_clip(clip)


def test_a_value_error_of_the_decoder_is_a_broken_file(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise ValueError("negative dimensions")

    (clip,) = clips(folder, {"path": "u1.wav", "text": "a"})
    monkeypatch.setattr(soundfile.SoundFile, "read", refuse)
    with pytest.raises(AudioError, match="truncated"):
        load_clip(clip)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
        st.sampled_from(["u1.wav", "u2.wav", "nan", "train", "test", "1,5", "."]),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
KEYS = ("path", "audio_filepath", "text", "speaker", "split", "id", "offset", "duration",
        "recording", "supervisions", "label", "start")  # fmt: skip
ROWS = st.lists(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), min_size=1, max_size=3)


def agree(folder, rows):
    """No traceback; what is read is what the JSON itself says."""
    spec = manifest(folder, *rows)
    try:
        found = list_clips(spec).clips
    except InputError:
        return
    again = [json.loads(line) for line in (folder / "m.jsonl").read_text().split("\n")]
    assert len(found) == len(again)
    for clip, row in zip(found, again, strict=True):
        told = row.get("text") if not row.get("label") else row["label"]
        assert isinstance(told, str)
        assert clip.reference == told.strip()
        if clip.length_seconds is not None:
            assert clip.length_seconds == float(row["duration"])


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_no_generated_manifest_is_misread_or_ends_in_a_traceback(folder, rows):
    agree(folder, rows)


@pytest.mark.slow
@settings(
    max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=ROWS)
def test_none_of_thousands_of_manifests_is_misread(folder, rows):
    agree(folder, rows)


def test_a_check_that_would_leave_files_out_says_which_fault_they_have(folder):
    (folder / "p.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    rows = [
        {"path": p, "text": "a", "split": s} for p, s in (("u1.wav", "train"), ("p.wav", "test"))
    ]
    report = check_source(manifest(folder, *rows).path, None, print)
    assert report.left_out == ["1 files unreadable: Git LFS pointers, run git lfs pull"]
