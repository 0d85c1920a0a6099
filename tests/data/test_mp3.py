"""An MP3 is as long as its frames, whatever its header says or leaves out."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from runner.data.audio import AudioError, header_seconds, read_audio
from runner.data.mp3 import count_frames, with_length

RATE = 16_000
NOISE = np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32) * 0.3
QUIET_FIRST = np.concatenate([np.zeros(3 * RATE, np.float32), NOISE])


def mp3(samples, rate=RATE):
    """With libsndfile's Xing frame, of a varying bit rate."""
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", rate, 1, format="MP3", bitrate_mode="VARIABLE") as file:
        file.write(samples)
    return out.getvalue()


def bare(raw):
    """Without the Xing frame, as FFmpeg writes to a pipe."""
    found = count_frames(raw)
    assert found.has_header
    after = next(
        i
        for i in range(found.first + 4, len(raw))
        if raw[i : i + 2] == raw[found.first : found.first + 2]
    )
    return raw[after:]


@pytest.mark.parametrize(
    "samples", [QUIET_FIRST, QUIET_FIRST[::-1]], ids=["quiet first", "loud first"]
)
def test_a_stream_without_a_length_is_read_whole(tmp_path, samples):
    path = tmp_path / "a.mp3"
    path.write_bytes(bare(mp3(samples)))
    assert soundfile.info(path).duration != pytest.approx(6, abs=0.3)
    assert header_seconds(path) == pytest.approx(6, abs=0.15)
    assert len(read_audio(path)) / RATE == pytest.approx(6, abs=0.15)


def test_frames_agree_with_the_header_that_an_encoder_writes():
    for rate in (8_000, 16_000, 22_050, 44_100, 48_000):
        found = count_frames(mp3(QUIET_FIRST, rate))
        assert abs(found.n_frames - found.n_promised) <= 1
        assert found.rate == rate


def test_a_tag_in_front_and_garbage_behind_are_no_frames():
    raw = bare(mp3(NOISE))
    tag = b"ID3\x04\0\0\0\0\0\x0a" + b"\xff\xfb" + bytes(8)
    assert count_frames(tag + raw + b"TAG" + bytes(125)).n_frames == count_frames(raw).n_frames


def test_two_files_joined_are_named(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3(NOISE) + mp3(NOISE))
    with pytest.raises(AudioError, match="as in joined files"):
        read_audio(path)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff", b"ID3", b"\xff\xfb\x90\x00" * 9, bytes(4000), b"RIFF"]
)
def test_bytes_that_are_no_stream_are_left_alone(raw):
    assert count_frames(raw) is None
    assert with_length(raw) is None


def test_the_companion_that_macos_leaves_beside_a_file_takes_nothing_from_it(tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(mp3(NOISE))
    n_samples = len(read_audio(path))
    path.with_name("._a.mp3").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00" + bytes(400))
    assert len(read_audio(path)) == n_samples == pytest.approx(3 * RATE, abs=2400)


def test_an_mp3_under_another_name_is_counted_too(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(bare(mp3(QUIET_FIRST)))
    assert len(read_audio(path)) / RATE == pytest.approx(6, abs=0.15)
