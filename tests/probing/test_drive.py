from __future__ import annotations

import pytest

from planner.errors import InputError
from planner.store.engine import open_store
from planner.store.read import latencies
from runner.probing.drive import ProbeRequest, candidates, check, points_of, probe


def request(**changes: object) -> ProbeRequest:
    values: dict = {
        "backbones": ("whisper-micro",),
        "audio_seconds": (1.0,),
        "reductions": ("none", "stem:2"),
        "task": None,
        "n_output_tokens": 3,
        "n_samples": 5,
        "n_processes": 1,
        "threads": 1,
        "device_label": "here",
    }
    return ProbeRequest(**(values | changes))


def test_a_probe_stores_what_it_measured_and_how(tmp_path):
    db = f"sqlite:///{tmp_path}/p.db"
    probe(db, request(backbones=("whisper-micro", "wav2vec2-micro")), print, store=True)
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
        candidates(request(audio_seconds=(31.0,)))
    with pytest.raises(InputError, match="leaves no token"):
        candidates(request(reductions=("stem:100",)))


def test_a_probe_without_axes_chooses_few_points_that_differ_in_every_axis():
    points = points_of(ProbeRequest(points=12, task="asr"))
    assert len(points) == len(set(points)) == 12
    assert all(
        len({getattr(p, k) for p in points}) > 1
        for k in ("backbone", "audio_seconds", "reduction", "n_output_tokens")
    )


def test_fresh_processes_pool_their_samples_and_tell_how_far_they_differ(tmp_path):
    db = f"sqlite:///{tmp_path}/p.db"
    asked = request(
        reductions=("none",), batch_sizes=(1, 2), n_processes=2, n_samples=6, attention="eager"
    )
    probe(db, asked, print, store=True)
    engine = open_store(db)
    found = [stored.latency for stored in latencies(engine, "here")]
    engine.dispose()
    assert [x.batch_size for x in found] == [1, 2]
    assert {(x.n_samples, x.attention) for x in found} == {(6, "eager")}
    assert all(x.method.startswith("probe/3 of 2 processes") for x in found)
    assert all(x.request_p95_ms is None and x.jitter >= 1 and x.contention > 0 for x in found)
    assert all(x.noise_floor >= 0 for x in found)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_probe_that_has_no_time_is_refused_before_it_starts(seconds):
    with pytest.raises(InputError, match="must be a positive number"):
        check(ProbeRequest(points=3, seconds=seconds))


def test_a_probe_of_emotion_chooses_points_of_encoders():
    points = points_of(ProbeRequest(points=6, task="emotion"))
    assert len(points) == 6
    assert all(p.backbone.startswith("wav2vec2") and p.n_output_tokens == 0 for p in points)
