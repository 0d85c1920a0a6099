import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner.errors import MissingResourceError
from runner.weights.ctranslate2 import read_variables, to_transformers


def as_file(tmp_path, content, name="model.bin"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_the_state_read_back_is_the_model_that_was_written(micro, micro_bytes, tmp_path):
    path = as_file(tmp_path, micro_bytes)
    state, config = to_transformers(read_variables(path), path)
    own = micro.state_dict()
    assert state.keys() == own.keys()
    assert all(np.array_equal(state[k], own[k].numpy()) for k in own)
    assert (config["encoder_attention_heads"], config["decoder_layers"]) == (2, 2)


def test_a_fresh_model_with_that_state_gives_the_same_logits(micro, micro_bytes, tmp_path):
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    path = as_file(tmp_path, micro_bytes)
    state, config = to_transformers(read_variables(path), path)
    fresh = WhisperForConditionalGeneration(WhisperConfig(**config)).eval()
    fresh.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=True)
    features = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(1))
    tokens = torch.tensor([[50258, 50259, 100]])
    with torch.no_grad():
        a, b = (m(input_features=features, decoder_input_ids=tokens).logits for m in (micro, fresh))
    assert torch.equal(a, b)


VALUES = np.array([[1.0, -2.0, 0.5], [0.25, 8.0, -0.125]])


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "int8", "int16", "int32"])
def test_each_stored_type_is_read_exactly(writer, tmp_path, kind):
    values = VALUES * 8 if kind.startswith("int") else VALUES
    path = as_file(tmp_path, writer().file({"x": (values, kind), "y": (np.array(3), "int16")}))
    read = read_variables(path)
    np.testing.assert_array_equal(read["x"], values)
    assert read["y"].shape == ()


def test_an_alias_is_another_name_of_the_same_variable(writer, tmp_path):
    content = writer().file({"x": (VALUES, "float32")}, {"also": "x"})
    read = read_variables(as_file(tmp_path, content))
    assert read["also"] is read["x"]


def test_int8_rows_are_divided_by_their_scale(writer, variables_of, micro, tmp_path):
    name = "encoder/layer_0/ffn/linear_0"
    variables = variables_of(micro)
    weight = variables[f"{name}/weight"][0]
    scale = 127 / np.abs(weight).max(axis=1)
    variables[f"{name}/weight"] = (np.rint(weight * scale[:, None]), "int8")
    variables[f"{name}/weight_scale"] = (scale, "float32")
    path = as_file(tmp_path, writer().file(variables))
    state, _ = to_transformers(read_variables(path), path)
    error = np.abs(state["model.encoder.layers.0.fc1.weight"] - weight)
    assert (error <= 0.5001 / scale[:, None]).all()


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_anywhere_is_called_truncated(micro_bytes, tmp_path, share):
    path = as_file(tmp_path, micro_bytes[: int(len(micro_bytes) * share)])
    with pytest.raises(MissingResourceError, match=r"model\.bin are truncated"):
        read_variables(path)


def test_a_file_of_another_kind_is_refused_by_name(writer, tmp_path):
    some = {"x": (VALUES, "float32")}
    for content, said in (
        (writer(version=99).file(some), "version 99"),
        (
            writer(specification="TransformerSpec").file(some),
            "'TransformerSpec', not a WhisperSpec",
        ),
        (b"PK\3\4 surely a zip file", "not CTranslate2"),
    ):
        with pytest.raises(MissingResourceError, match=said):
            read_variables(as_file(tmp_path, content))


def test_a_missing_variable_is_named(writer, variables_of, micro, tmp_path):
    variables = variables_of(micro)
    del variables["decoder/layer_1/ffn/linear_1/weight"]
    path = as_file(tmp_path, writer().file(variables))
    with pytest.raises(MissingResourceError, match="decoder/layer_1/ffn/linear_1/weight"):
        to_transformers(read_variables(path), Path("model.bin"))


@pytest.mark.parametrize(("kind", "steps"), [("int8", 127), ("int16", 1024)])
def test_a_file_that_ctranslate2_quantised_gives_back_every_weight(micro, tmp_path, kind, steps):
    from ctranslate2.converters.transformers import WhisperLoader

    # It quantises in the place of the tensors that it is given.
    spec = WhisperLoader().get_model_spec(copy.deepcopy(micro))
    spec.register_vocabulary([f"w{i}" for i in range(micro.config.vocab_size)])
    spec.validate()
    spec.optimize(quantization=kind)
    spec.save(str(tmp_path))
    state, _ = to_transformers(read_variables(tmp_path / "model.bin"), tmp_path / "model.bin")
    for name, tensor in micro.state_dict().items():
        largest = (
            max(1.0, float(tensor.abs().max())) if kind == "int16" else float(tensor.abs().max())
        )
        error = np.abs(state[name] - tensor.detach().numpy()).max()
        assert error <= 0.51 * largest / steps + 1e-6, name
