"""Emotion models are one graph, for waveforms and for log-mel features."""

import numpy as np
import pytest
import torch

from planner.errors import InputError
from runner.engines.formats import format_of
from runner.engines.runtime import open_folder
from runner.engines.trained import Trained
from runner.engines.writing.export import write_export
from runner.models.whisper import ByteTokenizer
from runner.weights.base_weights import BaseWeights
from tests.models.micro import LABELS, make_model, make_trial, speechlike


def trained(name, reduction):
    trial = make_trial(name, task="emotion", reduction=reduction)
    base = BaseWeights(state=None, tokenizer=ByteTokenizer(), source="random initialisation")
    return Trained(model=make_model(trial), trial=trial, base=base, labels=LABELS)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize(
    ("name", "reduction"), [("whisper-micro", "layer1:2"), ("wav2vec2-micro", "stem:2")]
)
def test_a_class_has_the_probabilities_of_torch(tmp_path, form, name, reduction):
    made = trained(name, reduction)
    write_export(made, format_of(form), "float32", tmp_path / "m", lambda line: None)
    window = speechlike(2.0)
    with torch.no_grad():
        states = made.model.encode(made.model.features([window]))
        ours = made.model.decode(states, made.trial.decoding)[0]
    found = open_folder(tmp_path / "m").classify(window)
    assert found.label == ours.text
    np.testing.assert_allclose(
        list(found.probabilities.values()), np.exp(ours.log_probabilities), atol=1e-4
    )


def test_a_model_of_classes_writes_no_text(tmp_path):
    made = trained("whisper-micro", "none")
    write_export(made, format_of("onnx"), "float32", tmp_path / "m", lambda line: None)
    with pytest.raises(InputError, match="names classes; use soundscale classify"):
        open_folder(tmp_path / "m").transcribe(speechlike(1.0))
