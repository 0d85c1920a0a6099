"""A trained Whisper as a transformers folder: stock where its shapes are stock, else with its code beside it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from runner.engines.quiet import quiet_transformers
from runner.engines.trained import Trained
from runner.engines.writing.onnx import Say
from runner.engines.writing.plain import plain_linears
from runner.models.decode import SPACE, Specials

CODE = "modeling_soundscale.py"
LANGUAGE, TASK = "<|en|>", "transcribe"


def save(trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Write weights, configuration, generation settings and feature extractor."""
    save_module(trained.model.module, trained, folder, precision, say)


def save_module(source: Any, trained: Trained, folder: Path, precision: str, say: Say) -> None:
    """Write a trained model's module, or the base of it."""
    from transformers import WhisperFeatureExtractor

    module = plain_linears(source).to(getattr(torch, precision))
    module.generation_config = _generation(module.config, trained)
    say("writing model.safetensors")
    with torch.no_grad(), quiet_transformers():
        module.save_pretrained(folder)
    if trained.trial.reduction.place != "none":
        _add_code(trained, module, folder)
    frames = module.config.max_source_positions * _input_stride(module)
    extractor = WhisperFeatureExtractor(
        feature_size=module.config.num_mel_bins, chunk_length=frames // 100
    )
    extractor.save_pretrained(folder)


def _input_stride(module: Any) -> int:
    encoder = module.model.encoder
    return int(encoder.conv1.stride[0] * encoder.conv2.stride[0])


def _add_code(trained: Trained, module: Any, folder: Path) -> None:
    """Name the class beside the weights in config.json, under a model type that stock code refuses."""
    cut, path = trained.trial.reduction, folder / "config.json"
    config = json.loads(path.read_text())
    name = CODE.removesuffix(".py")
    config |= {
        "model_type": "soundscale_whisper",
        "architectures": ["SoundscaleWhisper"],
        "auto_map": {
            "AutoConfig": f"{name}.SoundscaleWhisperConfig",
            "AutoModelForSpeechSeq2Seq": f"{name}.SoundscaleWhisper",
        },
        "stem_stride": int(module.model.encoder.conv2.stride[0]),
        "place": cut.place,
        "layer": cut.layer,
        "factor": cut.factor,
        "operator": cut.operator,
    }
    path.write_text(json.dumps(config, indent=2) + "\n")
    shutil.copy(Path(__file__).with_name(CODE), folder / CODE)


def _generation(config: Any, trained: Trained) -> Any:
    """Greedy decoding by our rules in transformers' own settings."""
    from transformers import GenerationConfig

    rules, spoken = trained.trial.decoding, trained.trial.language
    special = Specials.of(config.vocab_size, spoken)
    language = LANGUAGE if spoken is None else f"<|{spoken}|>"
    values: dict[str, Any] = {
        "decoder_start_token_id": special.prompt[0],
        "bos_token_id": special.end,
        "eos_token_id": special.end,
        "pad_token_id": special.end,
        "no_timestamps_token_id": special.prompt[-1],
        "suppress_tokens": [*special.silent, *range(special.end + 1, config.vocab_size)],
        "begin_suppress_tokens": [SPACE, special.end],
        "max_new_tokens": rules.max_new_tokens,
        "no_repeat_ngram_size": rules.no_repeat_ngram,
        "num_beams": 1,
        "do_sample": False,
        "is_multilingual": len(special.prompt) > 2,
    }
    if values["is_multilingual"]:
        values |= {
            "lang_to_id": {language: special.prompt[1]},
            "task_to_id": {TASK: special.prompt[2]},
            "language": language,
            "task": TASK,
        }
    return GenerationConfig(**values)
