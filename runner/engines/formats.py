"""The formats that a model can be exported to: what each can hold, and what it needs to be installed.

Imports nothing heavy, so that a refusal comes before anything is loaded or written.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.words.records import Trial

PRECISION_NAMES = {
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
"""Short names, and what is stored; others are stored as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format of an export.

    Attributes:
        name: what `--to` takes; engine: what runs it; extra: of Soundscale, that brings both.
        precisions: what it can be written in, the first by default.
        to_run, to_write: modules that must be there; to_quantise: also, to write in another precision than float32.
    """

    name: str
    engine: str
    extra: str
    precisions: tuple[str, ...]
    to_run: tuple[str, ...]
    to_write: tuple[str, ...] = ()
    to_quantise: tuple[str, ...] = ()


FORMATS = {
    one.name: one
    for one in (
        Format(
            name="onnx", engine="onnxruntime", extra="onnx",
            precisions=("float32", "int8", "int8-static", "float16", "bfloat16"),
            to_run=("onnxruntime",), to_write=("onnx", "onnxscript"),
        ),
        Format(
            name="openvino", engine="openvino", extra="openvino", precisions=("float32", "int8"),
            to_run=("openvino",), to_write=("onnx", "onnxscript"), to_quantise=("nncf",),
        ),
        Format(
            name="ctranslate2", engine="ctranslate2", extra="ctranslate2",
            precisions=("float32", "int8", "int16", "float16", "bfloat16"), to_run=("ctranslate2",),
        ),
        Format(
            name="ggml", engine="whispercpp", extra="whispercpp",
            precisions=("float16", "int8"), to_run=("pywhispercpp",),
        ),
        Format(
            name="pt2", engine="torchexport", extra="runner", precisions=("float32",), to_run=("torch",),
        ),
        Format(
            name="hf", engine="transformers", extra="runner",
            precisions=("float32", "float16", "bfloat16"), to_run=("torch", "transformers"),
        ),
        Format(
            name="peft", engine="peft", extra="runner", precisions=("float32",),
            to_run=("torch", "transformers", "peft"),
        ),
    )
}  # fmt: skip


CALIBRATED = ("int8-static",)
"""Precisions whose ranges are taken from training clips."""

WHISPER_ALONE = ("ctranslate2", "ggml", "hf", "peft")
"""Formats that hold a recogniser of that family alone."""


WRITTEN = ("whisper", "wav2vec2")
"""Families of which some format is written: the rest are trained, scored and planned alone."""


def format_of(name: str) -> Format:
    """The format of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    return FORMATS[name]


def precision_of(form: Format, asked: str | None) -> str:
    """The precision asked for under the name that is stored; the format's first where none was.

    Raises:
        UnknownNameError: the format cannot be written in it.
    """
    if asked is None:
        return form.precisions[0]
    name = PRECISION_NAMES.get(asked, asked)
    if name not in form.precisions:
        raise UnknownNameError(f"precision of {form.name}", asked, form.precisions)
    return name


def asked_engine(text: str) -> tuple[Format, str]:
    """Format and precision of `ENGINE` or `ENGINE:PRECISION`,.

    >>> form, precision = asked_engine("onnxruntime:int8")
    >>> form.name, precision
    ('onnx', 'int8')

    Raises:
        UnknownNameError: there is no such engine, or it has no such precision.
    """
    name, _, precision = text.partition(":")
    by_name = {form.engine: form for form in FORMATS.values()}
    if name not in by_name:
        raise UnknownNameError("engine", name, by_name)
    return by_name[name], precision_of(by_name[name], precision or None)


def require_installed(form: Format, precision: str | None = None, *, writing: bool) -> None:
    """Refuse a format whose packages are not there, those to write in `precision` too where it is written.

    Raises:
        MissingResourceError: they are not; it names the extra.
    """
    quantised = precision not in (None, "float32")
    to_write = (*form.to_write, *(form.to_quantise if quantised else ()))
    absent = [
        name for name in (*form.to_run, *(to_write if writing else ())) if not find_spec(name)
    ]
    if absent:
        raise MissingResourceError(
            f"format {form.name} needs {', '.join(absent)}, not installed here; "
            f"install with: pip install 'soundscale[{form.extra}]'"
        )


def require_possible(form: Format, trial: Trial, family: str) -> None:
    """Refuse what the format cannot hold, with the reason.

    Raises:
        InputError: it cannot hold this trial's model.
    """
    reason = why_not(form, trial, family)
    if reason is not None:
        others = [f.name for f in FORMATS.values() if why_not(f, trial, family) is None]
        instead = f"use {' or '.join(others)}" if others else f"take one of {', '.join(WRITTEN)}"
        raise InputError(f"{trial.label} cannot be exported to {form.name}: {reason}; {instead}")


def why_not(form: Format, trial: Trial, family: str) -> str | None:
    """Why a format cannot hold a trial's model, of a backbone's family; None where it can."""
    cut = trial.reduction
    if family not in WRITTEN:
        return f"models of the family {family} are not exported yet"
    if form.name in WHISPER_ALONE and family != "whisper" and trial.task == "asr":
        return f"it holds Whisper alone, and {trial.backbone} is of the family {family}"
    if form.name == "ctranslate2":
        if trial.task == "emotion":
            return "CTranslate2 runs speech recognition alone, and this model names classes"
        if cut.place == "layer":
            return f"CTranslate2's encoder has no place for {cut} between its layers"
        if cut.place == "output" and cut.operator == "merge":
            return f"{cut} is not computed outside of CTranslate2's encoder"
    if form.name == "ggml":
        if trial.task == "emotion":
            return "whisper.cpp runs speech recognition alone, and this model names classes"
        if cut.place != "none":
            return f"whisper.cpp's encoder has a stride of 2 and no place for {cut}"
    if form.name in ("hf", "peft") and trial.task == "emotion":
        return "only speech recognition is written as a transformers folder"
    if form.name == "peft":
        if trial.adaptation.kind != "lora":
            return f"{trial.adaptation} is no adapter, or more than one"
        if cut.place != "none":
            return f"stock Whisper, which an adapter is put on, has no place for {cut}"
    return None
