"""What is exported: what is asked for, else the engine and precision that an answer recommends."""

import pytest

from planner.errors import InputError, UnknownNameError
from planner.store.claims import finish
from planner.store.read import runs
from planner.store.write import register_sweep
from planner.words.records import Reduction, Resources
from runner.exports.named import Named, _recommended
from tests.store.samples import LEASE, WORKER, claim_any, finished, trial


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


def test_a_run_that_was_never_scored_in_the_answers_engine_is_what_it_recommends(sqlite_store):
    """A sweep measures the runs on the frontier in other engines; an answer may name another run in one of them."""
    kinds = [trial(reduction=Reduction.parse(text)) for text in ("none", "stem:2")]
    sweep = register_sweep(
        sqlite_store, "two", "{}", [(one, Resources()) for one in kinds]
    ).sweep_id
    for _ in kinds:
        finish(sqlite_store, claim_any(sqlite_store, sweep, WORKER, LEASE), finished())
    rows = runs(sqlite_store)
    wanted = next(row for row in rows if row.trial.reduction.factor == 2)
    config = {
        "backbone": "whisper-tiny", "audio_seconds": 8.0, "padding": wanted.trial.padding, "reduction": "stem:2",
        "adaptation": str(wanted.trial.adaptation), "engine": "ctranslate2", "precision": "int8",
    }  # fmt: skip
    best = {"label": "that", "prediction": {"run_ids": []}, "config": config}
    answer = {"answer_id": "a1", "evidence": [row.run_id for row in rows], "best": best}
    assert _recommended(sqlite_store, answer).run_id == wanted.run_id
    nobody = answer | {"best": best | {"config": config | {"audio_seconds": 3.0}}}
    with pytest.raises(InputError, match="recommends that, which nobody has trained"):
        _recommended(sqlite_store, nobody)
