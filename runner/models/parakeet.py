"""Parakeet with a CTC head on all three axes, in transformers' own class.

x_T is native: positions are distances, and the encoder's length follows the audio. x_V: `stem` widens the last
halving's stride over frames; `layer k` reduces the states, and the masks and distances of the layers behind with
them; `output` reduces what the head reads.

The batch norms' running statistics are held as they are, in training too: no adapter file holds them, and an
adapter that was trained while they moved would be another model once it is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from planner.costs.flops.lengths import ceil_div, encoder_positions
from planner.errors import InputError
from planner.words.families.parakeet import HOP, STRIDE, Parakeet
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest
from runner.models.conformers import (
    UNREGULARISED,
    ConformerRecogniser,
    MaskedMel,
    module_of,
    thin_behind,
    vocabulary_of,
)


class ParakeetMel(MaskedMel):
    """Features of transformers' own extractor: of each band zero mean and unit variance over the clip."""

    def length(self, n_samples: int) -> int:
        """One frame more than fit."""
        return n_samples // HOP + 1

    def heard(self, n_samples: int) -> int:
        """Frames that fit."""
        return n_samples // HOP

    def tokens(self, frames: Any) -> Any:
        """Halved, an odd one out kept."""
        assert isinstance(self.backbone, Parakeet)
        for _ in range(self.backbone.n_halvings):
            frames = -(-frames // STRIDE)
        return frames

    def extract(self, windows: Sequence[Audio], n_samples: int) -> tuple[Tensor, Tensor]:
        """By ParakeetFeatureExtractor."""
        from transformers import ParakeetFeatureExtractor

        found = ParakeetFeatureExtractor(feature_size=self.backbone.n_mels)(
            list(windows), sampling_rate=SAMPLE_RATE, padding="max_length", max_length=n_samples,
            return_tensors="pt",
        )  # fmt: skip
        return found["input_features"], found["attention_mask"]


class ParakeetRecogniser(ConformerRecogniser):
    """Parakeet that writes by CTC."""

    head_name = "ctc_head"
    layers_within = "layers"


class HeldBatchNorm(nn.BatchNorm1d):
    """A batch norm that stays in `eval`, whatever its module is told."""

    def train(self, mode: bool = True) -> HeldBatchNorm:
        """Stay."""
        return super().train(False)


def config_of(backbone: Parakeet, blank: int = 0) -> Any:
    """Transformers' ParakeetCTCConfig with the catalogue's dimensions."""
    from transformers import ParakeetCTCConfig

    encoder = {
        "hidden_size": backbone.d_model, "num_hidden_layers": backbone.encoder_layers,
        "num_attention_heads": backbone.n_heads, "intermediate_size": backbone.ffn_dim,
        "conv_kernel_size": backbone.depthwise_kernel, "subsampling_factor": backbone.subsampling,
        "subsampling_conv_channels": backbone.subsampling_channels, "num_mel_bins": backbone.n_mels,
        "attention_bias": backbone.attention_bias, "convolution_bias": backbone.convolution_bias,
        "dropout": 0.0, "dropout_positions": 0.0, **UNREGULARISED,
    }  # fmt: skip
    return ParakeetCTCConfig(
        vocab_size=backbone.vocab_size, pad_token_id=blank, encoder_config=encoder
    )


def build(request: BuildRequest) -> ParakeetRecogniser:
    """Parakeet for the trial's axes, with pretrained or random weights.

    Raises:
        InputError: the backbone is none, the task is not recognition, x_T is too short or too long, the reduction
            is impossible, or a checkpoint's head has another size.
    """
    from transformers import ParakeetForCTC

    trial, backbone = request.trial, request.backbone
    if not isinstance(backbone, Parakeet):
        raise InputError(f"backbone {backbone.name!r} is no Parakeet")
    if trial.task != "asr":
        raise InputError(f"{backbone.name} writes text: it needs task = asr")
    encoder_positions(backbone, trial.audio_seconds, trial.reduction, trial.padding)
    text, shape = vocabulary_of(request, backbone)
    assert isinstance(shape, Parakeet)
    config = config_of(shape, text.blank)
    # The encoder has a configuration of its own, with an attention of its own.
    config.encoder_config._attn_implementation = request.attention
    config.encoder_config.scale_input = _scales_input(request)
    module = module_of(ParakeetForCTC, config, request, shape, len(request.labels), "ctc_head")
    encoder = module.encoder
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.__class__ = HeldBatchNorm
    if trial.reduction.place == "stem":
        _widen(encoder, trial.reduction.factor)
    thin_behind(encoder, encoder.layers, trial.reduction, backbone.name, _thin)
    mel = ParakeetMel(shape, trial, request.device)
    return ParakeetRecogniser(module, shape, text, request, mel, "encoder")


def _scales_input(request: BuildRequest) -> bool:
    """Whether the projected features are multiplied by the root of the width: true unless the checkpoint says no."""
    return bool(request.config.get("encoder_config", {}).get("scale_input", True))


def _widen(encoder: Any, factor: int) -> None:
    """A wider stride over frames in the last halving, and the mask of what it leaves."""
    strided = [m for m in encoder.subsampling.layers if isinstance(m, nn.Conv2d) and m.stride != (1, 1)]  # fmt: skip
    strided[-1].stride = (STRIDE * factor, STRIDE)
    plain = encoder._get_output_attention_mask

    def mask_of(mask: Tensor, target_length: int) -> Tensor:
        whole: Tensor = plain(mask, target_length=target_length * factor)
        return whole[:, ::factor]

    encoder._get_output_attention_mask = mask_of


def _thin(given: dict[str, Any], factor: int) -> dict[str, Any]:
    """Mask (n, 1, T, T) and distances T - 1, …, 1 - T of every factor-th token."""
    places: Tensor = given["position_embeddings"]
    n = (places.shape[1] + 1) // 2
    left = ceil_div(n, factor)
    first = n - 1 - factor * (left - 1)
    thinned = {"position_embeddings": places[:, first::factor][:, : 2 * left - 1]}
    mask = given.get("attention_mask")
    if mask is not None:
        thinned["attention_mask"] = mask[..., ::factor, ::factor]
    return thinned
