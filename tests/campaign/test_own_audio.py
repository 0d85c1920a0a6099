"""What the documentation's page of own audio tells, with real weights, on twelve clips of recorded speech."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from pathlib import Path

import pytest

from planner.cli import main
from runner.data.corpus import DataSpec, load_corpus

pytestmark = [pytest.mark.weights, pytest.mark.slow]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-audio.md"


def recordings(folder: Path) -> None:
    """`mine.csv` of twelve recorded prompts of a few seconds."""
    spoken = load_corpus(DataSpec(name="prompts", n_train=20, n_test=20)).clips
    rows = [c for c in spoken if Path(c.path).suffix == ".wav"][:12]
    assert len(rows) == 12
    (folder / "clips").mkdir()
    with (folder / "mine.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "text", "split"])
        for i, clip in enumerate(rows):
            shutil.copy(clip.path, folder / "clips" / f"{i}.wav")
            table.writerow([f"clips/{i}.wav", clip.reference, "train" if i < 2 else "test"])


def test_the_page_of_own_audio_leads_to_an_answer(tmp_path, monkeypatch, capsys):
    recordings(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    text = PAGE.read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(re.findall(r"```toml\n(.*?)```", text, re.S)[0])
    shutil.copy(tmp_path / "clips" / "3.wav", tmp_path / "speech.wav")

    def soundscale(line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["soundscale", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main.main()
        shown = capsys.readouterr()
        assert not ended.value.code, shown.err
        return shown.out

    assert "12 clips" in soundscale("data check mine.csv")
    assert "4 of 4 finished" not in soundscale("sweep run mine.toml --dry-run")
    soundscale("sweep run mine.toml --ray none")
    assert "whisper-" in soundscale("plan --task asr --latency 60s")
    assert soundscale("transcribe speech.wav --run 1").strip()
