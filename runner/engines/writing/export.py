"""One trained model into one folder of one format, whole or not at all."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from runner.engines.description import Description, write
from runner.engines.formats import Format
from runner.engines.trained import Trained
from runner.engines.writing.card import card
from runner.engines.writing.describe import describe, save_tokenizer
from runner.engines.writing.folder import whole
from runner.engines.writing.onnx import Say


def write_export(
    trained: Trained, form: Format, precision: str, out: Path, say: Say, **known: Any
) -> Description:
    """Write the folder; `known` are fields of the description that the run adds.

    Raises:
        InputError: `out` holds something already.
    """
    about = describe(trained, form.name, precision, **known)
    writer = importlib.import_module(f"runner.engines.writing.{form.name}")
    with whole(out) as part:
        extra = writer.save(trained, part, precision, say) or {}
        about = describe(trained, form.name, precision, **(known | extra))
        save_tokenizer(trained, part)
        write(about, part)
        (part / "README.md").write_text(card(about), encoding="utf-8")
    return about
