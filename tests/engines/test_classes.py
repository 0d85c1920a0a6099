"""Models of one graph: classes from waveforms and from log-mel features, and text by CTC."""

import numpy as np
import pytest
import torch

from planner.errors import InputError
from runner.engines.formats import format_of, require_possible
from runner.engines.runtime import open_folder
from runner.engines.trained import Trained, load_trained
from runner.engines.writing.export import write_export
from runner.models.whisper import ByteTokenizer
from runner.weights.base_weights import BaseWeights
from tests.models.micro import LABELS, make_model, make_trial, speechlike


def trained(name, reduction):
    trial = make_trial(name, task="emotion", reduction=reduction)
    base = BaseWeights(state=None, tokenizer=ByteTokenizer(), source="random initialisation")
    return Trained(model=make_model(trial), trial=trial, base=base, labels=LABELS)


@pytest.mark.parametrize("form", ["onnx", "openvino", "pt2"])
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


@pytest.mark.parametrize(
    ("form", "reduction"),
    [
        ("onnx", "stem:2"),
        pytest.param("onnx", "none", marks=pytest.mark.slow),
        pytest.param("openvino", "stem:2", marks=pytest.mark.slow),
        pytest.param("pt2", "stem:2", marks=pytest.mark.slow),
    ],
)
def test_a_ctc_model_writes_the_text_of_torch(tmp_path, form, reduction):
    made = load_trained(make_trial("wav2vec2-micro", reduction=reduction), None)
    write_export(made, format_of(form), "float32", tmp_path / "m", lambda line: None)
    windows = [speechlike(2.0), speechlike(1.1, 3)]
    ours = made.model.decode(made.model.encode(made.model.features(windows)), made.trial.decoding)
    found = open_folder(tmp_path / "m").engine.run(windows, confidences=True)
    assert [one.text for one in found] == [one.text for one in ours]
    assert [one.ids for one in found] == [one.token_ids for one in ours]
    for one, other in zip(found, ours, strict=True):
        held = other.token_log_probabilities
        assert one.confidence == pytest.approx(np.exp(sum(held) / max(1, len(held))), rel=1e-3)


def test_a_ctc_model_is_refused_where_whisper_alone_is_held():
    trial = make_trial("wav2vec2-micro")
    for form in ("ctranslate2", "ggml", "hf"):
        with pytest.raises(
            InputError, match=r"holds Whisper alone, .* wav2vec2; use onnx or openvino"
        ):
            require_possible(format_of(form), trial, "wav2vec2")
