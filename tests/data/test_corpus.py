import dataclasses
import json

import pytest

from planner.errors import InputError
from runner.data.audio import AudioError
from runner.data.check import check
from runner.data.clips import Clip, DataSpec, corpus_digest
from runner.data.corpus import load_clip, load_corpus


@pytest.fixture
def speech(tmp_path, write_tone):
    """A manifest of 12 clips of one speaker, 0.5 s each, in train and test by turns."""
    rows = []
    for i in range(12):
        write_tone(f"{i:02d}.wav", 0.5)
        split = "test" if i % 2 else "train"
        rows.append({"path": f"{i:02d}.wav", "text": f"text {i}", "speaker": "a", "split": split})
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return DataSpec(name="manifest", path=str(path))


def test_the_digest_depends_on_each_word_of_the_utterance_list_and_on_no_order():
    one = Clip(utterance_id="a", path="a.wav", reference="x", speaker="s", split="train")
    two = dataclasses.replace(one, utterance_id="b")
    changes = ({"utterance_id": "c"}, {"reference": "y"}, {"speaker": "t"}, {"split": "test"})
    digests = {corpus_digest([one, dataclasses.replace(two, **c)]) for c in ({}, *changes)}
    assert len(digests) == 5
    assert corpus_digest([two, one]) == corpus_digest([one, two])


def test_the_digest_is_the_same_wherever_the_files_lie(speech, tmp_path):
    before = load_corpus(speech).digest
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in tmp_path.glob("*.*"):
        file.rename(moved / file.name)
    after = load_corpus(dataclasses.replace(speech, path=str(moved / "m.jsonl"))).digest
    assert before == after


def test_joining_changes_the_digest_and_no_word(speech):
    plain = load_corpus(speech)
    joined = load_corpus(dataclasses.replace(speech, join_seconds=2.0))
    assert [len(c.parts) for c in joined.test] == [2, 2, 2]
    assert plain.digest != joined.digest
    words = [" ".join(c.reference for c in corpus.test) for corpus in (plain, joined)]
    assert words[0] == words[1]


def test_a_draw_takes_the_number_that_was_asked(speech):
    corpus = load_corpus(dataclasses.replace(speech, n_train=3, n_test=2, join_seconds=2.0))
    assert (len(corpus.train), len(corpus.test)) == (3, 2)


def test_a_draw_of_too_many_says_how_many_there_are(speech):
    with pytest.raises(InputError, match="n_train = 7 was asked, but only 6"):
        load_corpus(dataclasses.replace(speech, n_train=7))


def test_clips_outside_the_bounds_are_left_out_and_none_left_is_an_error(speech, write_tone):
    write_tone("01.wav", 3.0)
    corpus = load_corpus(dataclasses.replace(speech, max_seconds=1.0))
    assert len(corpus.clips) == 11
    with pytest.raises(InputError, match="no clip of m lasts 5 to"):
        load_corpus(dataclasses.replace(speech, min_seconds=5.0))


def test_a_broken_file_stays_in_the_corpus_and_fails_alone_when_read(speech, tmp_path):
    (tmp_path / "03.wav").write_bytes(b"")
    corpus = load_corpus(dataclasses.replace(speech, join_seconds=30.0))
    broken = [c for c in corpus.test if c.fault]
    assert [(c.utterance_id, c.fault, c.audio_seconds) for c in broken] == [("03", "empty", 0.0)]
    assert sum(len(c.parts) or 1 for c in corpus.test) == 6
    with pytest.raises(AudioError, match=r"03\.wav is empty"):
        load_clip(broken[0])
    assert all(len(load_clip(c)) for c in corpus.test if not c.fault)


def test_emotion_cannot_be_joined(tmp_path, write_tone):
    for name in ("1001_DFA_ANG_XX.wav", "1002_DFA_SAD_XX.wav"):
        write_tone(name, 0.2)
    with pytest.raises(InputError, match="no single emotion"):
        load_corpus(DataSpec(name="cremad", path=str(tmp_path), join_seconds=4.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"split_policy": "random"},
        {"task": "translation"},
        {"n_train": 0},
        {"join_seconds": -1.0},
        {"max_seconds": float("nan")},
        {"test_fraction": 0.7, "validation_fraction": 0.3},
    ],
    ids=lambda w: next(iter(w)),
)
def test_a_request_that_cannot_be_met_is_refused_where_it_is_made(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        DataSpec(**wrong)


def test_the_report_counts_what_is_there(speech):
    report = check(
        load_corpus(dataclasses.replace(speech, join_seconds=2.0)), audio_seconds=[0.25, 4]
    )
    assert report["n_clips"] == 12
    assert report["hours"] == pytest.approx(12 * 0.5 / 3600)
    assert report["splits"]["test"] == {
        "n_utterances": 3, "n_clips": 6, "hours": pytest.approx(3 * 1.3 / 3600),
        "n_speakers": 1, "n_words": 12,
    }  # fmt: skip
    short, long = report["coverage"]
    assert (short["truncate_audio_fraction"], short["fitting_clips_fraction"]) == (0.5, 0.0)
    assert (long["truncate_audio_fraction"], long["train_clips_packed_fraction"]) == (1.0, 1.0)
    assert json.loads(json.dumps(report)) == report


def test_the_report_names_each_fault(speech, tmp_path):
    import numpy as np
    import soundfile

    whole = (tmp_path / "00.wav").read_bytes()
    (tmp_path / "00.wav").write_bytes(whole[:-1000])
    soundfile.write(tmp_path / "02.wav", np.ones(8000), 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "04.wav", np.zeros(8000), 16_000)
    report = check(load_corpus(speech))
    assert [(r["utterance_id"], r["fault"]) for r in report["broken"]] == [("00", "truncated")]
    assert [r["utterance_id"] for r in report["clipped"]] == ["02"]
    assert [r["utterance_id"] for r in report["silent"]] == ["04"]


def test_the_report_counts_texts_that_are_on_both_sides(speech, tmp_path):
    text = (tmp_path / "m.jsonl").read_text().replace('text 1"', 'TEXT  0!"')
    (tmp_path / "m.jsonl").write_text(text)
    assert check(load_corpus(speech))["repeated_texts"] == 1
