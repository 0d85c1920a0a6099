"""Headers that lie, in a sweep: the utterance fails, by name, and everything else is trained and scored."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import soundfile

from planner.store.engine import opened
from planner.store.read import runs, utterances
from runner.campaign import display
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.sweep import prepare
from tests.campaign.made import NO_LATENCY

pytestmark = pytest.mark.usefixtures("clean_history")

ONE = ('kind = "star"', 'kind = "list"\nruns = [{audio_seconds = 2, reduction = "stem:2"}]')


def claims_a_billion_samples(wav: Path) -> None:
    """A FLAC of the same sound whose header says 2^36 - 1 samples, under the name of the WAV."""
    samples, rate = soundfile.read(wav)
    flac = wav.with_suffix(".flac")
    soundfile.write(flac, samples, rate)
    raw = bytearray(flac.read_bytes())
    raw[21:26] = bytes([raw[21] | 0x0F, 255, 255, 255, 255])
    wav.write_bytes(raw)
    flac.unlink()


def claims_one_hertz(wav: Path) -> None:
    raw = bytearray(wav.read_bytes())
    raw[24:28] = struct.pack("<I", 1)
    wav.write_bytes(raw)


def test_a_file_whose_header_lies_costs_a_sweep_that_utterance_alone(write_spec, tmp_path: Path):
    spec = write_spec(ONE, ("[2, 3]", "2"), NO_LATENCY)
    claims_a_billion_samples(tmp_path / "3.wav")  # to score
    claims_one_hertz(tmp_path / "0.wav")  # to train on
    db = f"sqlite:///{tmp_path}/runs.db"
    prepared = prepare.prepare(spec, db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(tmp_path / "artifacts"), poll_seconds=0.05)
    result = run_campaign(prepared.spec, prepared.trials, setting, InlineExecutor, display.Quiet())
    assert (result.n_finished, result.n_failed) == (1, 0)
    with opened(db) as engine:
        (run,) = runs(engine)
        told = {u.utterance_id: u.failure_text for u in utterances(engine, run.run_id)}
    (name,) = [name for name, text in told.items() if text is not None]
    assert (len(told), name) == (3, "3")
    assert "3.wav" in told[name]
    assert "its header says" in told[name]
