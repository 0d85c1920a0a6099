"""w2v-BERT 2.0 with a CTC head on all three axes, in transformers' own class.

x_T is native. x_V: `stem` reduces the stacked frames before their projection; `layer k` reduces the states, and the
masks of the layers behind with them; `output` reduces what the head reads. Keys of distances count tokens: behind a
reduction, farther ones than in the checkpoint's training share a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from planner.costs.flops.lengths import encoder_positions
from planner.errors import InputError
from planner.words.families.w2v_bert import STACKED, W2vBert
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest
from runner.models.conformers import (
    UNREGULARISED,
    ConformerRecogniser,
    MaskedMel,
    module_of,
    thin_behind,
    vocabulary_of,
)
from runner.models.reduction import reduce_tokens


class StackedMel(MaskedMel):
    """Features of transformers' own extractor: Kaldi's, of each band zero mean and unit variance over the clip."""

    def length(self, n_samples: int) -> int:
        """Stacked frames, an odd one out stacked with silence."""
        return self.backbone.lengths(n_samples)[-1]

    def heard(self, n_samples: int) -> int:
        """Stacked frames that the clip fills."""
        return self.backbone.lengths(n_samples)[0] // STACKED

    def tokens(self, frames: Any) -> Any:
        """A token a frame."""
        return frames

    def extract(self, windows: Sequence[Audio], n_samples: int) -> tuple[Tensor, Tensor]:
        """By SeamlessM4TFeatureExtractor."""
        from transformers import SeamlessM4TFeatureExtractor

        bands = self.backbone.n_mels
        found = SeamlessM4TFeatureExtractor(feature_size=bands, num_mel_bins=bands)(
            list(windows), sampling_rate=SAMPLE_RATE, padding="max_length",
            max_length=STACKED * self.length(n_samples), return_tensors="pt",
        )  # fmt: skip
        return found["input_features"].float(), found["attention_mask"]


class W2vBertRecogniser(ConformerRecogniser):
    """w2v-BERT that writes by CTC."""

    def reduce_features(self, found: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """At the stem, stacked frames and their mask reduced."""
        x_v = self._trial.reduction
        if x_v.place != "stem":
            return found, mask
        return reduce_tokens(found, x_v.operator, x_v.factor), mask[:, :: x_v.factor]


def config_of(backbone: W2vBert, blank: int = 0) -> Any:
    """Transformers' Wav2Vec2BertConfig with the catalogue's dimensions."""
    from transformers import Wav2Vec2BertConfig

    return Wav2Vec2BertConfig(
        vocab_size=backbone.vocab_size, pad_token_id=blank, hidden_size=backbone.d_model,
        num_hidden_layers=backbone.encoder_layers, num_attention_heads=backbone.n_heads,
        intermediate_size=backbone.ffn_dim, feature_projection_input_dim=backbone.projection_width,
        conv_depthwise_kernel_size=backbone.depthwise_kernel, left_max_position_embeddings=backbone.left,
        right_max_position_embeddings=backbone.right, hidden_dropout=0.0, feat_proj_dropout=0.0,
        final_dropout=0.0, conformer_conv_dropout=0.0, apply_spec_augment=False, **UNREGULARISED,
    )  # fmt: skip


def build(request: BuildRequest) -> W2vBertRecogniser:
    """w2v-BERT for the trial's axes, with pretrained or random weights.

    Raises:
        InputError: the backbone is none, the task is not recognition, x_T is too short or too long, the reduction
            is impossible, or a checkpoint's head has another size.
    """
    from transformers import Wav2Vec2BertForCTC

    trial, backbone = request.trial, request.backbone
    if not isinstance(backbone, W2vBert):
        raise InputError(f"backbone {backbone.name!r} is no w2v-BERT")
    if trial.task != "asr":
        raise InputError(f"{backbone.name} writes text: it needs task = asr")
    encoder_positions(backbone, trial.audio_seconds, trial.reduction, trial.padding)
    text, shape = vocabulary_of(request, backbone)
    assert isinstance(shape, W2vBert)
    config = config_of(shape, text.blank)
    module = module_of(
        Wav2Vec2BertForCTC, config, _prefixed(request), shape, len(request.labels), "lm_head"
    )
    encoder = module.wav2vec2_bert.encoder
    thin_behind(encoder, encoder.layers, trial.reduction, backbone.name, _thin)
    mel = StackedMel(shape, trial, request.device)
    return W2vBertRecogniser(module, shape, text, request, mel, "wav2vec2_bert")


def _prefixed(request: BuildRequest) -> BuildRequest:
    """A bare pretraining checkpoint names its tensors without the model's prefix."""
    state = request.state
    if state is None or any(name.startswith("wav2vec2_bert.") for name in state):
        return request
    return replace(request, state={f"wav2vec2_bert.{name}": t for name, t in state.items()})


def _thin(given: dict[str, Any], factor: int) -> dict[str, Any]:
    """Masks of every factor-th token: of attention (n, 1, T, T) and of the convolutions (n, T)."""
    thinned = {}
    if (mask := given.get("attention_mask")) is not None:
        thinned["attention_mask"] = mask[..., ::factor, ::factor]
    if (mask := given.get("conv_attention_mask")) is not None:
        thinned["conv_attention_mask"] = mask[:, ::factor]
    return thinned
