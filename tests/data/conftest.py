"""Speech-like files for the tests of the data room."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

Write = Callable[..., Path]


@pytest.fixture
def write_tone(tmp_path: Path) -> Write:
    """Write a 440 Hz tone: `write_tone("a.wav", seconds=1.0, rate=16000, channels=1)`."""

    def write(
        name: str, seconds: float = 1.0, rate: int = 16_000, channels: int = 1, **options: str
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        t = np.arange(round(seconds * rate)) / rate
        tone = (0.5 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
        soundfile.write(path, np.tile(tone[:, None], (1, channels)), rate, **options)
        return path

    return write
