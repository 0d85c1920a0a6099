"""Every format writes what torch writes, and refuses what it cannot hold before it writes anything."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.words.catalogue import BUILT_IN, backbone
from planner.words.records import GUARDED
from runner.engines import formats
from runner.engines.description import is_readable
from runner.engines.formats import (
    format_of,
    precision_of,
    require_installed,
    require_possible,
    why_not,
)
from runner.engines.runtime import open_folder
from runner.engines.stem import Stem
from runner.engines.writing.export import write_export
from tests.engines.conftest import WINDOWS, micro, written_by_engine, written_by_torch
from tests.models.micro import make_model, make_trial

CASES = [
    ("openvino", "none"),
    pytest.param("openvino", "layer1:2", marks=pytest.mark.slow),
    pytest.param("pt2", "none", marks=pytest.mark.slow),
    pytest.param("pt2", "stem:2", marks=pytest.mark.slow),
    ("pt2", "layer1:2"),
    ("ctranslate2", "none"),
    ("ctranslate2", "stem:2"),
    ("ctranslate2", "output:2"),
    ("ctranslate2", "output:2:mean-pool"),
    ("hf", "none"),
    ("hf", "stem:2"),
    ("hf", "layer1:2"),
    ("hf", "output:2"),
]


@pytest.mark.parametrize(("form", "reduction"), CASES)
def test_float32_writes_the_tokens_of_torch(exported, form, reduction):
    together, alone = written_by_engine(exported(form, "float32", reduction))
    assert together == alone == written_by_torch(micro(reduction))


@pytest.mark.parametrize(
    ("form", "reduction"),
    [
        pytest.param("openvino", "none", marks=pytest.mark.slow),
        ("ctranslate2", "none"),
        ("ctranslate2", "stem:2"),
    ],
)
def test_int8_scores_tokens_nearly_as_float32_does(exported, form, reduction):
    plain, small = (
        open_folder(exported(form, precision, reduction)).engine.run(WINDOWS, confidences=True)
        for precision in ("float32", "int8")
    )
    for one, other in zip(plain, small, strict=True):
        nats = [math.log(out.confidence) for out in (one, other)]
        assert nats[1] == pytest.approx(nats[0], rel=0.02)


@pytest.mark.parametrize("form", ["onnx", "openvino", "ctranslate2", "hf"])
def test_a_number_of_tokens_can_be_forced_for_latency(exported, form):
    engine = open_folder(exported(form)).engine
    for n in (1, 2, 9):
        assert [len(one.ids) for one in engine.run(WINDOWS[:2], exactly=n)] == [n, n]


@pytest.mark.parametrize(
    "form", ["onnx", pytest.param("openvino", marks=pytest.mark.slow), "ctranslate2", "hf"]
)
@pytest.mark.parametrize("cut", [True, None], ids=["cut", "as before"])
def test_suspicious_texts_are_cut_or_decoded_again_as_in_torch(tmp_path, form, cut):
    trained = micro(decoding=replace(GUARDED, max_tokens_per_second=6.0, cut_repeats=cut))
    write_export(trained, format_of(form), "float32", tmp_path / "model", lambda line: None)
    together, alone = written_by_engine(tmp_path / "model")
    assert together == alone == written_by_torch(trained)
    found = open_folder(tmp_path / "model").engine.run(WINDOWS)
    assert any(one.repeats_cut if cut else one.fell_back for one in found)


@pytest.mark.parametrize("precision", ["float16", "int8-static"])
def test_onnx_in_less_precision_scores_tokens_nearly_as_float32_does(exported, tmp_path, precision):
    plain = open_folder(exported("onnx")).engine.run(WINDOWS, confidences=True)
    write_export(
        micro(),
        format_of("onnx"),
        precision,
        tmp_path / "m",
        lambda line: None,
        windows=WINDOWS[:2],
    )
    small = open_folder(tmp_path / "m").engine.run(WINDOWS, confidences=True)
    for one, other in zip(plain, small, strict=True):
        nats = [math.log(out.confidence) for out in (one, other)]
        assert nats[1] == pytest.approx(nats[0], rel=0.03)


def test_bfloat16_graphs_are_sound_and_say_that_they_need_cuda(tmp_path):
    import onnx
    import onnxruntime

    folder = tmp_path / "m"
    write_export(micro(), format_of("onnx"), "bfloat16", folder, lambda line: None)
    for name in ("encoder.onnx", "decoder_step.onnx"):
        model = onnx.load(folder / name)
        onnx.checker.check_model(model, full_check=True)
        floats = [one.name for one in model.graph.initializer if one.data_type == 1]
        assert all(one == "never" or one.startswith("conv") for one in floats), floats
        assert any(one.data_type == 16 for one in model.graph.initializer)
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(MissingResourceError, match="in bfloat16 has no kernels on CPU"):
            open_folder(folder)


def test_static_ranges_need_clips(tmp_path):
    with pytest.raises(InputError, match="takes ranges from training clips, and there are none"):
        write_export(micro(), format_of("onnx"), "int8-static", tmp_path / "m", lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_a_widened_stem_runs_outside_as_torch_runs_it(exported):
    import torch

    folder = exported("ctranslate2", "float32", "stem:2")
    encoder = micro("stem:2").model.module.model.encoder
    features = np.random.default_rng(1).standard_normal((80, 200)).astype(np.float32)
    with torch.no_grad():
        x = torch.nn.functional.gelu(encoder.conv1(torch.from_numpy(features)[None]))
        theirs = torch.nn.functional.gelu(encoder.conv2(x))[0].numpy()
    stem = Stem.load(folder / "stem.npz", 4)
    np.testing.assert_allclose(stem.frames(features), theirs, atol=1e-6)


def test_a_stock_transformers_folder_needs_no_code_of_ours(exported):
    from transformers import AutoModelForSpeechSeq2Seq

    folder = exported("hf")
    model = AutoModelForSpeechSeq2Seq.from_pretrained(folder, trust_remote_code=False)
    assert model.config.max_source_positions == 100


def test_stock_code_refuses_a_folder_whose_stride_it_does_not_know(exported):
    from transformers import AutoModelForSpeechSeq2Seq

    folder = exported("hf", "float32", "stem:2")
    assert json.loads((folder / "config.json").read_text())["model_type"] == "soundscale_whisper"
    with pytest.raises(ValueError, match="trust_remote_code=True"):
        AutoModelForSpeechSeq2Seq.from_pretrained(folder, trust_remote_code=False)


def test_an_unknown_format_or_precision_names_the_known_ones():
    with pytest.raises(
        UnknownNameError, match=r"unknown format 'onx'; known: onnx, .*did you mean onnx"
    ):
        format_of("onx")
    with pytest.raises(
        UnknownNameError,
        match="precision of onnx 'int3'; known: float32, int8, int8-static, float16, bfloat16",
    ):
        precision_of(format_of("onnx"), "int3")
    assert precision_of(format_of("onnx"), "fp32") == "float32"


def test_a_format_whose_package_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(MissingResourceError, match=r"pip install 'soundscale\[ctranslate2\]'"):
        require_installed(format_of("ctranslate2"), writing=False)


def test_only_quantising_needs_the_quantiser(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "nncf" else object())
    require_installed(format_of("openvino"), "float32", writing=True)
    with pytest.raises(MissingResourceError, match="openvino needs nncf, not installed here"):
        require_installed(format_of("openvino"), "int8", writing=True)


@pytest.mark.parametrize(
    ("form", "asked", "reason"),
    [
        ("ctranslate2", {"reduction": "layer1:2"}, "no place for layer1:2 between its layers"),
        ("ctranslate2", {"task": "emotion"}, "runs speech recognition alone"),
        ("hf", {"task": "emotion"}, "only speech recognition"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_with_what_can(form, asked, reason):
    with pytest.raises(InputError, match=f"cannot be exported to {form}: .*{reason}.*; use onnx"):
        require_possible(format_of(form), make_trial(**asked), "whisper")


@pytest.mark.parametrize("form", formats.FORMATS)
def test_a_family_that_no_format_holds_is_refused_before_anything_is_built(form):
    with pytest.raises(
        InputError, match=r"family moonshine are not exported yet; take one of whis"
    ):
        require_possible(format_of(form), make_trial("moonshine-micro"), "moonshine")


README = Path(__file__).parents[2] / "README.md"
CALLED = {
    "ONNX Runtime": "onnx", "OpenVINO": "openvino", "CTranslate2": "ctranslate2",
    "torch.export": "pt2", "whisper.cpp": "ggml", "transformers": "hf", "PEFT": "peft",
}  # fmt: skip


def can_hold(name, task):
    trial, family = make_trial(name, task=task, adaptation="lora:2"), backbone(name).family
    return {f.name for f in formats.FORMATS.values() if why_not(f, trial, family) is None}


def test_the_readmes_table_says_what_each_family_does_and_is_exported_to():
    rows = [line.split("|")[1:4] for line in README.read_text().splitlines() if line[:1] == "|"]
    told = {name.split()[0].strip(","): (does, to) for name, does, to in rows}
    micro_of = {
        "Whisper": "whisper-micro",
        "wav2vec2": "wav2vec2-micro",
        "Moonshine": "moonshine-micro",
        "Parakeet": "parakeet-micro",
        "w2v-BERT": "w2v-bert-micro",
    }
    assert {b.family for b in BUILT_IN.backbones} == {backbone(m).family for m in micro_of.values()}
    for family, name in micro_of.items():
        does, to = told[family]
        both, _, of_text = to.partition("; text also ")
        always = {CALLED[n] for n in CALLED if n in both}
        assert can_hold(name, "asr") == always | {CALLED[n] for n in CALLED if n in of_text}
        assert ("emotion" in does) == (family in ("Whisper", "wav2vec2"))
        assert "emotion" not in does or can_hold(name, "emotion") == always


def test_a_folder_without_a_model_says_how_to_make_one(tmp_path):
    with pytest.raises(
        MissingResourceError, match=r"soundscale\.json is missing; make one with: sound"
    ):
        open_folder(tmp_path)


@pytest.mark.parametrize(
    ("form", "runs"), [("onnx", False), ("openvino", False), ("ctranslate2", True)]
)
def test_a_folder_of_before_runs_where_it_holds_no_graphs(exported, tmp_path, form, runs):
    content = json.loads((exported("ctranslate2") / "soundscale.json").read_text())
    content |= {"schema": "soundscale-model/1", "format": form}
    (tmp_path / "soundscale.json").write_text(json.dumps(content))
    assert is_readable(tmp_path) is runs


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_goes_onto_its_base_by_peft_alone(tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForSpeechSeq2Seq

    from runner.engines.trained import Trained
    from runner.models.adapt import adapt, merge

    made = micro()
    model, trial = make_model(make_trial()), make_trial(adaptation="lora:2")
    adapt(model, trial.adaptation, seed=0)
    rng = torch.Generator().manual_seed(1)
    for name, parameter in model.module.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0.0, 0.3, generator=rng)
    merge(model.module)
    model.module.requires_grad_(False).eval()
    tuned = Trained(model=model, trial=trial, base=made.base)
    write_export(tuned, format_of("peft"), "float32", tmp_path / "m", lambda line: None)
    together, alone = written_by_engine(tmp_path / "m")
    assert together == alone == written_by_torch(tuned) != written_by_torch(made)
    base = AutoModelForSpeechSeq2Seq.from_pretrained(
        tmp_path / "m" / "base", trust_remote_code=False
    )
    adapted = PeftModel.from_pretrained(base, tmp_path / "m")
    assert adapted.peft_config["default"].r == 2


def test_what_is_no_adapter_alone_or_not_stock_is_refused_as_one():
    for asked, reason in (
        ({"adaptation": "lora:2+top1"}, "more than one"),
        ({"adaptation": "none"}, "no adapter"),
        ({"adaptation": "lora:2", "reduction": "stem:2"}, "no place for stem:2"),
    ):
        with pytest.raises(InputError, match=reason):
            require_possible(format_of("peft"), make_trial(**asked), "whisper")
