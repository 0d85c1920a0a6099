"""A config.json is counted whole, or refused by the key that is not counted."""

import pytest

from planner.errors import InputError
from planner.words.catalogue import from_config

WHISPER = {
    "model_type": "whisper", "d_model": 384, "encoder_layers": 4, "decoder_layers": 4,
    "encoder_attention_heads": 6, "decoder_attention_heads": 6, "num_mel_bins": 80,
    "vocab_size": 51865, "encoder_ffn_dim": 1536, "decoder_ffn_dim": 1536,
    "max_source_positions": 1500, "max_target_positions": 448,
}  # fmt: skip
WAV2VEC2 = {
    "model_type": "wav2vec2", "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2], "conv_bias": False, "feat_extract_norm": "group",
    "num_conv_pos_embeddings": 128, "num_conv_pos_embedding_groups": 16,
}  # fmt: skip


def test_plain_configurations_are_counted():
    assert from_config("w", WHISPER).n_params == 37_760_640
    assert from_config("v", WAV2VEC2).n_params > 90e6


@pytest.mark.parametrize(
    ("base", "change", "said"),
    [
        (WHISPER, {"tie_word_embeddings": False}, "tie_word_embeddings"),
        (WHISPER, {"decoder_ffn_dim": 512}, "decoder_ffn_dim 512"),
        (
            WHISPER,
            {"d_model": "384"},
            "d_model must be a positive whole number, got '384'",
        ),
        (WHISPER, {"d_model": -384}, "d_model must be a positive whole number"),
        (WHISPER, {"encoder_layers": 0}, "encoder_layers must be"),
        (WHISPER, {"encoder_layers": True}, "encoder_layers must be"),
        (WHISPER, {"encoder_layers": 4.0}, "encoder_layers must be"),
        (
            WHISPER,
            {"encoder_attention_heads": 7},
            "no multiple of encoder_attention_heads",
        ),
        (WAV2VEC2, {"add_adapter": True}, "add_adapter"),
        (WAV2VEC2, {"adapter_attn_dim": 16}, "adapter_attn_dim"),
        (WAV2VEC2, {"conv_stride": [5, 2, 2, 2, 2, 2, 1]}, "a token each 160 samples"),
        (WAV2VEC2, {"conv_kernel": [10, 3]}, "different lengths"),
        (WAV2VEC2, {"conv_dim": 512}, "conv_dim must be a list"),
        (WAV2VEC2, {"conv_dim": [512, "x"]}, "conv_dim must be a positive"),
        (WAV2VEC2, {"conv_bias": "no"}, "conv_bias must be"),
        (WAV2VEC2, {"num_feat_extract_layers": 8}, "num_feat_extract_layers 8 is not the length"),
        (
            WAV2VEC2,
            {"num_conv_pos_embedding_groups": 17},
            "no multiple of num_conv_pos_embedding_groups",
        ),
    ],
)
def test_what_is_not_counted_or_cannot_be_is_refused_by_its_key(base, change, said):
    with pytest.raises(InputError, match=said):
        from_config("mine", base | change)


@pytest.mark.parametrize("config", [[1, 2], "text", 3, None])
def test_what_is_no_object_is_refused(config):
    with pytest.raises(InputError, match="is no object"):
        from_config("mine", config)
