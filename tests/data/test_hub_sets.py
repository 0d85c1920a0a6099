import wave
from io import BytesIO

import pytest

from planner.errors import InputError, MissingResourceError
from runner.data.clips import DataSpec
from runner.data.corpus import load_corpus
from runner.data.hub_sets import _language_of


def spoken(seconds):
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(b"\1\0" * round(8_000 * seconds))
    return out.getvalue()


@pytest.fixture
def parquet_set(tmp_path, monkeypatch):
    """A data set as the hub stores them: a folder of parquet files, one for each split."""
    datasets = pytest.importorskip("datasets", reason="the optional library datasets is not here")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    kinds = datasets.Features(
        {
            "audio": stored,
            "text": datasets.Value("string"),
            "emotion": datasets.ClassLabel(names=["anger", "joy"]),
            "speaker_id": datasets.Value("int64"),
        }
    )
    for split, n in (("train", 3), ("test", 2)):
        rows = [
            {"audio": {"bytes": spoken(0.5), "path": f"{i}.wav"}, "text": f"{split} {i}",
             "emotion": i % 2, "speaker_id": i}
            for i in range(n)
        ]  # fmt: skip
        folder = tmp_path / "set" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        # Encoding through Audio() needs torchcodec; casting the stored bytes does not.
        table = datasets.Dataset.from_list(rows, features=kinds)
        table = table.cast_column("audio", datasets.Audio(decode=False))
        table.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return str(tmp_path / "set")


def test_a_hub_data_set_is_exported_once_and_then_read_from_the_cache(parquet_set, tmp_path):
    spec = DataSpec(name=parquet_set)
    first = load_corpus(spec, cache=tmp_path / "cache")
    assert [c.reference for c in first.train] == ["train 0", "train 1", "train 2"]
    assert [(c.speaker, c.audio_seconds) for c in first.test] == [("0", 0.5), ("1", 0.5)]
    again = load_corpus(spec, cache=tmp_path / "cache", offline=True)
    assert again.digest == first.digest
    assert [c.source.split(" data set")[0] for c in (first, again)] == ["hub", "cache: hub"]


@pytest.mark.parametrize(
    ("features", "config", "said"),
    [
        ({"text": None, "locale": None}, None, "sv-SE"),
        ({"text": None}, "german", "de"),
        ({"text": None}, "fr_fr", "fr"),
        ({"text": None}, "clean", None),
        ({"text": None}, None, None),
    ],
)
def test_a_hub_data_set_says_its_language_by_a_column_or_its_configuration(features, config, said):
    row = {"text": "a", "locale": "sv-SE"}
    spoken = _language_of(DataSpec(name="x/y", config=config), features)
    assert spoken({k: row[k] for k in features}) == said


def test_labels_of_a_hub_data_set_keep_their_names(parquet_set, tmp_path):
    corpus = load_corpus(DataSpec(name=parquet_set, task="emotion"), cache=tmp_path / "cache")
    assert corpus.labels == ("anger", "joy")
    assert [c.reference for c in corpus.train] == ["anger", "joy", "anger"]


def test_a_wrong_column_of_a_hub_data_set_is_named_with_those_there(parquet_set, tmp_path):
    spec = DataSpec(name=parquet_set, task="asr", text_column="words")
    with pytest.raises(InputError, match="columns audio, text, emotion, speaker_id"):
        load_corpus(spec, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache" / "data").glob("hub-*[!k]"))


def test_a_hub_data_set_without_the_hub_says_what_to_do(tmp_path):
    with pytest.raises(MissingResourceError, match="hub is switched off; allow it, or give a mani"):
        load_corpus(DataSpec(name="someone/some-speech"), cache=tmp_path, offline=True)
