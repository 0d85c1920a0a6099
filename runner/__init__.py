"""Runs the experiments: trials, sweeps, campaigns; and gives back what they trained (`load`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.engines.runtime import Model


def load(what: Any, *, db: str | None = None, threads: int = 1) -> Model:
    """A trained model, ready to transcribe or classify.

    Args:
        what: an exported folder; or the key of a run or the id of an answer, whose stored export is
            taken, or made.
        db: the database of the run or answer.
        threads: compute threads of the engine.

    >>> load("exported").transcribe("speech.wav").text  # doctest: +SKIP
    'hello'
    """
    from pathlib import Path

    from runner.engines.runtime import open_folder

    folder = Path(what) if isinstance(what, (str, Path)) else None
    if folder is None or not folder.is_dir():
        from runner.exports.make import folder_of

        folder = folder_of(db, str(what), None, None, lambda line: None)
    return open_folder(folder, threads)
