"""Real transformers modules on the meta device, and torch's own FLOP counter made strict.

The reductions are applied here from their definition, not through the runner, so that both are judged
by a third party.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from planner.costs.flops.lengths import encoder_positions, mel_frames
from planner.words.catalogue import Wav2Vec2, Whisper
from planner.words.records import Adaptation, Reduction

# Operations that are no multiply-add of a product: looked through by hand, everything else is an error.
WITHOUT_PRODUCTS = {
    "_log_softmax", "_log_softmax_backward_data", "_softmax", "_softmax_backward_data", "_to_copy",
    "_unsafe_view", "_weight_norm_interface", "_weight_norm_interface_backward", "add", "add_", "alias",
    "all", "any", "arange", "as_strided", "bernoulli_", "avg_pool2d", "avg_pool2d_backward",
    "bitwise_and", "bitwise_or", "cat", "clone",
    "constant_pad_nd", "copy_", "cumsum", "detach", "detach_", "div", "div_", "embedding",
    "embedding_dense_backward", "empty", "empty_like", "eq", "expand", "fill_", "full", "full_like",
    "gelu", "gelu_backward", "ge", "gt", "index", "index_put", "le", "lt", "masked_fill", "masked_fill_",
    "mean", "mul", "mul_", "native_dropout", "native_group_norm", "native_group_norm_backward",
    "native_layer_norm", "native_layer_norm_backward", "neg", "new_empty_strided", "new_ones", "new_zeros",
    "nll_loss_backward", "nll_loss_forward", "ones", "ones_like", "permute", "pow", "repeat", "rsub",
    "scalar_tensor", "select", "select_backward", "slice", "slice_backward", "split", "squeeze", "sub",
    "sum", "t", "transpose", "unsqueeze", "view", "where", "zero_", "zeros", "zeros_like", "linalg_vector_norm",
    "lift_fresh", "empty_strided", "unbind", "stack", "ne", "logical_not", "_reshape_alias", "index_select",
}  # fmt: skip


class _Strict(FlopCounterMode):
    """torch's counter, with an error for an operation that it does not know."""

    def _count_flops(self, func_packet: Any, out: Any, args: Any, kwargs: Any) -> Any:
        known = func_packet in flop_registry or func_packet.__name__ in WITHOUT_PRODUCTS
        assert known, f"the counter does not know {func_packet.__name__}"
        return super()._count_flops(func_packet, out, args, kwargs)


def _count(run: Callable[..., Any], *given: Any) -> tuple[int, Any]:
    """FLOPs of `run` by torch's counter; an operation it may be blind to is an error."""
    counter = _Strict(display=False)
    with counter:
        result = run(*given)
    counted = counter.get_flop_counts()["Global"]
    products = sum(n for op, n in counted.items() if op.__name__ == "bmm")
    assert products > 0 or getattr(run, "__name__", "") == "backward", "attention was not counted"
    return counter.get_total_flops(), result


def _reduce(hidden: torch.Tensor, reduction: Reduction) -> torch.Tensor:
    if reduction.operator == "stride":
        return hidden[:, :: reduction.factor]
    pooled = nn.functional.avg_pool1d(hidden.transpose(1, 2), reduction.factor, ceil_mode=True)
    return pooled.transpose(1, 2)


def _hook(reduction: Reduction, *, channels_first: bool = False) -> Callable[..., Any]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return (_reduce(output[0], reduction), *output[1:])
        if not isinstance(output, torch.Tensor):
            output["last_hidden_state"] = _reduce(output["last_hidden_state"], reduction)
            return output
        if channels_first:
            return _reduce(output.transpose(1, 2), reduction).transpose(1, 2)
        return _reduce(output, reduction)

    return hook


def _attach(encoder: Any, reduction: Reduction) -> None:
    if reduction.place == "layer":
        encoder.layers[(reduction.layer or 0) - 1].register_forward_hook(_hook(reduction))
    if reduction.place == "output":
        encoder.register_forward_hook(_hook(reduction))


def _adapt(module: Any, adaptation: Adaptation, heads: list[Any], layers: list[Any]) -> Any:
    """Freeze, inject peft's adapters, free what the adaptation trains in full; training mode."""
    from peft import LoraConfig, inject_adapter_in_model

    if adaptation.kind == "full":
        return module.train()
    module.requires_grad_(False)
    if hasattr(module, "freeze_feature_encoder"):
        module.freeze_feature_encoder()
    top = [*layers[len(layers) - adaptation.top_k_layers :], *heads]
    free = {id(m) for part in top for m in part.modules()}
    wanted = adaptation.targets.split(",")
    names = [
        name
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
        and id(part) not in free
        and name != "proj_out"
        and (adaptation.targets == "all-linear" or name.rsplit(".", 1)[-1] in wanted)
    ]
    config = LoraConfig(
        r=adaptation.lora_rank, lora_dropout=adaptation.lora_dropout, target_modules=names
    )
    if names:  # with every layer trained in full there may be none left
        inject_adapter_in_model(config, module)
    for part in top:
        part.requires_grad_(True)
    return module.train()


def whisper_config(backbone: Whisper, **more: Any) -> Any:
    from transformers import WhisperConfig

    config = WhisperConfig(
        d_model=backbone.d_model,
        encoder_layers=backbone.encoder_layers,
        decoder_layers=backbone.decoder_layers,
        encoder_attention_heads=backbone.n_heads,
        decoder_attention_heads=backbone.n_heads,
        encoder_ffn_dim=backbone.ffn_dim,
        decoder_ffn_dim=backbone.ffn_dim,
        num_mel_bins=backbone.n_mels,
        vocab_size=backbone.vocab_size,
        max_source_positions=backbone.max_source_positions,
        max_target_positions=backbone.max_target_positions,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        **more,
    )
    config._attn_implementation = "eager"
    return config


def _real_whisper(
    backbone: Whisper,
    audio_seconds: float,
    reduction: Reduction,
    padding: str = "dynamic",
    *,
    task: str = "asr",
    device: str = "meta",
    adaptation: Adaptation | None = None,
) -> tuple[Any, torch.Tensor]:
    """transformers' Whisper with x_T, x_V and an adaptation applied, and its input features."""
    from transformers import WhisperForAudioClassification, WhisperForConditionalGeneration

    cls = WhisperForConditionalGeneration if task == "asr" else WhisperForAudioClassification
    with torch.device(device):
        module = cls(whisper_config(backbone, num_labels=6))
    encoder = module.model.encoder if task == "asr" else module.encoder
    positions = encoder_positions(backbone, audio_seconds, reduction, padding)
    step = reduction.factor if reduction.place == "stem" else 1
    encoder.conv2.stride = (2 * step,)
    table = encoder.embed_positions.weight[::step][:positions]
    assert len(table) == positions
    encoder.embed_positions = nn.Embedding(*table.shape, _weight=table.detach().clone())
    encoder.embed_positions.requires_grad_(False)
    module.config.max_source_positions = positions
    _attach(encoder, reduction)
    frames = mel_frames(backbone, audio_seconds, reduction, padding)
    features = torch.zeros(1, backbone.n_mels, frames, device=device)
    if adaptation is None:
        return module.eval(), features
    heads = [] if task == "asr" else [module.projector, module.classifier]
    return _adapt(module, adaptation, heads, list(encoder.layers)), features


def wav2vec2_config(backbone: Wav2Vec2) -> Any:
    from transformers import Wav2Vec2Config

    config = Wav2Vec2Config(
        hidden_size=backbone.d_model,
        num_hidden_layers=backbone.encoder_layers,
        num_attention_heads=backbone.n_heads,
        intermediate_size=backbone.ffn_dim,
        conv_dim=list(backbone.conv_dim),
        conv_kernel=list(backbone.conv_kernel),
        conv_stride=list(backbone.conv_stride),
        conv_bias=backbone.conv_bias,
        feat_extract_norm="layer" if backbone.layer_norm_each_conv else "group",
        do_stable_layer_norm=backbone.layer_norm_each_conv,
        num_conv_pos_embeddings=backbone.pos_conv_kernel,
        num_conv_pos_embedding_groups=backbone.pos_conv_groups,
        classifier_proj_size=backbone.projection_size,
        num_labels=backbone.n_labels,
        vocab_size=backbone.vocab_size,
        layerdrop=0.0,
        apply_spec_augment=False,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
    )
    config._attn_implementation = "eager"
    return config


def _real_wav2vec2(
    backbone: Wav2Vec2,
    audio_seconds: float,
    reduction: Reduction,
    *,
    device: str = "meta",
    task: str = "emotion",
    adaptation: Adaptation | None = None,
) -> tuple[Any, torch.Tensor]:
    """transformers' wav2vec2 with a head, x_V and an adaptation applied, and a waveform."""
    from transformers import Wav2Vec2ForCTC, Wav2Vec2ForSequenceClassification

    cls = Wav2Vec2ForCTC if task == "asr" else Wav2Vec2ForSequenceClassification
    with torch.device(device):
        module = cls(wav2vec2_config(backbone))
    if reduction.place == "stem":
        extractor = module.wav2vec2.feature_extractor
        extractor.register_forward_hook(_hook(reduction, channels_first=True))
    _attach(module.wav2vec2.encoder, reduction)
    audio = torch.zeros(1, round(16_000 * audio_seconds), device=device)
    if adaptation is None:
        return module.eval(), audio
    heads = [module.lm_head] if task == "asr" else [module.projector, module.classifier]
    return _adapt(module, adaptation, heads, list(module.wav2vec2.encoder.layers)), audio


@pytest.fixture(scope="session")
def count() -> Callable[..., tuple[int, Any]]:
    return _count


@pytest.fixture(scope="session")
def real_whisper() -> Callable[..., tuple[Any, torch.Tensor]]:
    return _real_whisper


@pytest.fixture(scope="session")
def real_wav2vec2() -> Callable[..., tuple[Any, torch.Tensor]]:
    return _real_wav2vec2
