"""Encoder inputs that are computed without torch are those of training."""

import numpy as np
import pytest
import torch

from runner.engines.features import log_mel, mel_filters, normalised
from runner.models import logmel, wav2vec2
from tests.models.micro import speechlike


@pytest.mark.parametrize("n_mels", [80, 128])
def test_mel_filters_are_those_of_transformers(n_mels):
    from transformers.audio_utils import mel_filter_bank

    theirs = mel_filter_bank(201, n_mels, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_filters(n_mels), theirs.T, atol=1e-7)


@pytest.mark.parametrize("seconds", [0.05, 1.1, 2.0, 3.5])
def test_log_mel_features_are_those_of_training(seconds):
    window = speechlike(seconds)
    ours = log_mel([window], 200, 80)
    np.testing.assert_allclose(ours, logmel.log_mel([window], 200, 80).numpy(), atol=1e-4)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_features_are_those_of_transformers(n_mels):
    from transformers import WhisperFeatureExtractor

    window = speechlike(3.0)
    extractor = WhisperFeatureExtractor(feature_size=n_mels, chunk_length=4)
    theirs = extractor(window, sampling_rate=16_000, return_tensors="np").input_features
    np.testing.assert_allclose(log_mel([window], 400, n_mels), theirs, atol=1e-4)


def test_silence_has_features_too():
    silent = np.zeros(8_000, dtype=np.float32)
    np.testing.assert_allclose(
        log_mel([silent], 100, 80), logmel.log_mel([silent], 100, 80).numpy(), atol=1e-5
    )


def test_waveforms_are_normalised_as_in_training():
    windows = [speechlike(0.5), speechlike(0.3, 4)]
    theirs = wav2vec2.normalised(windows, 8_000, torch.device("cpu"))
    np.testing.assert_allclose(normalised(windows, 8_000), theirs.numpy(), atol=1e-5)
