import itertools
from pathlib import Path

import numpy as np
import pytest

from planner.errors import MissingResourceError
from runner.data.check import check
from runner.data.clips import DataSpec, normalised
from runner.data.corpus import load_clip, load_corpus
from runner.data.prompts import TEXTS, transcripts
from runner.data.splits import prompt_groups

EMODB = Path(__file__).parents[2].parent / "shared" / "data" / "emodb"


@pytest.fixture(scope="module")
def prompts():
    return load_corpus(DataSpec(join_seconds=20.0, test_fraction=0.4))


@pytest.mark.weights
def test_the_built_in_prompts_are_whole_and_of_one_speaker(prompts):
    plain = [p for c in prompts.clips for p in (c.parts or (c,))]
    assert len(plain) == 458
    assert sum(p.audio_seconds for p in plain) / 60 == pytest.approx(22.57, abs=0.01)
    assert {p.speaker for p in plain} == {"allison"}
    assert not any(p.fault for p in plain)
    assert not any(ch in p.reference for p in plain for ch in "[]<>*#")


@pytest.mark.weights
def test_no_prompt_is_trained_on_and_scored(prompts):
    assert prompts.split_policy == "prompt-disjoint"
    plain = [p for c in prompts.clips for p in (c.parts or (c,))]
    groups = dict(zip((p.utterance_id for p in plain), prompt_groups(plain), strict=True))
    by_split = {
        s: {groups[p.utterance_id] for p in plain if p.split == s}
        for s in ("train", "validation", "test")
    }
    assert all(not a & b for a, b in itertools.combinations(by_split.values(), 2))


@pytest.mark.weights
def test_joined_prompts_are_heard_for_as_long_as_they_say(prompts):
    for clip in prompts.test[:5]:
        audio = load_clip(clip)
        assert len(audio) / 16_000 == pytest.approx(clip.audio_seconds, abs=0.01)
        assert np.sqrt(np.mean(audio**2)) > 0.01


@pytest.mark.weights
def test_the_same_request_gives_the_same_prompts_from_the_cache(prompts):
    again = load_corpus(DataSpec(join_seconds=20.0, test_fraction=0.4), offline=True)
    assert again.digest == prompts.digest
    assert again.source.startswith("cache: Debian packages asterisk-core-sounds-en-wav 1.6.1-1")


@pytest.mark.weights
def test_the_report_on_the_prompts_finds_nothing_broken_and_nothing_repeated(prompts):
    report = check(prompts)
    assert (report["broken"], report["silent"], report["repeated_texts"]) == ([], [], 0)
    assert report["duration_seconds"]["p100"] == pytest.approx(73.35, abs=0.01)


def test_prompts_that_cannot_be_had_say_what_was_tried_and_what_to_do(tmp_path):
    with pytest.raises(MissingResourceError, match=f"tried: .*{TEXTS.name}.*give a folder"):
        load_corpus(DataSpec(), cache=tmp_path, offline=True)
    with pytest.raises(MissingResourceError, match="dpkg-deb -x"):
        load_corpus(DataSpec(path=str(tmp_path)))


def test_transcripts_keep_speech_and_drop_noises_and_notes():
    text = "; c\n\na: One: two.\nbeep: [beep]\nj: <x>\nk: A (note)\nl: press *\nletters/b: b\ne:\n"
    assert transcripts(text) == {"a": "One: two."}


@pytest.mark.skipif(not EMODB.is_dir(), reason=f"no EmoDB beside the project, at {EMODB}")
def test_emodb_is_read_whole_and_split_by_speaker():
    corpus = load_corpus(DataSpec(name="emodb", path=str(EMODB)))
    assert len(corpus.clips) == 535
    assert len(corpus.labels) == 7
    assert (corpus.split_policy, corpus.speaker_overlap) == ("speaker-disjoint", 0)
    assert len({c.speaker for c in corpus.clips}) == 10
    assert {c.audio_seconds for c in corpus.clips} == {2.0}
    counts = check(corpus)["labels"]
    assert (counts["anger"], counts["disgust"]) == (127, 46)


def test_normalised_texts_are_words_alone():
    assert normalised("…To leave, press: “1”! Don't_") == "to leave press 1 don't"
