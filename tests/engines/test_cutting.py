"""Windows hold at most x_T, come in order, and hear all of the speech."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import MissingResourceError, UnknownNameError
from runner.data.audio import SAMPLE_RATE
from runner.engines import cutting
from runner.engines.cutting import by_energy, require_cut, spans
from runner.trial.segment import segments
from tests.models.micro import speechlike

INSTALLED = cutting._silero_file() is not None
CUTS = [
    "consecutive",
    "energy",
    pytest.param(
        "silero", marks=pytest.mark.skipif(not INSTALLED, reason="no package with Silero's network")
    ),
]


def said(*pattern, seed=0):
    """Speech and silence in turn (s), over a faint hiss."""
    parts = [
        speechlike(seconds, seed + i) if i % 2 == 0 else np.zeros(round(seconds * SAMPLE_RATE))
        for i, seconds in enumerate(pattern)
    ]
    out = np.concatenate(parts)
    hiss = 1e-4 * np.random.default_rng(seed).standard_normal(len(out))
    return (out + hiss).astype(np.float32)


@pytest.mark.parametrize("how", CUTS)
@given(
    pattern=st.lists(st.floats(0.1, 3.0), min_size=1, max_size=6),
    audio_seconds=st.sampled_from([1.0, 2.0, 5.0]),
)
@settings(max_examples=20, deadline=None)
def test_windows_come_in_order_and_hold_at_most_x_t(how, pattern, audio_seconds):
    samples = said(*pattern)
    found = spans(samples, audio_seconds, how, "pause")
    edges = [edge for span in found for edge in span]
    assert edges == sorted(edges)
    assert all(0 < end - first <= audio_seconds * SAMPLE_RATE for first, end in found)
    assert all(0 <= edge <= len(samples) for edge in edges)


@pytest.mark.parametrize("window_cut", ["pause", "fixed"])
def test_consecutive_windows_are_those_of_scoring(window_cut):
    samples = said(2.0, 0.5, 3.0)
    found = spans(samples, 1.5, "consecutive", window_cut)
    cut = segments(samples, 1.5, "window", window_cut)
    assert [end - first for first, end in found] == [len(window) for window in cut]
    assert found[0][0] == 0
    assert found[-1][1] == len(samples)


def heard(found, n):
    """Which samples lie in a window."""
    mask = np.zeros(n, dtype=bool)
    for first, end in found:
        mask[first:end] = True
    return mask


def test_silence_between_speech_is_not_heard_and_all_of_the_speech_is():
    samples = said(1.0, 4.0, 1.5, 6.0, 0.8)
    mask = heard(spans(samples, 5.0, "energy", "pause"), len(samples))
    inside = np.cumsum([0, 1.0, 4.0, 1.5, 6.0, 0.8])
    speech = np.concatenate(
        [
            np.arange(round(a * 16_000), round(b * 16_000))
            for a, b in zip(inside[::2], inside[1::2], strict=True)
        ]
    )
    loud = speech[np.abs(samples[speech]) > 0.01]
    assert mask[loud].all()
    assert mask.mean() < 0.4


@pytest.mark.parametrize("gain", [0.03, 0.3, 8.0])
def test_speech_is_found_at_any_level(gain):
    samples = said(1.0, 2.0, 1.5)
    assert by_energy((gain * samples).astype(np.float32)) == by_energy(samples)


@pytest.mark.parametrize("how", CUTS[1:])
def test_a_silent_recording_has_no_windows(how):
    assert spans(np.zeros(48_000, dtype=np.float32), 2.0, how, "pause") == []


def test_steady_noise_is_heard_whole():
    noise = (0.1 * np.random.default_rng(0).standard_normal(64_000)).astype(np.float32)
    assert heard(spans(noise, 2.0, "energy", "pause"), len(noise)).all()


@pytest.mark.skipif(not INSTALLED, reason="no package with Silero's network")
@pytest.mark.weights
def test_silero_hears_recorded_speech_at_any_level():
    from runner.data.clips import DataSpec
    from runner.data.corpus import load_corpus
    from runner.data.packing import load_clip

    clips = load_corpus(DataSpec(name="prompts", task="asr")).clips[:20]
    for clip in (c for c in clips if c.audio_seconds > 1):
        samples = load_clip(clip)
        quiet = (np.round(0.01 * samples * 32768) / 32768).astype(np.float32)
        plain, faint = (
            heard(spans(one, 30.0, "silero", "pause"), len(samples)).mean()
            for one in (samples, quiet)
        )
        assert plain > 0.5
        assert faint == pytest.approx(plain, abs=0.25)


def test_an_unknown_cut_names_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"unknown cut 'silro'.*did you mean silero"):
        require_cut("silro")


def test_silero_without_its_network_says_what_to_install(monkeypatch):
    monkeypatch.setattr(cutting, "SILERO_FILES", ())
    with pytest.raises(MissingResourceError, match=r"pip install 'soundscale\[vad\]'"):
        require_cut("silero")
