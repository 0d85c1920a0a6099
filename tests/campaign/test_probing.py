from __future__ import annotations

import pytest

from planner.errors import InputError
from planner.store.engine import open_store
from planner.store.read import latencies
from runner.probing import ProbeRequest, run, trials_of


def request(**changes: object) -> ProbeRequest:
    values: dict = {
        "backbones": ("whisper-micro",),
        "audio_seconds": (1.0,),
        "reductions": ("none", "stem:2"),
        "task": None,
        "n_output_tokens": 3,
        "n_samples": 5,
        "threads": 1,
        "device_label": "here",
    }
    return ProbeRequest(**(values | changes))


def test_a_probe_stores_what_it_measured_and_how(tmp_path, capsys):
    db = f"sqlite:///{tmp_path}/p.db"
    run(db, request(backbones=("whisper-micro", "wav2vec2-micro")), "json", store=True)
    engine = open_store(db)
    found = [stored.latency for stored in latencies(engine, "here")]
    engine.dispose()
    assert [(x.backbone, str(x.reduction)) for x in found] == [
        ("whisper-micro", "none"),
        ("whisper-micro", "stem:2"),
        ("wav2vec2-micro", "none"),
        ("wav2vec2-micro", "stem:2"),
    ]
    assert all(0 < x.p50_ms <= x.p95_ms and x.n_samples >= 5 for x in found)
    assert [x.n_output_tokens for x in found] == [3, 3, 0, 0]


def test_a_probe_is_checked_before_anything_is_built():
    with pytest.raises(InputError, match="use at most 30 s"):
        trials_of(request(audio_seconds=(31.0,)))
    with pytest.raises(InputError, match="leaves no token"):
        trials_of(request(reductions=("stem:100",)))
