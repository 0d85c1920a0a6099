"""Features and greedy decoding against transformers' own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from planner.errors import InputError
from planner.words.records import Decoding
from runner.models.decode import Specials, greedy, require_greedy
from runner.models.logmel import log_mel
from tests.models.micro import make_model, make_trial, speechlike

PLAIN = Decoding(max_new_tokens=12, max_tokens_per_second=1e3)


@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("seconds", [1.0, 2.5, 30.0])
def test_log_mel_equals_whispers_extractor(n_mels, seconds):
    audio = [speechlike(0.8, seed=1), speechlike(min(seconds, 2.3), seed=2)]
    theirs = WhisperFeatureExtractor(feature_size=n_mels)(
        audio, sampling_rate=16_000, return_tensors="pt", max_length=round(16_000 * seconds)
    ).input_features
    ours = log_mel(audio, round(100 * seconds), n_mels)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_waveforms_are_normalised_as_wav2vec2s_extractor_does():
    audio = [speechlike(2.0, seed=3) + 0.05]
    theirs = Wav2Vec2FeatureExtractor(do_normalize=True)(
        audio, sampling_rate=16_000, return_tensors="pt"
    ).input_values
    ours = make_model(make_trial("wav2vec2-micro", "emotion")).features(audio)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def encoded(reduction, n=5):
    model = make_model(make_trial(reduction=reduction))
    windows = [speechlike(2.0, seed=i) * (i + 1) for i in range(n)]
    return model, windows, model.encode(model.features(windows)).detach()


@pytest.mark.parametrize("reduction", ["none", "stem:2", "layer1:2", "output:2"])
def test_greedy_tokens_are_those_of_transformers_generate(reduction):
    model, windows, states = encoded(reduction)
    ours = [r.ids for r in greedy(model.module, states, model.special, PLAIN, suppress=False)]
    prompt = torch.tensor([model.special.prompt] * len(windows))
    config = model.module.generation_config
    config.begin_suppress_tokens, config.suppress_tokens = None, None
    theirs = model.module.generate(
        model.features(windows), decoder_input_ids=prompt, max_new_tokens=12, do_sample=False
    ).tolist()
    # generate returns what it wrote, with or without the prompt and padded with end tokens.
    for row, own in zip(theirs, ours, strict=True):
        written = [t for t in row if t not in (*model.special.prompt, model.special.end)]
        assert written == own


@pytest.mark.parametrize("cached", [True, False], ids=["cache", "no-cache"])
def test_a_batch_yields_the_tokens_of_its_windows_one_by_one(cached):
    model, _, states = encoded("stem:2")
    decoding = Decoding(max_new_tokens=12, max_tokens_per_second=1e3, kv_cache=cached)
    together = [p.token_ids for p in model.decode(states, decoding)]
    alone = [model.decode(row[None], PLAIN)[0].token_ids for row in states]
    assert together == alone


def test_no_window_writes_more_than_its_limit():
    model, _, states = encoded("none")
    found = model.decode(states, PLAIN, limits=[1, 4, 2, 99, 3])
    assert all(p.n_tokens <= limit for p, limit in zip(found, [1, 4, 2, 12, 3], strict=True))


def test_a_probe_writes_exactly_as_many_tokens_as_asked():
    model, _, states = encoded("none", n=2)
    assert [p.n_tokens for p in model.decode(states, PLAIN, exactly=7)] == [7, 7]


def test_no_ngram_is_written_twice_where_that_is_refused():
    model, _, states = encoded("none")
    for row in model.decode(states, Decoding(max_new_tokens=40, no_repeat_ngram=2)):
        pairs = list(zip(row.token_ids, row.token_ids[1:], strict=False))
        assert len(pairs) == len(set(pairs))


def test_special_and_timestamp_ids_are_never_written():
    model, _, states = encoded("none")
    written = {t for p in model.decode(states, PLAIN) for t in p.token_ids}
    assert max(written) < model.special.end
    assert not written & set(model.special.silent)


def test_prompts_follow_from_the_vocabulary():
    found = [Specials.of(n).prompt for n in (51864, 51865, 51866)]
    wanted = [(50257, 50362), (50258, 50259, 50359, 50363), (50258, 50259, 50360, 50364)]
    assert found == wanted


def test_beams_are_refused_and_not_ignored():
    with pytest.raises(InputError, match="4 beams"):
        require_greedy(Decoding(beams=4))


def test_a_window_is_cut_to_the_axis_and_silence_is_added():
    features = log_mel([np.ones(32_000, np.float32), np.ones(16_000, np.float32)], 100, 80)
    assert features.shape == (2, 80, 100)
    torch.testing.assert_close(features[0], features[1])


def test_a_window_that_reaches_its_limit_is_decoded_again_and_paid_for_twice():
    model, _, states = encoded("none")
    decoding = Decoding(max_new_tokens=12, max_tokens_per_second=1e3, fallback_ngram=2)
    first = model.decode(states, decoding.unguarded)
    again = model.decode(states, decoding.fallback)
    cut = [len(p.token_ids) >= 12 for p in first]
    assert any(cut)
    for p, one, two, doubtful in zip(
        model.decode(states, decoding), first, again, cut, strict=True
    ):
        wanted = two if doubtful else one
        assert p.token_ids == wanted.token_ids
        assert p.n_tokens == one.n_tokens + (two.n_tokens if doubtful else 0)
        assert p.fell_back is doubtful


def test_doubt_is_the_log_probability_that_torch_gives_the_tokens():
    model, _, states = encoded("none", n=3)
    rows = greedy(
        model.module, states, model.special, dataclasses.replace(PLAIN, min_log_probability=-1e9)
    )
    for row, state in zip(rows, states, strict=True):
        ids = [*row.ids, model.special.end][: row.n_tokens]
        inputs = torch.tensor([[*model.special.prompt, *ids[:-1]]])
        hidden = model.module.model.decoder(
            input_ids=inputs, encoder_hidden_states=state[None], use_cache=False
        ).last_hidden_state
        logits = model.module.proj_out(hidden)[0, len(model.special.prompt) - 1 :].float()
        logits[:, model.special.end + 1 :] = -torch.inf
        logits[:, list(model.special.silent)] = -torch.inf
        logits[0, [220, model.special.end]] = -torch.inf
        wanted = logits.detach().log_softmax(-1)[range(len(ids)), ids].sum()
        assert row.log_probability == pytest.approx(float(wanted), abs=1e-3)


def test_a_guard_that_nothing_sets_off_changes_no_token():
    model, _, states = encoded("stem:2")
    easy = dataclasses.replace(
        PLAIN, fallback_ngram=3, max_compression_ratio=1e9, min_log_probability=-1e9
    )
    unguarded = model.decode(states, PLAIN, limits=[300] * 5)
    for p, plain in zip(model.decode(states, easy, limits=[300] * 5), unguarded, strict=True):
        if not p.fell_back:
            assert (p.token_ids, p.n_tokens) == (plain.token_ids, plain.n_tokens)
