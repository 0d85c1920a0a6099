import csv
import json

import numpy as np
import pytest

from planner.errors import InputError, MissingResourceError, UnknownNameError
from runner.data.clips import DataSpec
from runner.data.corpus import list_clips, load_clip, load_corpus, read_audio


@pytest.fixture
def librispeech(tmp_path, write_tone):
    """Two speakers of two clips in each of two parts."""
    for part, speakers in (("train-clean-100", (19, 26)), ("test-other", (367, 533))):
        for speaker in speakers:
            chapter = f"LibriSpeech/{part}/{speaker}/7"
            names = [f"{speaker}-7-{i:04d}" for i in range(2)]
            for i, name in enumerate(names):
                # Each of its own length: the same tone with the same words would be a copy.
                write_tone(f"{chapter}/{name}.flac", 0.3 + 0.1 * i + 1e-4 * speaker)
            lines = "".join(f"{n} WORDS OF {n[-1]}\n" for n in names)
            (tmp_path / chapter / f"{speaker}-7.trans.txt").write_text(lines)
    return tmp_path


def test_librispeech_is_read_by_its_layout(librispeech):
    corpus = load_corpus(DataSpec(name="librispeech", path=str(librispeech)))
    assert [c.utterance_id for c in corpus.train] == [
        "19-7-0000", "19-7-0001", "26-7-0000", "26-7-0001",
    ]  # fmt: skip
    assert {c.speaker for c in corpus.test} == {"367", "533"}
    assert corpus.test[0].reference == "WORDS OF 0"
    assert corpus.train[1].audio_seconds == pytest.approx(0.4019, abs=1e-4)
    assert (corpus.split_policy, corpus.speaker_overlap, corpus.task) == ("official", 0, "asr")


def test_a_single_part_of_librispeech_is_split_by_speaker(librispeech):
    part = librispeech / "LibriSpeech" / "test-other"
    lonely = librispeech / "lonely"
    lonely.mkdir()
    part.rename(lonely / "test-other")
    corpus = load_corpus(
        DataSpec(name="librispeech", path=str(lonely), test_fraction=0.5, validation_fraction=0)
    )
    assert (corpus.split_policy, corpus.speaker_overlap) == ("speaker-disjoint", 0)


def test_a_missing_part_of_librispeech_is_named(librispeech):
    spec = DataSpec(name="librispeech", path=str(librispeech), test_split="test-clean")
    with pytest.raises(MissingResourceError, match=r"part test-clean is not in .*openslr"):
        load_corpus(spec)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("19-7-0000 ", "row 1 of 19-7.trans.txt: text is empty"),
        ("19-7-0009 HELLO", "row 1 of 19-7.trans.txt: audio .*19-7-0009.flac is missing"),
    ],
)
def test_a_wrong_line_of_a_transcript_is_named(librispeech, line, said):
    file = librispeech / "LibriSpeech/train-clean-100/19/7/19-7.trans.txt"
    file.write_text(line + "\n")
    with pytest.raises(InputError, match=said):
        load_corpus(DataSpec(name="librispeech", path=str(librispeech)))


NAMES = {
    "cremad": (["1001_DFA_ANG_XX.wav", "1091_IEO_SAD_HI.wav"], ["anger", "sadness"]),
    "ravdess": (
        ["A1/03-01-06-01-02-01-12.wav", "A2/03-01-01-01-01-01-01.wav"],
        ["fear", "neutral"],
    ),
    "emodb": (["03a01Fa.flac", "16b10Wb.flac"], ["happiness", "anger"]),
}
SPEAKERS = {"cremad": ["1001", "1091"], "ravdess": ["12", "01"], "emodb": ["03", "16"]}


@pytest.mark.parametrize("corpus", NAMES)
def test_emotion_corpora_are_read_by_their_file_names(tmp_path, write_tone, corpus):
    names, labels = NAMES[corpus]
    for name in names:
        write_tone(name, 0.1)
    found = list_clips(DataSpec(name=corpus, path=str(tmp_path)))
    assert [c.reference for c in found.clips] == labels
    assert [c.speaker for c in found.clips] == SPEAKERS[corpus]
    assert (found.task, found.labels) == ("emotion", tuple(sorted(labels)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("1001_DFA_JOY_XX.wav", "emotion 'JOY'; known: ANG, DIS, FEA, HAP, NEU, SAD"),
        ("hello.wav", "not named like 1001_DFA_ANG_XX.wav"),
    ],
)
def test_a_file_name_that_says_no_known_emotion_is_refused(tmp_path, write_tone, name, said):
    write_tone(name, 0.1)
    with pytest.raises(InputError, match=said):
        list_clips(DataSpec(name="cremad", path=str(tmp_path)))


@pytest.mark.parametrize("name", ["cremad", "librispeech", "emodb", "ravdess"])
def test_a_corpus_that_must_be_given_says_where_to_get_it(name):
    with pytest.raises(MissingResourceError, match=r"data\.path.*(get|clone)"):
        list_clips(DataSpec(name=name))


def test_an_unknown_source_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean librispeech"):
        list_clips(DataSpec(name="librispech"))


ROWS = [
    {"path": f"wavs/{i}.wav", "text": f"text number {i}", "speaker": f"s{i % 2}", "split": s}
    for i, s in enumerate(["train", "train", "dev", "test"])
]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def write_csv(path, rows, delimiter=","):
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_tsv(path, rows):
    write_csv(path, rows, "\t")


WRITERS = {"m.jsonl": write_jsonl, "m.csv": write_csv, "m.tsv": write_tsv}


@pytest.fixture
def manifest(tmp_path, write_tone):
    """Write rows to a manifest of any format; the audio files lie in `wavs`."""
    for i in range(4):
        write_tone(f"wavs/{i}.wav", 0.2)

    def write(rows, name="m.jsonl", **spec):
        WRITERS[name](tmp_path / name, rows)
        return DataSpec(name="manifest", path=str(tmp_path / name), **spec)

    return write


@pytest.mark.parametrize("name", WRITERS)
def test_a_manifest_reads_alike_in_each_format(manifest, name):
    corpus = load_corpus(manifest(ROWS, name))
    assert [(c.utterance_id, c.reference, c.speaker, c.split) for c in corpus.clips] == [
        ("wavs/0", "text number 0", "s0", "train"),
        ("wavs/1", "text number 1", "s1", "train"),
        ("wavs/2", "text number 2", "s0", "validation"),
        ("wavs/3", "text number 3", "s1", "test"),
    ]
    assert corpus.split_policy == "official"
    assert corpus.speaker_overlap == 1


def changed(row, **new):
    rows = [dict(r) for r in ROWS]
    rows[row - 1] |= new
    return rows


WRONG = {
    "empty text": (changed(3, text="  "), "row 3 of m.jsonl: text is empty; give a transcript"),
    "no file": (changed(2, path="wavs/9.wav"), r"row 2 of m.jsonl: audio .*9\.wav is missing"),
    "no path": (changed(1, path=None), "row 1 of m.jsonl: path is empty"),
    "odd split": (changed(4, split="tets"), r"unknown split 'tets'.*did you mean test.*row 4 of m"),
    "half split": (changed(4, split=""), "row 4 of m.jsonl: split is empty while other rows"),
    "twice": (changed(2, path="wavs/0.wav"), "row 2 of m.jsonl: 'wavs/0' is in row 1 already"),
    "no column": ([{"path": "wavs/0.wav"}], "row 1 of m.jsonl: no column text or sentence"),
    "no training": (ROWS[2:], "no training clips"),
    "no test": (ROWS[:2], "no test clips"),
}


@pytest.mark.parametrize(("rows", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_row_is_named_with_what_to_do(manifest, rows, said):
    with pytest.raises(InputError, match=said):
        load_corpus(manifest(rows))


def emotions(labels):
    return [
        {"path": r["path"], "label": e, "split": r["split"]}
        for r, e in zip(ROWS, labels, strict=True)
    ]


def test_labels_make_a_manifest_an_emotion_corpus(manifest):
    corpus = load_corpus(manifest(emotions(["joy", "anger", "joy", "anger"])))
    assert (corpus.task, corpus.labels) == ("emotion", ("anger", "joy"))


def test_a_wrong_label_is_named_with_its_row(manifest):
    rows = emotions(["joy", "anger", "joy", "angre"])
    with pytest.raises(InputError, match=r"label 'angre'.*did you mean anger.*row 4 of m.jsonl"):
        load_corpus(manifest(rows))
    with pytest.raises(
        InputError, match=r"label 'joy'; known: anger, sad; correct row 1 of m.jsonl"
    ):
        load_corpus(manifest(rows, labels=("anger", "sad")))


def test_a_line_that_is_no_json_is_named(manifest, tmp_path):
    spec = manifest(ROWS)
    (tmp_path / "m.jsonl").write_text('{"path": "wavs/0.wav", "text": "a"}\nnot json\n')
    with pytest.raises(InputError, match=r"row 2 of m.jsonl: not JSON"):
        load_corpus(spec)


def test_common_voice_columns_are_understood(manifest, tmp_path):
    (tmp_path / "wavs").rename(tmp_path / "clips")
    rows = [
        {"client_id": f"c{i}", "path": f"{i}.wav", "sentence": f'He said "word{i}'}
        for i in range(4)
    ]
    spec = manifest(rows, "m.tsv", test_fraction=0.25, validation_fraction=0.0)
    # Common Voice leaves quotes as they are, which the CSV writer would double.
    (tmp_path / "m.tsv").write_text(
        (tmp_path / "m.tsv").read_text().replace('""', "«").replace('"', "").replace("«", '"')
    )
    corpus = load_corpus(spec)
    assert {c.reference for c in corpus.clips} == {f'He said "word{i}' for i in range(4)}
    assert (corpus.split_policy, corpus.speaker_overlap) == ("speaker-disjoint", 0)


@pytest.fixture
def kaldi(tmp_path, write_tone):
    """Two Kaldi folders of two utterances each."""
    for part in ("train", "test"):
        folder = tmp_path / "data" / part
        ids = [f"{part}-{i}" for i in range(2)]
        for name in ids:
            write_tone(f"data/{part}/{name}.wav", 0.2)
        for table, value in (
            ("wav.scp", "{0}.wav"),
            ("text", "words of {0}"),
            ("utt2spk", "s-{0}"),
        ):
            lines = "".join(f"{name} {value.format(name)}\n" for name in ids)
            (folder / table).write_text(lines)
    return tmp_path / "data"


def test_kaldi_folders_are_read_by_their_tables(kaldi):
    corpus = load_corpus(DataSpec(name="kaldi", path=str(kaldi)))
    assert [(c.utterance_id, c.reference, c.speaker) for c in corpus.test] == [
        ("test-0", "words of test-0", "s-test-0"),
        ("test-1", "words of test-1", "s-test-1"),
    ]
    assert (corpus.split_policy, corpus.speaker_overlap) == ("official", 0)


def test_segments_of_a_kaldi_folder_are_cut_exactly(kaldi):
    folder = kaldi / "train"
    (folder / "segments").write_text("a train-0 0.05 0.15\n\nb train-1 0 0.1\n")
    (folder / "text").write_text("a one\nb two\n")
    (folder / "utt2spk").write_text("a s1\nb s2\n")
    found = load_corpus(DataSpec(name="kaldi", path=str(kaldi))).train
    assert [(c.utterance_id, c.reference, c.path.name) for c in found] == [
        ("a", "one", "train-0.wav"),
        ("b", "two", "train-1.wav"),
    ]
    assert [c.audio_seconds for c in found] == pytest.approx([0.1, 0.1])
    whole = read_audio(folder / "train-0.wav")
    assert np.array_equal(load_clip(found[0]), whole[800:2400])


def test_one_kaldi_folder_is_split_by_speaker(kaldi):
    spec = DataSpec(name="kaldi", path=str(kaldi / "train"), validation_fraction=0.0)
    assert load_corpus(spec).split_policy == "speaker-disjoint"


@pytest.mark.parametrize(
    ("table", "content", "said"),
    [
        ("text", "train-0\ntrain-1 words\n", "row 1 of train/text: text is empty"),
        ("text", "train-1 words\n", "row 1 of train/wav.scp: train-0: text is empty"),
        (
            "wav.scp",
            "train-0 sox x.sph |\n",
            "row 1 of train/wav.scp: a command in place of a file",
        ),
        (
            "wav.scp",
            "train-0 nowhere.wav\n",
            "row 1 of train/wav.scp: audio nowhere.wav is missing",
        ),
        ("segments", "", "row 1 of train/text: train-0 has no audio in segments"),
        ("segments", "u train-0 0\n", "row 1 of train/segments has 3 cells, 4 are needed"),
        ("segments", "train-0 nobody 0 0.1\n", "recording nobody is not in wav.scp"),
        ("segments", "u train-0 0.1 0.1\n", "from 0.1 to 0.1 s is empty"),
        ("segments", "u train-0 0 -1\n", "an end of -1"),
        ("segments", "u train-0 0 0,1\n", "write a point before decimals"),
        ("segments", "u train-0 0 0.1\nu train-0 0 0.1\n", "u is in row 1 already"),
        ("utt2spk", "train-0 a\n", "train-1 has no speaker in utt2spk"),
        ("text", "train-0 a\ntrain-1 b\n\nx c\n", "row 3 of train/text: x has no audio in wav.scp"),
        ("wav.scp", "train-0 a.ark:17\n", "a part of an archive"),
        ("reco2file_and_channel", "train-0 f B\n", "a channel of its own"),
    ],
)
def test_a_wrong_row_of_a_kaldi_table_is_named(kaldi, table, content, said):
    (kaldi / "train" / table).write_text(content)
    with pytest.raises(InputError, match=said):
        load_corpus(DataSpec(name="kaldi", path=str(kaldi)))


def test_a_manifest_in_another_encoding_is_named(manifest, tmp_path):
    spec = manifest(ROWS)
    (tmp_path / "m.jsonl").write_bytes('{"text": "é"}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"m.jsonl is not UTF-8 \(line 1, byte 10\)"):
        load_corpus(spec)


def test_a_text_may_hold_any_line_separator_of_unicode(manifest, tmp_path):
    rows = changed(1, text="one\u2028two")
    spec = manifest(rows)
    (tmp_path / "m.jsonl").write_text(
        "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    )
    assert load_corpus(spec).train[0].reference == "one\u2028two"


def test_songs_of_ravdess_are_no_speech(tmp_path, write_tone):
    for actor in ("01", "02"):
        for channel, emotion in (("01", "03"), ("02", "03"), ("01", "05")):
            write_tone(f"r/Actor_{actor}/03-{channel}-{emotion}-01-01-01-{actor}.wav", 0.2)
    found = list_clips(DataSpec(name="ravdess", path=str(tmp_path / "r")))
    assert len(found.clips) == 4
    assert found.source.endswith("(2 songs left out)")
    for path in (tmp_path / "r").rglob("03-01-*.wav"):
        path.unlink()
    with pytest.raises(MissingResourceError, match="holds songs alone"):
        list_clips(DataSpec(name="ravdess", path=str(tmp_path / "r")))
