"""The heavy libraries of trials, imported by one thread before any trial begins.

transformers imports its models when they are first asked for, and two threads that ask at once can
meet a module that is half there (seen: `cannot import name` in one run of six with two workers).
"""

from __future__ import annotations

import importlib
import threading

MODULES = (
    "safetensors.torch",
    "peft.tuners.tuners_utils",
    "peft.tuners.lora",
    "transformers.audio_utils",
    "runner.models.moonshine",
    "runner.models.parakeet",
    "runner.models.w2v_bert",
    "runner.models.wav2vec2",
    "runner.models.whisper",
    "runner.trial.memory",
    "runner.trial.run",
)
CLASSES = (
    *("WhisperConfig", "WhisperForConditionalGeneration", "WhisperForAudioClassification"),
    *("Wav2Vec2Config", "Wav2Vec2ForSequenceClassification", "Wav2Vec2ForCTC"),
    *("HubertConfig", "HubertForSequenceClassification", "HubertForCTC"),
    *("WavLMConfig", "WavLMForSequenceClassification", "WavLMForCTC"),
    *("MoonshineConfig", "MoonshineForConditionalGeneration"),
    *("ParakeetCTCConfig", "ParakeetForCTC", "ParakeetFeatureExtractor"),
    *("Wav2Vec2BertConfig", "Wav2Vec2BertForCTC", "SeamlessM4TFeatureExtractor"),
)
"""What `runner.models` asks transformers for, each imported by it at that moment."""

_LOADING = threading.Lock()
_loaded: list[bool] = []


def load() -> None:
    """Import what any trial may need; further calls, and other threads, wait for the first.

    Raises:
        ImportError: a library is missing or broken here.
    """
    with _LOADING:
        if not _loaded:
            _import_all()
            _loaded.append(True)


def _import_all() -> None:
    for module in MODULES:
        importlib.import_module(module)
    transformers = importlib.import_module("transformers")
    for name in CLASSES:
        try:
            getattr(transformers, name)
        except AttributeError:
            raise ImportError(f"transformers {transformers.__version__} has no {name}") from None
