"""The vocabulary that a CTC checkpoint brings, as transformers saves it."""

from __future__ import annotations

import json
from pathlib import Path

from planner.errors import MissingResourceError


def ctc_vocabulary(folder: Path) -> tuple[str, ...]:
    """Tokens of `vocab.json` in the order of their ids; none where the folder has no such file.

    Raises:
        MissingResourceError: the file is no table of tokens and ids 0, 1, … each once.
    """
    path = folder / "vocab.json"
    if not path.is_file():
        return ()
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        tokens = sorted(table, key=table.__getitem__)
        whole = [table[t] for t in tokens] == list(range(len(tokens)))
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise MissingResourceError(
            f"vocabulary {path} cannot be read: {problem}; fetch it again"
        ) from None
    if not whole or not tokens:
        raise MissingResourceError(
            f"vocabulary {path} does not give each of {len(tokens)} tokens an id of its own from 0; fetch it again"
        )
    return tuple(tokens)
