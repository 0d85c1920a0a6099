"""Token ids to text without transformers: Whisper's byte-level vocabulary is read from tokenizer.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from planner.errors import MissingResourceError

Decode = Callable[[Sequence[int]], str]

FIRST_BYTE = 24_000
"""Id of byte 0 in randomly initialised models (`runner.models.whisper.ByteTokenizer`)."""


@lru_cache(maxsize=1)
def _bytes_of() -> dict[str, int]:
    """GPT-2's table: the printable character that stands for each byte, turned round."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    table = {chr(byte): byte for byte in plain}
    others = [byte for byte in range(256) if byte not in plain]
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}


def bytes_of_word(word: str) -> bytes:
    """The bytes that a word of the byte-level vocabulary stands for; of another its UTF-8."""
    table = _bytes_of()
    return bytes(table[c] for c in word) if all(c in table for c in word) else word.encode()


def reader(folder: Path, kind: str, end: int) -> Decode:
    """A function from ids to text; ids from `end` on are special and left out.

    Args:
        folder: of the export.
        kind: `tokenizer` or `bytes`, as the description says.
        end: the id that ends a text.

    Raises:
        MissingResourceError: the folder's tokenizer is missing or not Whisper's.
    """
    if kind == "bytes":
        return _bytes_text
    path = folder / "tokenizer.json"
    try:
        vocabulary = json.loads(path.read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError) as problem:
        raise MissingResourceError(
            f"tokenizer {path} cannot be read: {problem}; export the model again"
        ) from problem
    # A text has a few dozen of the 50,000 words, so each is turned into bytes when it is read.
    table, words = _bytes_of(), {number: word for word, number in vocabulary.items()}

    def piece(number: int) -> bytes:
        word = words.get(number, "") if number < end else ""
        return bytes(table[c] for c in word) if all(c in table for c in word) else b""

    def decode(ids: Sequence[int]) -> str:
        return b"".join(piece(int(i)) for i in ids).decode(errors="replace").strip()

    return decode


def _bytes_text(ids: Sequence[int]) -> str:
    known = bytes(i - FIRST_BYTE for i in ids if 0 <= i - FIRST_BYTE < 256)
    return known.decode(errors="replace").strip()
