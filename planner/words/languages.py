"""What is spoken: the languages that Whisper knows, in the order of their prompt's ids."""

from __future__ import annotations

from typing import Protocol

from planner.errors import InputError, UnknownNameError

ENGLISH_VOCABULARY = 51864
"""Vocabulary of Whisper's English-only checkpoints; multilingual ones have 51,865 or 51,866 (large-v3)."""

LANGUAGES = tuple(
    """
    en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr
    bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn
    yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su
    yue
    """.split()  # noqa: SIM905 (a hundred codes read better so)
)
"""Codes in the order of OpenAI's tokenizer (whisper/tokenizer.py), which numbers the prompt's ids by it; a test
compares it with transformers'. The last one (Cantonese) came with large-v3."""


class _Shape(Protocol):
    @property
    def name(self) -> str: ...


def language_of(code: str) -> int:
    """Place of a language among LANGUAGES.

    Raises:
        UnknownNameError: Whisper knows no such language.
    """
    if code not in LANGUAGES:
        raise UnknownNameError("language", code, LANGUAGES, remedy="write its code, e.g. fr")
    return LANGUAGES.index(code)


def check_language(backbone: _Shape, language: str | None) -> None:
    """Refuse a backbone that cannot write a language.

    Raises:
        InputError: an English-only checkpoint, or one from before the language was added.
        UnknownNameError: Whisper knows no such language.
    """
    size = getattr(backbone, "vocab_size", None)
    if language in (None, "en") or size is None or not hasattr(backbone, "decoder_layers"):
        return  # without a decoder there is no prompt, and the vocabulary is held against the texts
    if size == ENGLISH_VOCABULARY:
        raise InputError(
            f"{backbone.name} writes English alone, and the data's language is {language}; "
            f"choose a multilingual checkpoint such as whisper-base"
        )
    known = size - ENGLISH_VOCABULARY + len(LANGUAGES) - 2
    if language_of(language) >= known:
        raise InputError(
            f"{backbone.name} does not know the language {language}, which came with large-v3; "
            f"choose whisper-large-v3"
        )
