from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from runner.data.clips import DataSpec


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def manifest(tmp_path):
    """Writes a manifest of noisy tones, by rows (split, text or label, seconds); speakers alternate."""

    def write(rows, column="text"):
        rng = np.random.default_rng(0)
        lines = []
        for i, (split, said, seconds) in enumerate(rows):
            time = np.arange(round(seconds * 16_000)) / 16_000
            audio = 0.1 * np.sin(2 * np.pi * (200 + 50 * len(said)) * time)
            noisy = audio + 0.01 * rng.standard_normal(len(time))
            soundfile.write(tmp_path / f"{i}.wav", noisy.astype(np.float32), 16_000)
            row = {"path": f"{i}.wav", column: said, "speaker": f"{split}{i % 2}", "split": split}
            lines.append(json.dumps(row))
        path = tmp_path / "made.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return DataSpec(name="manifest", path=str(path))

    return write
