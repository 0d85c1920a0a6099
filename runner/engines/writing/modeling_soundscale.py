# mypy: ignore-errors
"""Whisper with fewer encoder tokens: a wider stem, or tokens reduced after a layer or at the output.

Loads with AutoModelForSpeechSeq2Seq.from_pretrained(FOLDER, trust_remote_code=True); needs transformers
and torch alone. Written by Soundscale beside the weights.
"""

import torch
from torch import nn
from transformers import WhisperConfig, WhisperForConditionalGeneration


class SoundscaleWhisperConfig(WhisperConfig):
    """Whisper's configuration, and where its tokens are reduced.

    A model type of its own keeps stock Whisper, whose stride is not in its configuration, from loading
    these weights and printing nonsense.
    """

    model_type = "soundscale_whisper"

    def __init__(
        self, stem_stride=2, place="none", layer=None, factor=1, operator="stride", **kwargs
    ):
        super().__init__(**kwargs)
        self.stem_stride, self.place, self.layer = stem_stride, place, layer
        self.factor, self.operator = factor, operator


def fewer(hidden, operator, factor):
    """(batch, T, width) to (batch, ceil(T / factor), width): each factor-th token, or means of runs."""
    if operator == "stride":
        return hidden[:, ::factor]
    pooled = nn.functional.avg_pool1d(hidden.transpose(1, 2), factor, ceil_mode=True)
    return pooled.transpose(1, 2)


class SoundscaleWhisper(WhisperForConditionalGeneration):
    """Whisper whose encoder gives fewer tokens."""

    config_class = SoundscaleWhisperConfig

    def __init__(self, config):
        super().__init__(config)
        encoder = self.model.encoder
        encoder.conv2.stride = (config.stem_stride,)

        def hook(_module, _inputs, output):
            if isinstance(output, torch.Tensor):
                return fewer(output, config.operator, config.factor)
            if isinstance(output, tuple):
                return (fewer(output[0], config.operator, config.factor), *output[1:])
            output["last_hidden_state"] = fewer(output[0], config.operator, config.factor)
            return output

        if config.place == "layer":
            encoder.layers[config.layer - 1].register_forward_hook(hook)
        if config.place == "output":
            encoder.register_forward_hook(hook)
