"""A model's `config.json` before anything is believed of it: types, sizes, and keys that are not counted.

A key that changes parameters, positions, strides or FLOPs and that the closed forms do not know is refused by
its name: a wrong x_N would be silent.
"""

from __future__ import annotations

import math
from typing import Any

from planner.errors import InputError

_SIZES = {
    "whisper": (
        "d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "num_mel_bins",
        "vocab_size", "encoder_ffn_dim", "max_source_positions", "max_target_positions",
    ),
    "wav2vec2": (
        "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "num_conv_pos_embeddings", "num_conv_pos_embedding_groups",
    ),
}  # fmt: skip
_PLAIN = {
    "add_adapter": False, "adapter_attn_dim": None, "use_weighted_layer_sum": False,
    "tie_word_embeddings": True, "conv_pos_batch_norm": False, "feat_proj_layer_norm": True,
    "output_hidden_size": None, "num_conv_adapter_layers": None,
}  # fmt: skip
"""Keys that change shapes, and their value in the models whose sizes are known in closed form."""
LARGEST_SIZE = 10**9
SAMPLES_PER_TOKEN = 320
"""Product of the strides of a front end that gives 50 tokens a second at 16 kHz."""


def check_config(name: str, config: Any) -> None:
    """Refuse a configuration that cannot be, or whose parameters would be miscounted.

    Raises:
        InputError: it is no object, a size is no positive whole number, or a key is not supported.
    """
    if not isinstance(config, dict):
        raise InputError(f"config of {name!r} is no object; give the model's own config.json")
    kind = config.get("model_type")
    family = "whisper" if kind == "whisper" else "wav2vec2"
    if kind not in ("whisper", "wav2vec2", "hubert", "wavlm"):
        return
    wavlm = ("num_buckets",) if kind == "wavlm" else ()
    for key in (
        *_SIZES[family],
        *wavlm,
        "decoder_attention_heads",
        "decoder_ffn_dim",
        "classifier_proj_size",
        "vocab_size",
    ):
        if key in config:
            _whole(name, key, config[key])
    (_whisper if family == "whisper" else _wav2vec2)(name, config)


def _whole(name: str, key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < LARGEST_SIZE:
        raise InputError(
            f"config of {name!r}: {key} must be a positive whole number, got {value!r}; correct config.json"
        )


def _unlike(name: str, config: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in keys:
        if key in config and config[key] != _PLAIN[key]:
            raise InputError(
                f"config of {name!r}: {key} = {config[key]!r} changes the model in a way that is not counted; "
                f"supported is {_PLAIN[key]!r}"
            )


def _whisper(name: str, config: dict[str, Any]) -> None:
    _unlike(name, config, ("tie_word_embeddings",))
    width, ffn = config.get("d_model"), config.get("encoder_ffn_dim")
    if config.get("decoder_ffn_dim", ffn) != ffn:
        raise InputError(
            f"config of {name!r}: decoder_ffn_dim {config['decoder_ffn_dim']} is not encoder_ffn_dim {ffn}, "
            "and only equal widths are counted"
        )
    for key in ("encoder_attention_heads", "decoder_attention_heads"):
        _divides(name, key, config.get(key), width)


def _wav2vec2(name: str, config: dict[str, Any]) -> None:
    _unlike(
        name,
        config,
        tuple(key for key in _PLAIN if key not in ("tie_word_embeddings", "output_hidden_size")),
    )
    if config.get("output_hidden_size") not in (None, config.get("hidden_size")):
        raise InputError(f"config of {name!r}: output_hidden_size is not counted; leave it out")
    lists = {
        key: config[key] for key in ("conv_dim", "conv_kernel", "conv_stride") if key in config
    }
    for key, values in lists.items():
        if not isinstance(values, list) or not values:
            raise InputError(
                f"config of {name!r}: {key} must be a list of whole numbers, got {values!r}"
            )
        for value in values:
            _whole(name, key, value)
    if len({len(values) for values in lists.values()}) > 1:
        raise InputError(f"config of {name!r}: {', '.join(lists)} have different lengths")
    if "conv_stride" in lists and math.prod(lists["conv_stride"]) != SAMPLES_PER_TOKEN:
        raise InputError(
            f"config of {name!r}: conv_stride gives a token each {math.prod(lists['conv_stride'])} samples; supported "
            f"is {SAMPLES_PER_TOKEN}, 50 tokens a second"
        )
    n_layers = config.get("num_feat_extract_layers")
    if n_layers is not None and any(len(values) != n_layers for values in lists.values()):
        raise InputError(
            f"config of {name!r}: num_feat_extract_layers {n_layers} is not the length of {', '.join(lists)}"
        )
    if "conv_bias" in config and not isinstance(config["conv_bias"], bool):
        raise InputError(f"config of {name!r}: conv_bias must be true or false")
    if config.get("feat_extract_norm", "group") not in ("group", "layer"):
        raise InputError(f"config of {name!r}: feat_extract_norm must be group or layer")
    for heads in ("num_attention_heads", "num_conv_pos_embedding_groups"):
        _divides(name, heads, config.get(heads), config.get("hidden_size"))


def _divides(name: str, key: str, heads: Any, width: Any) -> None:
    if isinstance(heads, int) and isinstance(width, int) and width % heads:
        raise InputError(f"config of {name!r}: width {width} is no multiple of {key} {heads}")
