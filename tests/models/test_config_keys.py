"""Every key of a config.json is counted as transformers counts it, or refused; found by changing one after another."""

from __future__ import annotations

import pytest

from planner.errors import SoundscaleError
from planner.words.catalogue import from_config

NARROW = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "num_labels": 6,
}
FAMILIES = {
    "Whisper": ("WhisperForConditionalGeneration", {
        "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256, "vocab_size": 1000,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3,
    }),
    "Wav2Vec2": ("Wav2Vec2ForSequenceClassification", NARROW),
    "WavLM": ("WavLMForSequenceClassification", NARROW),
    "Hubert": ("HubertForSequenceClassification", NARROW),
}  # fmt: skip


def others(key, value):
    """Values that the key could have in its place."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value, value + 1] if value else [1]
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, int) for v in value):
        return [[2 * v for v in value], [*value[:-1], 2 * value[-1]], list(value[:-1])]
    return ["layer"] if key == "feat_extract_norm" else []


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_changed_key_is_counted_as_transformers_does_or_refused(family):
    import torch
    import transformers

    model_class, small = FAMILIES[family]
    config_class = getattr(transformers, f"{family}Config")

    def theirs(**change):
        try:
            with torch.device("meta"):
                model = getattr(transformers, model_class)(config_class(**{**small, **change}))
        except Exception:  # whatever the library makes of a model that cannot be
            return None
        return sum(p.numel() for p in model.parameters())

    plain = config_class(**small).to_dict()
    base = theirs(), from_config("mine", plain).n_params
    n_counted = 0
    for key, value in plain.items():
        for other in others(key, value):
            try:
                ours = from_config("mine", plain | {key: other}).n_params
            except SoundscaleError:
                continue
            n_counted += 1
            assert ours - base[1] == theirs(**{key: other}) - base[0], key
    assert n_counted > 30
