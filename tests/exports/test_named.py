"""What is exported: what is asked for, else the engine and precision that an answer recommends."""

import pytest

from planner.errors import InputError, UnknownNameError
from runner.exports.named import Named


def chosen(to, asked, **answer):
    form, precision = Named(row=None, **answer).format(to, asked)
    return form.name, precision


ANSWER = {"answer_id": "a1", "engine": "onnxruntime", "precision": "int8"}


def test_an_answer_brings_its_engine_and_precision():
    assert chosen(None, None, **ANSWER) == ("onnx", "int8")
    assert chosen("onnx", None, **ANSWER) == ("onnx", "int8")
    assert chosen(None, "fp32", **ANSWER) == ("onnx", "float32")


def test_another_engine_than_the_answers_is_written_in_its_first_precision():
    assert chosen("ctranslate2", None, **ANSWER) == ("ctranslate2", "float32")
    assert chosen("hf", "bf16", **ANSWER) == ("hf", "bfloat16")


def test_a_run_and_an_answer_in_our_own_engine_must_be_told_to_what():
    with pytest.raises(InputError, match="a run names no engine; say --to onnx, openvino"):
        chosen(None, None)
    with pytest.raises(InputError, match="answer a1 names no engine; say --to"):
        chosen(None, "int8", answer_id="a1")


def test_a_precision_that_the_answers_engine_lacks_is_refused():
    with pytest.raises(UnknownNameError, match="precision of onnx 'int16'"):
        chosen(None, "int16", **ANSWER)
