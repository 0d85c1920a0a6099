import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from runner.data.audio import AudioError, clipped_fraction, header_seconds, read_audio


def peak_hz(audio):
    return np.abs(np.fft.rfft(audio)).argmax() * 16_000 / len(audio)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_any_rate_and_channel_count_becomes_mono_16_khz_with_its_pitch_kept(
    write_tone, rate, channels, suffix
):
    audio = read_audio(write_tone(f"a.{suffix}", 1.0, rate, channels))
    assert audio.dtype == np.float32
    assert audio.shape == (16_000,)
    assert peak_hz(audio) == pytest.approx(440, abs=1)
    assert np.abs(audio[1000:-1000]).max() == pytest.approx(0.5, rel=0.02)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(100, 0.5), np.full(100, -0.1)], axis=1)
    soundfile.write(tmp_path / "s.wav", stereo, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "s.wav"), 0.2, atol=1e-7)


def nan(path: Path):
    soundfile.write(path, np.array([0.1, np.nan, 0.2], dtype=np.float32), 16_000, subtype="FLOAT")


def infinite(path: Path):
    soundfile.write(path, np.array([0.1, np.inf], dtype=np.float32), 16_000, subtype="FLOAT")


def cut(path: Path, suffix: str):
    whole = path.with_suffix(f".whole.{suffix}")
    noise = np.random.default_rng(0).normal(size=16_000) * 0.1
    soundfile.write(whole, noise, 16_000)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


BREAK = {
    "no bytes": ("a.wav", lambda p: p.write_bytes(b""), "empty"),
    "no samples": ("a.wav", lambda p: soundfile.write(p, np.zeros(0), 16_000), "empty"),
    "NaN": ("a.wav", nan, "not finite"),
    "infinite": ("a.wav", infinite, "not finite"),
    "half a WAV": ("a.wav", lambda p: cut(p, "wav"), "truncated"),
    "half a FLAC": ("a.flac", lambda p: cut(p, "flac"), "truncated"),
    "a text file": ("a.wav", lambda p: p.write_text("not audio at all"), "unreadable"),
    "not there": ("a.wav", lambda p: None, "missing"),
}


@pytest.mark.parametrize(("name", "damage", "fault"), BREAK.values(), ids=BREAK.keys())
def test_each_fault_of_a_file_is_named_with_the_file(tmp_path, name, damage, fault):
    damage(tmp_path / name)
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / name)
    assert caught.value.fault == fault
    assert str(tmp_path / name) in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_audio_error_crosses_process_borders_whole():
    error = AudioError(Path("a.wav"), "truncated", "3 of 5 samples")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.fault, again.path) == (str(error), error.fault, error.path)


def test_a_wav_whose_writer_left_the_size_open_is_read(write_tone):
    path = write_tone("stream.wav", 0.5)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert len(read_audio(path)) == 8_000


def test_chunks_before_the_samples_do_not_look_like_a_cut(write_tone):
    path = write_tone("list.wav", 0.25)
    content = path.read_bytes()
    at = content.index(b"data")
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    path.write_bytes(content[:at] + extra + content[at:])
    assert len(read_audio(path)) == 4_000


def test_the_header_gives_the_duration(write_tone):
    assert header_seconds(write_tone("a.flac", 1.25, 8_000)) == pytest.approx(1.25)


def test_clipping_is_the_share_of_samples_at_full_scale():
    assert clipped_fraction(np.array([1.0, -1.0, 0.5, 0.0], dtype=np.float32)) == 0.5
