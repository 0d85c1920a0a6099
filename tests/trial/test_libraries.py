from __future__ import annotations

import re
import threading
from pathlib import Path

from planner.words.catalogue import BUILT_IN
from runner.trial import libraries

MODELS = Path(libraries.__file__).parents[1] / "models"


def test_whatever_models_ask_transformers_for_is_imported_before_threads_begin():
    asked = {
        name.strip()
        for file in MODELS.glob("*.py")
        for names in re.findall(r"^ +from transformers import ([\w, ]+)$", file.read_text(), re.M)
        for name in names.split(",")
    }
    assert {"ParakeetForCTC", "WhisperConfig"} <= asked <= set(libraries.CLASSES)
    built = {f"runner.models.{shape.family}" for shape in BUILT_IN.backbones}
    assert built <= set(libraries.MODULES)


def test_two_threads_never_import_at_the_same_time(monkeypatch):
    inside, most, n_loads = [0], [0], [0]
    both = threading.Barrier(2)

    def importing() -> None:
        inside[0] += 1
        n_loads[0] += 1
        most[0] = max(most[0], inside[0])
        inside[0] -= 1

    def ask() -> None:
        both.wait(10)
        libraries.load()

    monkeypatch.setattr(libraries, "_loaded", [])
    monkeypatch.setattr(libraries, "_import_all", importing)
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert (most[0], n_loads[0]) == (1, 1)
