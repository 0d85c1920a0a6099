"""A header is held against its file before anything is allocated by it; a bad one is a fault of that file."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from runner.data.audio import AudioError, header_seconds, read_audio
from runner.data.containers import missing_bytes
from tests.data import mutated_audio

NOISE = (np.random.default_rng(0).standard_normal(16_000) * 0.1).astype(np.float32)
SIZED = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF"]


def written(kind, subtype="PCM_16", **more):
    out = io.BytesIO()
    soundfile.write(out, NOISE, 16_000, format=kind, subtype=subtype, **more)
    return out.getvalue()


@pytest.mark.parametrize("kind", SIZED)
def test_a_file_that_was_cut_is_named_in_every_container_that_says_its_size(tmp_path, kind):
    path = tmp_path / "a.snd"
    path.write_bytes(written(kind))
    assert len(read_audio(path)) == 16_000
    path.write_bytes(written(kind)[:-2_000])
    with pytest.raises(AudioError, match=r"truncated .2000 bytes fewer than its header says"):
        read_audio(path)


def test_a_wav_of_the_other_byte_order_is_measured_too():
    raw = written("WAV", endian="BIG")
    assert raw[:4] == b"RIFX"
    assert missing_bytes(io.BytesIO(raw)) == 0
    assert missing_bytes(io.BytesIO(raw[:-10])) == 10


@pytest.mark.parametrize("size", [0x80000000, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("around", [0, 36, 0xFFFFFFFF])
def test_a_recording_that_was_interrupted_is_read_to_its_end(tmp_path, size, around):
    raw = bytearray(written("WAV"))
    at = raw.index(b"data") + 4
    raw[at : at + 4] = struct.pack("<I", size)
    raw[4:8] = struct.pack("<I", (size + around) % 2**32)
    path = tmp_path / "arecord.wav"
    path.write_bytes(raw)
    assert header_seconds(path) == 1.0
    assert len(read_audio(path)) == 16_000


@pytest.mark.parametrize("rate", [1, 7, 999, 1_000_000, 0x7FFFFFFF])
def test_a_rate_that_nothing_was_recorded_at_is_a_fault_of_the_file(tmp_path, rate):
    raw = bytearray(written("WAV"))
    raw[24:28] = struct.pack("<I", rate)
    (tmp_path / "a.wav").write_bytes(raw)
    with pytest.raises(AudioError, match=f"its header says {rate} Hz|unreadable"):
        read_audio(tmp_path / "a.wav")


def test_more_samples_than_the_file_can_hold_are_not_allocated(tmp_path):
    raw = bytearray(written("FLAC"))
    # The last 36 bits before the checksum of STREAMINFO: the number of samples.
    raw[21:26] = bytes([raw[21] | 0x0F, 255, 255, 255, 255])
    (tmp_path / "a.flac").write_bytes(raw)
    with pytest.raises(AudioError, match=r"its header says .* s at 16000 Hz, and the file has"):
        header_seconds(tmp_path / "a.flac")


def test_a_flac_that_says_no_length_is_named(tmp_path):
    raw = bytearray(written("FLAC"))
    raw[21:26] = bytes([raw[21] & 0xF0, 0, 0, 0, 0])
    (tmp_path / "a.flac").write_bytes(raw)
    with pytest.raises(AudioError, match="replace the file or drop its row"):
        read_audio(tmp_path / "a.flac")


@pytest.mark.parametrize(
    ("kind", "subtype"), [("WAV", "GSM610"), ("WAV", "IMA_ADPCM"), ("CAF", "ALAC_16")]
)
def test_compressed_samples_are_read_or_named(tmp_path, kind, subtype):
    path = tmp_path / "a.wav"
    path.write_bytes(written(kind, subtype))
    assert len(read_audio(path)) >= 16_000
    path.write_bytes(path.read_bytes()[:1_500])
    with pytest.raises(AudioError):
        read_audio(path)


def test_many_channels_are_averaged_block_by_block(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.tile(NOISE[:2_000, None], (1, 512)), 16_000)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav"), NOISE[:2_000], atol=1e-4)


def test_a_file_without_a_header_is_unreadable_and_no_bug(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(4_000))
    with pytest.raises(AudioError, match="unreadable"):
        header_seconds(tmp_path / "a.raw")


def test_headers_changed_by_accident_are_read_or_named():
    found = mutated_audio.outcomes(seed=0, n=300)
    assert set(found) <= {"read", "unreadable", "truncated", "empty", "not finite"}
    assert min(found["read"], found["unreadable"], found["truncated"]) > 10


@pytest.mark.slow
def test_two_thousand_changed_headers_take_no_more_than_300_megabytes_above_the_base():
    script = str(Path(mutated_audio.__file__))
    done = subprocess.run(
        [sys.executable, script, "1", "2000"], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])  # libsndfile prints too
    assert sum(told["outcomes"].values()) == 2_000
    assert told["megabytes_above_base"] < 300
