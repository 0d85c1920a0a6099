from __future__ import annotations

import json

import pytest

from planner.costs.latency.transfer import DataSheet, datasheet_model
from planner.errors import InputError
from planner.service.costs import add_backbone, backbone_rows, cost_report
from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Reduction

ASKED = {
    "audio_seconds": 30.0,
    "reduction": Reduction.parse("stem:2"),
    "adaptation": Adaptation(lora_rank=16),
    "n_output_tokens": 20,
}


def test_a_report_has_flops_memory_and_training_and_no_latency_without_a_device():
    report = cost_report(backbone("whisper-small"), **ASKED)
    assert set(report) == {"flops", "memory_bytes", "training"}
    parts = report["flops"]["parts"]
    assert set(parts) == {"stem", "encoder", "cross_attention", "decoder", "head"}
    assert report["flops"]["total"] == sum(parts.values())
    assert report["flops"]["convention"] == "exact/1"


def test_a_report_is_plain_json_with_whole_flops():
    report = cost_report(backbone("whisper-small"), **ASKED)
    assert json.loads(json.dumps(report)) == report
    assert all(isinstance(v, int) for v in report["flops"]["parts"].values())


def test_a_known_device_adds_a_tagged_latency_with_its_interval():
    sheet = DataSheet(name="h100", kind="cuda", peak_flops=9e14, bandwidth=3e12, dtype="bfloat16")
    latency = cost_report(backbone("whisper-small"), latency_model=datasheet_model(sheet), **ASKED)[
        "latency_ms"
    ]
    assert (latency["source"], latency["device"]) == ("datasheet", "h100")
    assert latency["p50_low"] < latency["p50"] < latency["p50_high"]
    assert latency["p95"] > latency["p50"]


def test_the_training_memory_of_a_report_holds_the_adapters_alone_as_trained():
    report = cost_report(backbone("whisper-small"), **ASKED)
    n = report["training"]["n_trainable"]
    assert report["memory_bytes"]["training"]["parts"]["optimiser"] == 8 * n


@pytest.mark.parametrize("kind", ["none", "full", "lora:8+top2"])
@pytest.mark.parametrize("name", ["whisper-micro", "wav2vec2-micro"])
def test_every_adaptation_and_family_has_a_report(name, kind):
    asked = ASKED | {"adaptation": Adaptation.parse(kind), "audio_seconds": 4.0}
    report = cost_report(backbone(name), **asked)
    assert report["training"]["total"] >= (0 if kind == "none" else 1)
    assert report["memory_bytes"]["inference"]["total"] > 0


def test_without_a_cache_only_flops_and_cache_change():
    with_cache, without = (
        cost_report(backbone("whisper-small"), kv_cache=cache, **ASKED) for cache in (True, False)
    )
    assert without["flops"]["total"] > with_cache["flops"]["total"]
    assert without["memory_bytes"]["inference"]["parts"]["kv_cache"] == 0


def test_a_bad_question_is_an_input_error():
    with pytest.raises(InputError):
        cost_report(backbone("whisper-small"), **ASKED | {"audio_seconds": 0.0})


@pytest.mark.parametrize(
    "change",
    [{"d_model": "many"}, {"encoder_layers": -2}, {"vocab_size": 10**30}, {"d_model": 2.5}],
)
def test_a_backbone_whose_sizes_are_none_is_refused_before_it_is_stored(tmp_path, change):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(TINY | change))
    db = str(tmp_path / "runs.db")
    (key,) = change
    with pytest.raises(InputError, match=key):
        add_backbone(db, str(path), "mine")
    path.write_text(json.dumps(TINY))
    assert add_backbone(db, str(path), "mine").d_model == 64
    assert [row["name"] for row in backbone_rows(db) if row["problem"]] == []


TINY = {
    "model_type": "whisper", "d_model": 64, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_mel_bins": 80, "vocab_size": 100,
    "encoder_ffn_dim": 256, "decoder_ffn_dim": 256, "max_source_positions": 1500, "max_target_positions": 448,
}  # fmt: skip
