"""A corpus is of one language, its prompt and its scorer follow it, and English alone is refused the rest."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import BUILT_IN
from planner.words.languages import LANGUAGES, check_language
from planner.words.records import TOKENS_PER_SECOND_ABROAD
from runner.data.check import check
from runner.data.clips import DataSpec
from runner.data.corpus import list_clips, load_corpus
from runner.data.languages import THREE_LETTERS, code_of, not_english
from runner.models.decode import Specials
from runner.sweep.expand import expand
from runner.sweep.file import parse_spec
from runner.sweep.prepare import _check_language

GERMAN = ["das Mädchen läuft über die Straße", "wir hören später davon", "schöne Grüße aus Köln"]
HINDI = ["वह घर जा रहा है", "मुझे पानी चाहिए", "आज मौसम अच्छा है"]


@pytest.fixture
def corpus(tmp_path):
    """A manifest of tones with such texts, three rows to train on and three to score."""

    def make(texts, languages=None, **request):
        rng = np.random.default_rng(0)
        rows = []
        for i, text in enumerate([*texts, *texts]):
            soundfile.write(tmp_path / f"{i}.wav", 0.1 * rng.standard_normal(16_000), 16_000)
            row = {"path": f"{i}.wav", "text": text, "split": "train" if i < len(texts) else "test"}
            if languages:
                row["language"] = languages[i % len(languages)]
            rows.append(json.dumps(row, ensure_ascii=False))
        path = tmp_path / "m.jsonl"
        path.write_text("\n".join(rows), encoding="utf-8")
        return load_corpus(DataSpec(name="manifest", path=str(path), task="asr", **request))

    return make


def spec_of(backbone="whisper-base", **data):
    table = {
        "name": "s", "task": "asr", "data": {"name": "manifest"} | data,
        "axes": {"backbone": backbone, "audio_seconds": 8},
    }  # fmt: skip
    return parse_spec(table, "s.toml")


def test_the_prompt_of_every_language_has_the_ids_of_transformers_tokenizer():
    from transformers.models.whisper.tokenization_whisper import LANGUAGES as KNOWN

    assert list(LANGUAGES) == list(KNOWN)
    assert Specials.of(51865, "fr").prompt == (50258, 50265, 50359, 50363)
    assert Specials.of(51865, "en") == Specials.of(51865)
    assert Specials.of(51866, "yue").prompt[1] == 50358


def test_english_only_checkpoints_are_refused_other_languages_before_anything_is_stored():
    with pytest.raises(InputError, match=r"whisper-tiny\.en writes English alone.*is sv"):
        spec_of("whisper-tiny.en", language="sv")
    with pytest.raises(InputError, match="no prompt for sv"):
        Specials.of(51864, "sv")
    with pytest.raises(InputError, match="came with large-v3"):
        check_language(BUILT_IN.backbone("whisper-base"), "yue")
    check_language(BUILT_IN.backbone("whisper-large-v3"), "yue")
    spec_of("whisper-tiny.en", language="en")


def test_a_language_that_whisper_does_not_know_is_refused_by_name():
    with pytest.raises((InputError, UnknownNameError), match="klingon"):
        spec_of(language="klingon")


def test_trials_take_language_scorer_and_rate_of_tokens_from_the_data(corpus):
    ((trial, _),) = expand(spec_of(language="de"), corpus(GERMAN, ["de"], language="de"))
    assert (trial.language, trial.normaliser) == ("de", "unicode")
    assert trial.decoding.max_tokens_per_second == TOKENS_PER_SECOND_ABROAD
    ((english, _),) = expand(spec_of(language="en"), corpus(GERMAN))
    ((unsaid, _),) = expand(spec_of(), corpus(GERMAN))
    assert english.fingerprint == unsaid.fingerprint != trial.fingerprint
    assert (english.language, english.normaliser) == (None, "whisper-english")


def test_a_source_of_several_languages_is_taken_one_at_a_time(corpus):
    both = [*GERMAN, *HINDI]
    with pytest.raises(InputError, match=r"several languages .*(de 6, hi 6|hi 6, de 6)"):
        corpus(both, ["de-DE"] * 3 + ["Hindi"] * 3)
    german = corpus(both, ["de-DE"] * 3 + ["Hindi"] * 3, language="de")
    assert {c.reference for c in german.clips} == set(GERMAN)
    with pytest.raises(InputError, match="no clip in fr"):
        corpus(GERMAN, ["de"], language="fr")


def test_a_source_of_another_language_is_not_taken_for_english(corpus):
    with pytest.raises(InputError, match="another language than English"):
        corpus(GERMAN, ["de"])


def test_text_in_another_script_needs_its_language_and_accents_are_said(corpus):
    said = []
    with pytest.raises(InputError, match=r"another script.*data\.language"):
        _check_language(spec_of(), corpus(HINDI), said.append)
    _check_language(spec_of(), corpus(GERMAN), said.append)
    assert len(said) == 1
    assert "taken for English" in said[0]
    _check_language(spec_of(language="hi"), corpus(HINDI), said.append)
    assert len(said) == 1


def test_data_check_says_so_before(corpus):
    assert "another script" in check(corpus(HINDI))["not_english"]
    assert "not English" in check(corpus(GERMAN))["not_english"]
    assert check(corpus(["hold the line", "press one", "go on"]))["not_english"] is None


def test_loan_words_do_not_make_a_text_foreign():
    english = ["please hold the line for the next agent in the queue"] * 20
    assert not_english([*english, "at the café"]) is None


def test_data_check_names_utterances_whose_numbers_can_be_written_two_ways(corpus):
    found = check(corpus(["press one", "ten eleven one forty", "call 2 0 7 now"]))["number_format"]
    assert found == ["4", "5"]


@pytest.fixture
def kaldi(tmp_path):
    """A folder of two utterances with the given table of languages."""

    def make(languages):
        for i in range(2):
            soundfile.write(
                tmp_path / f"{i}.wav",
                0.1 * np.random.default_rng(i).standard_normal(16_000),
                16_000,
            )
        tables = {
            "wav.scp": "a 0.wav\nb 1.wav",
            "text": "a hallo da\nb guten tag",
            "utt2lang": languages,
        }
        for name, text in tables.items():
            (tmp_path / name).write_text(text)
        return DataSpec(name="kaldi", path=str(tmp_path), test_fraction=0.5, validation_fraction=0)

    return make


def test_a_kaldi_folder_says_its_language_and_is_not_taken_for_english(kaldi):
    spec = kaldi("a deu\nb german")
    with pytest.raises(
        InputError, match=r"another language than English by its own account \(de 2 clips"
    ):
        load_corpus(spec)
    assert {c.language for c in load_corpus(dataclasses.replace(spec, language="de")).clips} == {
        "de"
    }
    with pytest.raises(InputError, match="b has no language in utt2lang"):
        load_corpus(kaldi("a eng"))
    assert len(load_corpus(kaldi("a eng\nb en_US")).clips) == 2


def test_a_cut_of_lhotse_and_a_manifest_of_canary_say_their_language(tmp_path):
    soundfile.write(tmp_path / "0.wav", np.zeros(16_000), 16_000)
    said = {"start": 0, "duration": 1.0, "text": "bonjour", "language": "French"}
    cut = {
        "id": "c", "start": 0, "duration": 1.0, "channel": 0, "type": "MonoCut", "supervisions": [said],
        "recording": {"id": "r", "sources": [{"type": "file", "source": "0.wav", "channels": [0]}]},
    }  # fmt: skip
    row = {"audio_filepath": "0.wav", "text": "bonjour", "source_lang": "fr", "id": "d"}
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(map(json.dumps, (cut, row))))
    found = list_clips(DataSpec(name="manifest", path=str(path))).clips
    assert [c.language for c in found] == ["fr", "fr"]


def test_codes_of_three_letters_are_those_of_the_names():
    from transformers.models.whisper.tokenization_whisper import LANGUAGES as KNOWN

    assert set(THREE_LETTERS.values()) == set(KNOWN)
    assert {long[:2] for long, code in THREE_LETTERS.items() if code == long[:2]} > {
        "en",
        "fr",
        "ru",
    }
    assert (code_of("deu"), code_of("ger"), code_of("cmn"), code_of("en")) == (
        "de",
        "de",
        "zh",
        "en",
    )
