"""An exported adapter on its base, loaded by peft and run as transformers runs it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from runner.engines.base import Engine
from runner.engines.description import Description
from runner.engines.transformers import Recogniser, load_stock

BASE = "base"
"""Folder of the base, inside of the adapter's."""


def load_adapted(folder: Path) -> Any:
    """The base with the adapter's product added to its weights."""
    from peft import PeftModel

    base = load_stock(folder / BASE)
    with warnings.catch_warnings():
        # Peft 0.21 asks transformers 5.23 by a name that is to go.
        warnings.simplefilter("ignore", FutureWarning)
        return PeftModel.from_pretrained(base, folder).merge_and_unload()


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run."""
    return Recogniser(folder, about, threads, load_adapted)
