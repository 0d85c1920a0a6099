"""One trained model into one folder of one format, whole or not at all."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runner.data.audio import Audio
from runner.engines.description import Description, write
from runner.engines.formats import CALIBRATED, Format
from runner.engines.trained import Trained
from runner.engines.writing.card import card
from runner.engines.writing.describe import describe, save_tokenizer
from runner.engines.writing.folder import whole
from runner.engines.writing.onnx import Say

Check = Callable[[Path], None]
"""Takes a folder that is written and not in its place yet."""


def write_export(
    trained: Trained,
    form: Format,
    precision: str,
    out: Path,
    say: Say,
    check: Check | None = None,
    windows: Sequence[Audio] = (),
    **known: Any,
) -> Description:
    """Write the folder.

    Args:
        trained: the model.
        form: what it is written to.
        precision: of its weights.
        out: the folder, which is new or empty.
        say: takes lines of progress.
        check: looks at the folder before it takes its place; what it raises leaves nothing behind.
        windows: training clips of at most x_T seconds, which ranges of static int8 are taken from.
        **known: fields that the run adds.

    Raises:
        InputError: `out` holds something already.
    """
    about = describe(trained, form.name, precision, **known)
    writer = importlib.import_module(f"runner.engines.writing.{form.name}")
    with whole(out) as part:
        more = {"windows": windows} if precision in CALIBRATED else {}
        extra = writer.save(trained, part, precision, say, **more) or {}
        about = describe(trained, form.name, precision, **(known | extra))
        save_tokenizer(trained, part)
        write(about, part)
        (part / "README.md").write_text(card(about), encoding="utf-8")
        if check is not None:
            check(part)
    return about
