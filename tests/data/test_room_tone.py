"""Joined clips: the recordings' own background between them, and databases of before kept apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from runner.data.audio import SAMPLE_RATE
from runner.data.clips import Clip, DataSpec, corpus_digest
from runner.data.packing import ROOM_TONE_SECONDS, join, joined_seconds, load_clip
from runner.data.prompts import without_lists
from runner.data.room_tone import room_tone


def rms(audio):
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))


def spoken(level, seed=0, seconds=0.6):
    """A loud middle between quiet edges of noise."""
    rng = np.random.default_rng(seed)
    audio = level * rng.standard_normal(round(seconds * SAMPLE_RATE))
    audio[len(audio) // 3 : -len(audio) // 3] += (
        0.3
        * rng.standard_normal(len(audio) // 3 + 1)[: len(audio[len(audio) // 3 : -len(audio) // 3])]
    )
    return audio.astype(np.float32)


@given(st.integers(1, 20_000), st.sampled_from([1e-4, 1e-3, 1e-2]))
def test_room_tone_is_as_loud_as_the_background_and_as_long_as_asked(n, level):
    tone = room_tone(spoken(level), spoken(level, seed=1), n)
    assert tone.shape == (n,)
    assert tone.dtype == np.float32
    if n > 4000:
        assert 0.5 * level < rms(tone) < 1.6 * level


def test_tone_between_two_rooms_goes_from_one_to_the_other():
    tone = room_tone(spoken(1e-4), spoken(1e-2), 8000)
    assert rms(tone[:1000]) < 0.2 * rms(tone[-1000:])


def test_silent_and_tiny_recordings_give_silence_and_no_fault():
    nothing = np.zeros(1, np.float32)
    assert not room_tone(nothing, nothing, 500).any()
    assert room_tone(nothing, nothing, 0).size == 0


@pytest.fixture
def clips(tmp_path):
    found = []
    for i in range(3):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, spoken(1e-3, seed=i), SAMPLE_RATE)
        found.append(
            Clip(
                utterance_id=f"{i}",
                path=path,
                reference=f"word {i}",
                speaker="a",
                audio_seconds=0.6,
            )
        )
    return found


def test_joined_clips_have_no_digital_silence_between_them(clips):
    toned = [dataclasses.replace(c, gap="room-tone") for c in clips]
    (one,) = join(toned, 60)
    audio = load_clip(one)
    assert len(audio) / SAMPLE_RATE == pytest.approx(one.audio_seconds, abs=1e-3)
    assert one.audio_seconds == pytest.approx(3 * 0.6 + 2 * ROOM_TONE_SECONDS)
    assert (audio == 0).mean() < 0.01
    assert (load_clip(join(clips, 60)[0]) == 0).mean() > 0.2


def test_how_clips_are_joined_is_part_of_the_digest_and_what_was_before_keeps_its_own(clips):
    toned = [dataclasses.replace(c, gap="room-tone") for c in clips]
    assert corpus_digest(toned) != corpus_digest(clips)
    assert joined_seconds(toned) < joined_seconds(clips)


def test_a_gap_that_is_not_known_is_refused():
    with pytest.raises(InputError, match="applause"):
        DataSpec(join_gap="applause")


def test_the_default_prompts_hold_no_number_lists_and_no_text_twice():
    texts = {"digits/7": "seven", "vm-press": "Press", "a": "press.", "digits/mon-0": "January"}
    assert without_lists(texts) == {"vm-press": "Press"}
