"""One trial from end to end on real files: its record, its artifact and its failures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from planner.errors import InputError
from planner.words.records import Resources, RunRecord, Trial, trial_from_json
from runner.data.clips import DataSpec, corpus_digest
from runner.data.corpus import load_corpus
from runner.models.adapt import ADAPTER_FILE, META_FILE
from runner.trial.run import run_trial
from tests.trial.made import EMODB, trial_of, write_manifest

ROWS = [
    ("train", "press hash", 1.0), ("train", "hello", 0.9), ("train", "good bye", 1.9),
    ("test", "please hold", 2.6), ("test", "hello", 0.8),
]  # fmt: skip
LABELS = ("joy", "fear", "joy", "fear")
MOODS = [(split, label, 1.0) for split in ("train", "test") for label in LABELS]

SKIP_EMODB = pytest.mark.skipif(
    not EMODB.is_dir(), reason="EmoDB lies beside the project, in ../shared/data/emodb"
)


def run(trial: Trial, data: DataSpec, tmp_path: Path, **more: object) -> RunRecord:
    return run_trial(
        trial, Resources(), data_request=data, artifacts=tmp_path / "artifacts", **more
    )


@pytest.fixture
def spoken(manifest):
    data = manifest(ROWS)
    return data, trial_of(data, "whisper-micro", 2.0, "stem:2", initialisation="random")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished trial, for every test that only looks at it."""

    data: DataSpec
    trial: Trial
    record: RunRecord
    seen: tuple[tuple[str, int], ...]
    """Phase and step of each report of progress."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    data = write_manifest(folder, ROWS)
    trial = trial_of(data, "whisper-micro", 2.0, "stem:2", initialisation="random")
    seen: list[tuple[str, int]] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    record = run(trial, data, folder, progress=lambda p: seen.append((p.phase, p.step)))
    torch.set_num_threads(threads)
    return Trained(data, trial, record, tuple(seen))


def test_a_trial_of_speech_recognition_fills_its_record(trained):
    record, seen = trained.record, trained.seen
    assert record.status == "finished"
    unknown = {f.name for f in dataclasses.fields(record) if getattr(record, f.name) is None}
    assert unknown <= {"failure_class", "failure_text", "weights_digest", "code_revision"}
    assert [s for s in seen if s[0] == "train"] == [("train", 1), ("train", 2)]
    assert {"load", "score", "probe"} < {phase for phase, _ in seen}


def test_a_trial_that_cannot_fit_its_device_fails_before_anything_is_built(
    spoken, tmp_path, monkeypatch
):
    data, trial = spoken
    monkeypatch.setattr("runner.trial.device._total_memory", lambda: 2**20)
    record = run(trial, data, tmp_path)
    assert (record.status, record.failure_class) == ("failed", "out-of-memory")
    assert "needs at least" in record.failure_text
    assert (record.micro_batch, record.weights_source) == (1, None)  # none is tried again


def test_a_container_that_may_use_less_than_its_machine_is_taken_at_that(tmp_path, monkeypatch):
    from runner.trial import device

    whole = device._total_memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(device, "CGROUP_LIMIT", limit)
    limit.write_text("1048576\n")
    assert device._total_memory() == 2**20
    limit.write_text("max\n")
    assert device._total_memory() >= (whole or 0)


def test_the_evaluation_adds_up_over_its_utterances(trained):
    (found,) = trained.record.evaluations
    assert found.n_units == sum(u.n_units for u in found.utterances) == 3
    assert found.n_errors == sum(u.n_errors for u in found.utterances)
    assert found.error == found.n_errors / found.n_units
    assert found.details["n_windows"] == 3  # 2.6 s are two windows of 2 s, 0.8 s is one
    assert found.details["tokens_per_window"] == found.mean_output_tokens
    assert found.details["split_digest"] == corpus_digest(load_corpus(trained.data).test)


def test_latency_is_of_the_scored_utterances_with_their_own_windows(trained):
    (latency,) = trained.record.latencies
    assert latency.n_requests == 4
    assert latency.n_samples == 2 * 3  # two passes over three windows
    assert latency.request_p95_ms >= latency.request_p50_ms > 0
    assert latency.processor_ms > 0
    assert latency.contention > 0
    assert latency.jitter >= 1


def test_validation_is_scored_beside_test_where_a_search_chooses_by_it(manifest, tmp_path):
    data = manifest([*ROWS, ("validation", "good day", 0.7)])
    trial = trial_of(data, "whisper-micro", 2.0, initialisation="random")
    record = run_trial(trial, Resources(validate=True), data_request=data, artifacts=tmp_path)
    test, validation = record.evaluations
    assert (test.split, test.selection) == ("test", "final")
    assert (validation.split, validation.selection) == ("validation", "search")
    assert [u.reference for u in validation.utterances] == ["good day"]
    assert test.details["validation_error"] == validation.error


def test_the_latency_is_of_the_measured_number_of_tokens(trained):
    (latency,), (found,) = trained.record.latencies, trained.record.evaluations
    assert latency.n_output_tokens == max(1, round(found.mean_output_tokens))
    assert latency.p50_ms <= latency.p90_ms <= latency.p95_ms <= latency.p99_ms
    assert set(latency.stages_ms) == {"features", "encoder", "decode"}
    assert latency.device.n_threads == 1


def test_the_same_trial_gives_the_same_result(trained, tmp_path):
    first, second = trained.record, run(trained.trial, trained.data, tmp_path)
    assert [s.loss for s in first.steps] == [s.loss for s in second.steps]
    assert first.evaluations == second.evaluations


def test_the_artifact_says_what_it_was_trained_from(trained):
    folder = Path(trained.record.artifact)
    assert folder.name == trained.trial.fingerprint
    meta = json.loads((folder / META_FILE).read_text())
    assert trial_from_json(meta["trial"]) == trained.trial
    assert (folder / ADAPTER_FILE).stat().st_size > 0


def test_a_trial_of_emotion_scores_the_mean_recall(manifest, tmp_path):
    data = manifest(MOODS, column="label")
    trial = trial_of(data, "wav2vec2-micro", 0.6, "layer1:2", initialisation="random")
    (found,) = run(trial, data, tmp_path).evaluations
    assert found.metric == "unweighted_error"
    assert found.error == pytest.approx(1 - sum(found.details["recalls"].values()) / 2)
    assert found.n_errors == sum(u.reference != u.hypothesis for u in found.utterances)


def test_a_broken_test_file_is_a_row_and_not_a_failure(spoken, tmp_path):
    data, trial = spoken
    whole = (tmp_path / "3.wav").read_bytes()
    (tmp_path / "3.wav").write_bytes(whole[: len(whole) // 2])
    (found,) = run(trial, data, tmp_path).evaluations
    assert (found.n_broken, found.n_utterances, found.n_units) == (1, 1, 1)
    (row,) = [u for u in found.utterances if u.failure_text]
    assert "3.wav is truncated" in row.failure_text


def test_data_that_changed_is_refused_before_anything_is_trained(spoken, tmp_path):
    data, trial = spoken
    with pytest.raises(InputError, match="the files changed"):
        run(dataclasses.replace(trial, dataset_digest="0" * 64), data, tmp_path)


def failure(record):
    return record.status, record.failure_class


def test_divergence_is_a_record_with_its_step(manifest, tmp_path):
    data = manifest(ROWS)
    trial = trial_of(
        data, "whisper-micro", 2.0, initialisation="random",
        optimisation={"learning_rate": 1e30, "steps": 4, "warmup_fraction": 0.0, "clip_norm": 1e30},
    )  # fmt: skip
    record = run(trial, data, tmp_path)
    assert failure(record) == ("failed", "diverged")
    assert "at step" in record.failure_text


def test_weights_that_cannot_be_had_are_a_record(manifest, tmp_path):
    data = manifest(ROWS)
    record = run(trial_of(data, "whisper-micro", 2.0), data, tmp_path)
    assert failure(record) == ("failed", "missing-resource")
    assert "initialisation = random" in record.failure_text


def test_training_files_that_are_all_broken_are_a_record(spoken, tmp_path):
    data, trial = spoken
    for i in range(3):
        (tmp_path / f"{i}.wav").write_bytes(b"RIFF" + bytes(40))
    record = run(trial, data, tmp_path)
    assert failure(record) == ("failed", "broken-data")
    assert record.data_source is not None


class Stop(BaseException):
    """What a lost lease raises in the callback."""


def test_the_callback_may_stop_the_trial(spoken, tmp_path):
    data, trial = spoken

    def progress(now):
        if now.phase == "train":
            raise Stop

    with pytest.raises(Stop):
        run(trial, data, tmp_path, progress=progress)


def test_a_window_that_no_training_text_fits_in_says_what_to_do(manifest, tmp_path):
    data = manifest(ROWS)
    trial = trial_of(data, "whisper-micro", 0.5, initialisation="random")
    with pytest.raises(InputError, match="longer audio_seconds"):
        run(trial, data, tmp_path)


@pytest.mark.weights
def test_tiny_en_learns_the_built_in_prompts(tmp_path):
    data = DataSpec(n_train=40, n_test=2, join_seconds=12.0)
    options = {"steps": 6, "batch_size": 2, "learning_rate": 1e-3}
    trial = trial_of(data, "whisper-tiny.en", 6.0, "stem:2", "lora:8", optimisation=options)
    none = dataclasses.replace(trial.optimisation, steps=0)
    zero_shot, trained = (
        run(t, data, tmp_path) for t in (dataclasses.replace(trial, optimisation=none), trial)
    )
    if trained.failure_class == "missing-resource":
        pytest.skip(trained.failure_text)
    assert trained.evaluations[0].error < min(0.35, zero_shot.evaluations[0].error)
    assert trained.weights_digest is not None


@SKIP_EMODB
def test_wav2vec2_trains_on_held_out_speakers_of_emodb(tmp_path):
    data = DataSpec(name="emodb", path=str(EMODB), n_train=24, n_test=14)
    trial = trial_of(data, "wav2vec2-micro", 1.0, "stem:2", initialisation="random")
    record = run(trial, data, tmp_path)
    (found,) = record.evaluations
    assert (found.speaker_overlap, found.n_utterances) == (0, 14)
    assert sum(sum(row.values()) for row in found.details["confusion"].values()) == 14


@SKIP_EMODB
@pytest.mark.weights
def test_whispers_encoder_hears_emotion_above_chance(tmp_path):
    data = DataSpec(name="emodb", path=str(EMODB), n_train=120, n_test=40)
    options = {"steps": 50, "batch_size": 8, "head_learning_rate": 3e-3}
    trial = trial_of(data, "whisper-tiny.en", 2.0, "stem:2", "lora:8", optimisation=options)
    record = run(trial, data, tmp_path)
    if record.failure_class == "missing-resource":
        pytest.skip(record.failure_text)
    assert record.evaluations[0].details["unweighted_accuracy"] > 2 / 7


def test_threads_follow_the_resources(manifest, tmp_path):
    data = manifest(MOODS, column="label")
    trial = trial_of(data, "wav2vec2-micro", 0.6, initialisation="random")
    record = run_trial(trial, Resources(cpus=2.0), data_request=data, artifacts=tmp_path)
    assert record.device.n_threads == torch.get_num_threads() == 2
    assert record.device.name.endswith("-2t")
