"""What borders cost is the words that a recogniser loses there and nowhere else, counted exactly."""

import dataclasses

import numpy as np
import pytest
import soundfile

from planner.words.records import Decoding, Evaluation, Utterance
from runner.data.audio import SAMPLE_RATE
from runner.data.clips import Clip
from runner.engines.base import Output
from runner.engines.borders import border_loss
from runner.engines.description import Description
from runner.engines.runtime import Model

WORD_SECONDS, PAUSE_SECONDS = 0.5, 0.6


class HearsWholeWords:
    """Writes `la` for every tone of at least nine tenths of a word: what a border splits, it does not hear."""

    version = "1"

    def run(self, windows, *, exactly=None, confidences=False):
        return [Output(text=" ".join(["la"] * self._words(w)), confidence=1.0) for w in windows]

    def _words(self, window):
        loud = np.convolve(np.abs(window), np.ones(160) / 160, "same") > 0.05
        edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
        lengths = np.diff(edges.reshape(-1, 2), axis=1)
        return int((lengths > 0.9 * WORD_SECONDS * SAMPLE_RATE).sum())


@pytest.fixture
def model():
    about = Description(
        format="onnx", precision="float32", task="asr", family="whisper", backbone="made", label="made",
        audio_seconds=2.0, reduction="none", tokens_per_second=50.0, normaliser="none",
        decoding=Decoding(window_cut="fixed"),
    )  # fmt: skip
    return Model(about, HearsWholeWords())


@pytest.fixture
def clips(tmp_path):
    tone = 0.3 * np.sin(
        2 * np.pi * 300 * np.arange(round(WORD_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    )
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE))
    out = []
    for n_words in (1, 5, 9):
        samples = np.concatenate([part for _ in range(n_words) for part in (tone, pause)])
        path = tmp_path / f"{n_words}.wav"
        soundfile.write(path, samples, SAMPLE_RATE)
        out.append(
            Clip(
                utterance_id=path.stem, path=path, reference=" ".join(["la"] * n_words),
                audio_seconds=len(samples) / SAMPLE_RATE,
            )
        )  # fmt: skip
    return out


def scored(model, clips):
    """The clips in consecutive windows, as an evaluation holds them."""
    heard = [model.transcribe(clip.path, cut="consecutive").text for clip in clips]
    rows = tuple(
        Utterance(
            utterance_id=c.utterance_id, speaker=None, reference=c.reference, hypothesis=text,
            audio_seconds=c.audio_seconds, n_units=0, n_errors=0,
        )
        for c, text in zip(clips, heard, strict=True)
    )  # fmt: skip
    return Evaluation(
        split="test", metric="wer", error=0.0, n_utterances=len(rows), utterances=rows
    )


def split_words(clip, size=2.0):
    """Words that a border at a multiple of the window falls into, by arithmetic."""
    step = WORD_SECONDS + PAUSE_SECONDS
    starts = [i * step for i in range(len(clip.reference.split()))]
    ends = np.arange(size, clip.audio_seconds, size)
    return sum(any(s + 0.05 < e < s + WORD_SECONDS - 0.05 for e in ends) for s in starts)


def test_the_loss_is_the_share_of_words_that_borders_split(model, clips):
    found = border_loss(model, clips, scored(model, clips))
    longer = clips[1:]
    expected = sum(map(split_words, longer)) / 14
    assert expected > 0
    assert found["error_share"] == found["lost_share"] == pytest.approx(expected)
    assert (found["n_words"], found["n_clips"]) == (14, 2)
    assert found["n_borders"] == sum(int(np.ceil(c.audio_seconds / 2.0)) - 1 for c in longer)


def test_where_borders_fall_into_pauses_nothing_is_lost(model, clips):
    pause = dataclasses.replace(model.about, decoding=Decoding(window_cut="pause"))
    gentle = Model(pause, model.engine)
    assert border_loss(gentle, clips, scored(gentle, clips))["error_share"] == 0


def test_clips_that_fit_a_window_have_no_borders(model, clips):
    assert border_loss(model, clips[:1], scored(model, clips[:1])) is None
