"""Whisper's text tokens: plain encoding and decoding, and the ids that frame a transcript."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planner.errors import MissingResourceError


class SpeechTokenizer:
    """The tokenizer of one Whisper checkpoint.

    Attributes:
        prompt_ids: what the decoder is given for English transcription without timestamps:
            `[50257, 50362]` (English only), `[50258, 50259, 50359, 50363]` (multilingual).
        end_id: the id that ends a transcript.
        english_only: whether the checkpoint knows English alone.

    >>> SpeechTokenizer(folder / "tokenizer.json").decode([50257, 50362, 18435, 13, 50256])  # doctest: +SKIP
    'Hello.'
    """

    def __init__(self, path: Path) -> None:
        """Read `tokenizer.json`, or a transformers folder with `vocab.json` and `merges.txt`.

        Raises:
            MissingResourceError: there is no tokenizer, or it is not Whisper's.
        """
        self._tokenizer = _read(path)
        self.end_id = self._special("<|endoftext|>", path)
        untimed = self._special("<|notimestamps|>", path)
        start = self._special("<|startoftranscript|>", path)
        # English-only vocabularies are GPT-2's, whose end of text is the id before start.
        self.english_only = self.end_id == 50_256
        middle = () if self.english_only else ("<|en|>", "<|transcribe|>")
        ids = [start, *(self._special(token, path) for token in middle), untimed]
        self.prompt_ids: tuple[int, ...] = tuple(ids)

    def _special(self, token: str, path: Path) -> int:
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise MissingResourceError(
                f"tokenizer {path} has no token {token}; give the tokenizer of a Whisper"
            )
        return int(number)

    def to_json(self) -> str:
        """The tokenizer as the text of a tokenizer.json."""
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens; a leading space is Whisper's own convention."""
        spaced = " " + text.strip() if text.strip() else ""
        return list(self._tokenizer.encode(spaced, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids up to the first end; special tokens and timestamps are left out."""
        words: list[int] = []
        for number in ids:
            if number == self.end_id:
                break
            if number < self.end_id:  # All special tokens and timestamps come after the end.
                words.append(int(number))
        return str(self._tokenizer.decode(words, skip_special_tokens=True)).strip()


class PlainTokenizer:
    """The tokenizer.json of a checkpoint whose decoder is given no words: plain encoding and decoding."""

    def __init__(self, path: Path) -> None:
        """Read `tokenizer.json`.

        Raises:
            MissingResourceError: there is none, or it cannot be read.
        """
        self._tokenizer = _from_json(path / "tokenizer.json" if path.is_dir() else path)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids."""
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        return tuple(sorted(ids, key=ids.__getitem__))

    def to_json(self) -> str:
        """The tokenizer as the text of a tokenizer.json."""
        return str(self._tokenizer.to_str())

    def encode(self, text: str) -> list[int]:
        """Ids of a text, without special tokens."""
        return list(self._tokenizer.encode(text.strip(), add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; special tokens are left out."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)).strip()


def _read(path: Path) -> Any:
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file() and path.is_dir() and (path / "vocab.json").is_file():
        from transformers import WhisperTokenizerFast

        return WhisperTokenizerFast.from_pretrained(str(path)).backend_tokenizer
    return _from_json(file)


def _from_json(file: Path) -> Any:
    from tokenizers import Tokenizer

    if not file.is_file():
        raise MissingResourceError(
            f"tokenizer {file} is missing; put tokenizer.json beside the weights"
        )
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # The library raises bare Exception for a file it cannot parse.
        raise MissingResourceError(
            f"tokenizer {file} cannot be read: {error}; fetch it again"
        ) from error
